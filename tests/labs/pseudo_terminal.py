"""A terminal of so many columns, for what commands do where somebody looks at them."""

import os
import pty
import re
import struct
import subprocess
import termios
from fcntl import ioctl
from pathlib import Path


def written(line: list[str], columns: int, cwd: Path) -> tuple[int, str]:
    """Exit code of a command on a terminal of `columns`, and all that it writes there, without colours."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(line, cwd=cwd, stdout=theirs, stderr=theirs, env=env | {"TERM": "xterm"})
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that nobody holds the other end
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;]*m", "", b"".join(pieces).decode())
    return process.wait(), text.replace("\r\n", "\n")

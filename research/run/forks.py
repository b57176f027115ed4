"""The parent's end of a fork server: start it, ask for children, hear how each one ended."""

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, final

_BOOT = (
    "import json, sys; descriptor, sys.path[:] = json.loads(sys.argv[1]); "
    "from research.run.server import main; main(descriptor)"
)
_CLOSING_S = 10.0

Report = tuple[int, dict[str, Any]]


@final
class Forks:
    """A running fork server; `close` ends it with all its children."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs, log.open("ab") as output:
            boot = json.dumps([theirs.fileno(), sys.path])
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, boot],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C in the terminal reaches the parent alone
            )
        self._socket = ours
        self._server: Connection[Any, Any] = Connection(os.dup(ours.fileno()))
        self._reports: queue.SimpleQueue[Report | None] = queue.SimpleQueue()
        # Reading aside keeps the server from waiting for us, and keeps Ctrl-C out of a half-read message.
        self._reader = threading.Thread(target=self._listen, name="forks", daemon=True)
        self._reader.start()
        self._preloaded: set[str] = set()

    def preload(self, modules: Iterable[str], targets: Iterable[str]) -> None:
        """Have `modules` and the modules of the dotted `targets` imported before the next fork."""
        new = [[name for name in names if name not in self._preloaded] for names in (modules, targets)]
        self._preloaded.update(*new)
        if any(new):
            self._send("preload", *new)

    def fork(self, number: int, request: dict[str, Any], timeout_s: float | None) -> None:
        """Ask for a child that answers `request`; it is killed after `timeout_s` seconds of its own."""
        self._send("fork", number, request, timeout_s)

    def interrupt(self, grace_s: float) -> None:
        """Send every child SIGINT, and SIGKILL to those that still live `grace_s` seconds later."""
        self._send("interrupt", grace_s)

    def report(self) -> Report | None:
        """Wait until a child ends; None when the server itself is gone."""
        return self._reports.get()

    def close(self) -> None:
        """End the server and its children, and wait for it: no zombie, and its CPU time becomes ours."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # closing alone does not wake the reader
        self._reader.join()
        self._server.close()
        self._socket.close()
        try:
            self._process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # it hangs in an import; its children die with it
            self._process.wait()

    def _send(self, *message: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the reader says so
            self._server.send(message)

    def _listen(self) -> None:
        try:
            while True:
                self._reports.put(self._server.recv())
        except (EOFError, OSError):
            self._reports.put(None)

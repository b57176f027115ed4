"""`agent.py` in a fork of this process: the same command without a second of imports, for what is refused."""

import os
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import agent


def asked(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command says, and its exit code, when it is typed in a folder."""
    own = (f"root={folder}/runs", f"store.url=sqlite:///{folder}/lab.db")
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with warnings.catch_warnings():
            # Of a process with threads, as those of the test session may have.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            code = 70
            try:
                signal.alarm(600)
                os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
                os.chdir(folder)
                os.environ["COLUMNS"] = "300"
                sys.stdout, sys.stderr = out, err
                agent.__dict__["__name__"] = "__main__"  # by which Hydra finds conf/, as where it is typed
                sys.argv = ["agent.py", *own, *arguments]
                agent.main()
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                out.flush(), err.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        told = [file.read() for file in (out, err) if file.seek(0) == 0]
    return subprocess.CompletedProcess(arguments, os.waitstatus_to_exitcode(status), *told)

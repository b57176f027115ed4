"""The parent's end of a fork server: start it, ask for children, hear how each one ended."""

import contextlib
import fnmatch
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from mmap import mmap
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, final

import pulse
from research.run.machine import unnamed_file
from research.run.silence import Silence, children, state

_BOOT = (
    "import json, sys; *about, sys.path[:] = json.loads(sys.argv[1]); "
    "from research.run.server import main; main(*about)"
)
_CLONE = str(Path(__file__).resolve().parents[2])
"""whose modules its processes have first, whatever lies in the folder of a notebook"""
_CLOSING_S = 10.0
_LOOK_S = 1.0
_SILENT_S = 10.0
"""how long the server may give no sign without computing or waiting for a disk"""
LET_THROUGH = "JOULELAB_LET_THROUGH"
"""variable that names others, with commas between, which trials are to have too, as `HF_TOKEN,DATA_*`"""
_NEEDED = """
    PATH HOME USER LOGNAME SHELL PWD LANG LANGUAGE LC_* TZ TERM COLUMNS TMPDIR TEMP TMP XDG_* PYTHON*
    JOULELAB_* VIRTUAL_ENV CONDA_PREFIX LD_LIBRARY_PATH LD_PRELOAD DYLD_* MALLOC_* CC CXX SLURM_JOB_ID
    OMP_* GOMP_* KMP_* MKL_* OPENBLAS_* BLIS_* NVPL_* NUMEXPR_* VECLIB_* ONEDNN_* DNNL_* ATEN_*
    CUDA* CUBLAS_* CUDNN_* NVIDIA_* NCCL_* GLOO_* ROCR_* HIP_* HSA_* TORCH* PYTORCH_* TRITON_*
    HF_HOME HF_ENDPOINT HF_HUB_CACHE HF_HUB_OFFLINE HF_HUB_DISABLE_* HF_DATASETS_CACHE HF_DATASETS_OFFLINE
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY
    http_proxy https_proxy no_proxy all_proxy WANDB_*
"""
"""what a trial needs of the environment; of keys only that of Weights & Biases, to which trials log"""
_SERVER = ("PG*",)
"""what it needs beside it to write its row to a PostgreSQL server: user and password may be there"""

Report = tuple[int, dict[str, Any]]


@final
class Forks:
    """A running fork server; `close` ends it with all its children."""

    def __init__(self, environment: dict[str, str], log: Path, needs: Iterable[str] = ()) -> None:
        """`needs` are variables of ours that the trials need beside the usual ones, or patterns of them."""
        ours, theirs = socket.socketpair()
        tick = _shared()
        self._tick, self._silence = mmap(tick, pulse.SIZE), Silence(_SILENT_S)
        self._groups: tuple[int, ...] = ()
        self._closing = False
        self.silent: str | None = None
        """what is said of a server that was ended because it hung"""
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with theirs, os.fdopen(written, "ab") as output:
            boot = json.dumps([theirs.fileno(), tick, os.getpid(), [_CLONE, *sys.path]])
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, boot],
                pass_fds=[theirs.fileno(), tick],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**needed(os.environ, needs), **environment},
                umask=0o077,  # what trials write is nobody else's to read
                start_new_session=True,  # Ctrl-C in the terminal reaches the parent alone
            )
        os.close(tick)
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

    def fork(
        self, number: int, request: dict[str, Any], timeout_s: float | None, stall_s: float | None = None
    ) -> None:
        """Ask for a child that answers `request`; it is killed after `timeout_s` seconds of its own.

        Also after `stall_s` without a sign of life, see `research/run/silence.py`.
        """
        self._send("fork", number, request, timeout_s, stall_s)

    def interrupt(self, grace_s: float) -> None:
        """Send every child SIGINT, and SIGKILL to those that still live `grace_s` seconds later."""
        self._send("interrupt", grace_s)

    def report(self, patience_s: float | None = None) -> Report | None:
        """Wait until a child ends; None when the server itself is gone. Raises `queue.Empty` in the end."""
        return self._reports.get(timeout=patience_s)

    def close(self) -> None:
        """End the server and its children, and wait for it: no zombie, and its CPU time becomes ours."""
        self._closing = True
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
            self._end_groups()
        self._tick.close()

    def _send(self, *message: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the reader says so
            self._server.send(message)

    def _listen(self) -> None:
        looked = time.monotonic()
        try:
            while True:
                if self._server.poll(_LOOK_S):
                    self._reports.put(self._server.recv())
                now = time.monotonic()
                if now - looked >= _LOOK_S:
                    # Where this process was stopped itself, that time says nothing of the server.
                    self._look(min(now - looked, 2 * _LOOK_S))
                    looked = now
        except (EOFError, OSError):
            if not self._closing:
                self._end_groups()
            self._reports.put(None)

    def _look(self, passed_s: float) -> None:
        """See which children there are, and end a server that hangs: those that wait for it wait for ever."""
        pid = self._process.pid
        self._groups = children(pid)
        life = pulse.read(self._tick)
        if self._silence.hangs(pid, life, passed_s) and state(pid) != "D":
            self.silent = f"{self._silence.told(life)} and was killed"
            self._process.kill()

    def _end_groups(self) -> None:
        """What children of a server that is gone had started themselves is not told by the kernel to end."""
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)


def _shared() -> int:
    """A descriptor of memory that this process and the server share."""
    with unnamed_file() as file:
        file.truncate(pulse.SIZE)
        return os.dup(file.fileno())


def needs(configs: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """What trials of these configs need of the environment beside the usual, to write their rows."""
    urls = [str((config.get("store") or {}).get("url")) for config in configs]
    return _SERVER if any(url.startswith("postgres") for url in urls) else ()


def needed(environment: Mapping[str, str], more: Iterable[str] = ()) -> dict[str, str]:
    """The part of an environment that trials are given: what they need, `more`, and what is let through."""
    let = environment.get(LET_THROUGH, "").replace(",", " ").split()
    names = [*_NEEDED.split(), *more, *let]
    return {
        name: value
        for name, value in environment.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in names)
    }

"""A process that imports once and forks a child for every trial; standard library only.

multiprocessing has such a server too. This one differs where a trial needs it: it reports the CPU seconds,
memory and signal of each child, ends a child with all that it started, learns new imports while it runs,
and leaves nothing alive when its parent is killed.
"""

import contextlib
import gc
import importlib
import os
import re
import selectors
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import IO, Any, final

from research.run import child

_LOOK_AROUND_S = 1.0
_NOT_THEIRS = (
    {"construct", "models", "power", "redact", "refusal", "research"}
    | {"agent", "train"}
    | sys.stdlib_module_names
)
"""the lab's own, of which what is imported holds for the whole sweep, and the standard library"""
_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]")
_seen: set[str] = set()
_users: dict[str, tuple[str, int, int]] = {}
"""modules of a user's own -> file, time of change and size when they were imported"""


@final
@dataclass
class _Child:
    number: int
    sheet: IO[bytes]
    started: float
    deadline: float | None
    ended_by: str | None = None


@final
class _Server:
    """Serves one parent until its connection closes; requests are tuples (verb, *arguments)."""

    def __init__(self, parent: "Connection[Any, Any]") -> None:
        self._parent = parent
        self._parent_id = os.getppid()
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(parent.fileno(), selectors.EVENT_READ, self._request)
        self._selector.register(self._wake, selectors.EVENT_READ, self._reap)

    def serve(self) -> None:
        """Serve until the parent hangs up or dies; then no child is left."""
        try:
            while os.getppid() == self._parent_id:
                for key, _ in self._selector.select(self._patience()):
                    key.data()
                self._end_late()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass
        finally:
            for pid in list(self._children):
                _kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _request(self) -> None:
        verb, *arguments = self._parent.recv()
        verbs: dict[str, Callable[..., None]]
        verbs = {"preload": preload, "fork": self._fork, "interrupt": self._interrupt}
        verbs[verb](*arguments)

    def _fork(self, number: int, request: dict[str, Any], timeout_s: float | None) -> None:
        sheet = _sheet()
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._parent.close()
            _hand_over(request, sheet, server)
        with contextlib.suppress(OSError):  # the child does the same: whoever comes first
            os.setpgid(pid, pid)
        now = time.monotonic()
        self._children[pid] = _Child(number, sheet, now, None if timeout_s is None else now + timeout_s)

    def _interrupt(self, grace_s: float) -> None:
        for pid, one in self._children.items():
            one.ended_by = one.ended_by or "interrupted"
            one.deadline = time.monotonic() + grace_s
            _kill(pid, signal.SIGINT)

    def _patience(self) -> float:
        deadlines = [one.deadline for one in self._children.values() if one.deadline is not None]
        return max(0.0, min([_LOOK_AROUND_S, *(end - time.monotonic() for end in deadlines)]))

    def _end_late(self) -> None:
        for pid, one in self._children.items():
            if one.deadline is not None and time.monotonic() >= one.deadline:
                one.ended_by, one.deadline = one.ended_by or "timeout", None
                _kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
        for pid in list(self._children):
            # Not yet reaped, so that its number cannot be another group's when the rest of it is ended.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                _kill(pid, signal.SIGKILL)
                self._report(pid, self._children.pop(pid))

    def _report(self, pid: int, one: _Child) -> None:
        _, status, used = os.wait4(pid, 0)
        one.sheet.seek(0)
        with one.sheet:
            answer = one.sheet.read()
        facts = {
            "code": os.waitstatus_to_exitcode(status),
            "ended_by": one.ended_by,
            "wall_s": time.monotonic() - one.started,
            "cpu_s": used.ru_utime + used.ru_stime,
            "peak_bytes": used.ru_maxrss * 1024,
            "answer": answer,
        }
        self._parent.send((one.number, facts))


def _sheet() -> IO[bytes]:
    """A file without a name where a child writes its answer: a full disk cannot lose it on Linux."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("answer"), "w+b")
    return tempfile.TemporaryFile()


def _hand_over(request: dict[str, Any], sheet: IO[bytes], server: int) -> None:
    """Never returns: what is left of the server in this process ends with the trial."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        forget_changed()
        child.run(request, sheet, server)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _kill(pid: int, number: int) -> None:
    for send in (os.killpg, os.kill):  # before its first instruction a child has no group of its own
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(pid, number)
            return


def preload(modules: Iterable[str], targets: Iterable[str]) -> None:
    """Import `modules`, and the module of each dotted target; what fails will fail again in its trial.

    Collected and frozen afterwards: a collection in a child would copy every page that it looks at.
    """
    gc.disable()
    for name in modules:
        _import(name)
    for target in targets:
        parts = target.split(".")
        any(_import(".".join(parts[:end])) for end in range(len(parts) - 1, 0, -1))
    _look_at_new()
    gc.enable()
    gc.collect()
    gc.freeze()


def forget_changed() -> None:
    """Have a user's modules imported anew when one's source has changed: a trial runs what is there.

    All of them, because those that did not change may hold what they imported from those that did.
    """
    if any(_state(was[0]) != was for was in _users.values()):
        for name in _users:
            sys.modules.pop(name, None)


def _look_at_new() -> None:
    for name in sys.modules.keys() - _seen:
        file = getattr(sys.modules[name], "__file__", None)
        if file and name.partition(".")[0] not in _NOT_THEIRS and not _INSTALLED.search(file):
            _users[name] = _state(file)
    _seen.update(sys.modules)


def _state(file: str) -> tuple[str, int, int]:
    try:
        about = os.stat(file)  # noqa: PTH116 - the standard library's smallest: this runs in every child
    except OSError:
        return file, 0, 0
    return file, about.st_mtime_ns, about.st_size


def _import(name: str) -> bool:
    """Whether there is such a module; one that cannot be imported is told in the server's log."""
    if name in sys.modules:
        return True
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            return False
        traceback.print_exc()
    except Exception:
        traceback.print_exc()
    return True


def main(descriptor: int) -> None:
    """Serve the parent at the other end of the socket `descriptor`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    _Server(Connection(descriptor)).serve()

"""A process that imports once and forks a child for every trial; standard library only.

multiprocessing has such a server too. This one differs where a trial needs it: it reports the CPU seconds,
memory and signal of each child, ends a child with all that it started, learns new imports while it runs,
and leaves nothing alive when its parent is killed. A child that is fit for it (`turns`) rests after its trial
and takes the next one of its kin; so every trial has an end, a clock and a deadline of its own, and only the
one at hand dies with a process.
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
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO, Any, final

from research.run import child

_LOOK_AROUND_S = 1.0
_REST_S = 20.0
"""how long a child waits for another trial"""
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
    kin: str | None
    sheet: IO[bytes]
    line: "Connection[Any, Any]"
    number: int = 0
    started: float = 0.0
    deadline: float | None = None
    ended_by: str | None = None
    rests: bool = False
    told_s: float = 0.0
    """CPU seconds of its trials before"""

    def begin(self, number: int, timeout_s: float | None) -> None:
        self.number, self.rests, self.ended_by = number, False, None
        self.started = time.monotonic()
        self.deadline = None if timeout_s is None else self.started + timeout_s

    def free_for(self, kin: str | None) -> bool:
        # One whose time is over may have been killed a moment ago, and not be dead yet.
        return self.rests and self.ended_by is None and kin is not None and kin == self.kin

    def take(self, request: dict[str, Any]) -> bool:
        """Hand another trial to a child that rests; False when it is gone."""
        # What it answered before must not be heard again when it dies without a word.
        self.sheet.seek(0)
        self.sheet.truncate()
        try:
            self.line.send(request)
        except OSError:
            return False
        return True

    def facts(self, code: int, cpu_s: float, peak_bytes: int) -> dict[str, Any]:
        self.sheet.seek(0)
        used, self.told_s = cpu_s - self.told_s, cpu_s
        return {
            "code": code,
            "ended_by": self.ended_by,
            "wall_s": time.monotonic() - self.started,
            "cpu_s": used,
            "peak_bytes": peak_bytes,
            "answer": self.sheet.read(),
        }


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
        for one in self._children.values():
            if one.free_for(request.get("kin")) and one.take(request):
                return one.begin(number, timeout_s)
        sheet, (ours, theirs) = _sheet(), Pipe()
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            # Held here as well, they would keep others waiting for a server that is gone.
            for connection in (self._parent, ours, *(other.line for other in self._children.values())):
                connection.close()
            _hand_over(request, sheet, server, theirs)
        theirs.close()
        with contextlib.suppress(OSError):  # the child does the same: whoever comes first
            os.setpgid(pid, pid)
        self._children[pid] = _Child(request.get("kin"), sheet, ours)
        self._children[pid].begin(number, timeout_s)
        self._selector.register(ours, selectors.EVENT_READ, partial(self._rested, pid))

    def _rested(self, pid: int) -> None:
        """A child has answered and waits for another trial, or it hangs up."""
        one = self._children.get(pid)
        if one is None:  # it was reaped in this very round
            return
        try:
            used = one.line.recv()
        except (EOFError, OSError):
            self._selector.unregister(one.line)
            return
        self._parent.send((one.number, one.facts(0, **used)))
        one.rests = True
        # One that is being ended has come too far to be told so.
        one.deadline = time.monotonic() + (_REST_S if one.ended_by is None else 0.0)

    def _interrupt(self, grace_s: float) -> None:
        for pid, one in self._children.items():
            one.ended_by = one.ended_by or "interrupted"
            one.deadline = time.monotonic() + (0.0 if one.rests else grace_s)
            if not one.rests:
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
        with contextlib.suppress(KeyError):
            self._selector.unregister(one.line)
        with one.sheet, one.line:
            if not one.rests:
                code, cpu_s = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
                self._parent.send((one.number, one.facts(code, cpu_s, used.ru_maxrss * 1024)))


def _sheet() -> IO[bytes]:
    """A file without a name where a child writes its answer: a full disk cannot lose it on Linux."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("answer"), "w+b")
    return tempfile.TemporaryFile()


def _hand_over(request: dict[str, Any], sheet: IO[bytes], server: int, line: "Connection[Any, Any]") -> None:
    """Never returns: what is left of the server in this process ends with the trial."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        forget_changed()
        child.run(request, sheet, server, line)
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

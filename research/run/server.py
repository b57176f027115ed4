"""A process that imports once and forks a child for every trial; standard library only.

multiprocessing has such a server too. This one differs where a trial needs it: it reports the CPU seconds,
memory and signal of each child, ends a child with all that it started, also one that gives no sign of life,
learns new imports while it runs, and leaves nothing alive when its parent is killed. A child that is fit for
it (`turns`) rests after its trial and takes the next one of its kin; so every trial has an end, a clock and a
deadline of its own, and only the one at hand dies with a process.
"""

import contextlib
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from mmap import mmap
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO, Any, final

import pulse
from research.run import child, machine
from research.run.silence import Silence

_LOOK_AROUND_S = 1.0
_REST_S = 20.0
"""how long a child waits for another trial"""
_TELLING_S = 1.0
"""in which a child that hangs writes its stacks down"""


@final
@dataclass
class _Child:
    kin: str | None
    sheet: IO[bytes]
    line: "Connection[Any, Any]"
    memory: mmap
    silence: Silence
    number: int = 0
    started: float = 0.0
    deadline: float | None = None
    ended_by: str | None = None
    hung: str | None = None
    """what is said of its silence, which the signal to write its stacks down may end"""
    rests: bool = False
    told_s: float = 0.0
    """CPU seconds of its trials before"""
    oom_kills: int = 0

    def begin(self, number: int, timeout_s: float | None, stall_s: float | None) -> None:
        self.number, self.rests, self.ended_by, self.hung = number, False, None, None
        self.started = time.monotonic()
        self.deadline = None if timeout_s is None else self.started + timeout_s
        self.silence, self.oom_kills = Silence(stall_s), machine.oom_kills()

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
            "out_of_memory": code == -signal.SIGKILL and machine.oom_kills() > self.oom_kills,
            "silent": self.hung,
            "wall_s": time.monotonic() - self.started,
            "cpu_s": used,
            "peak_bytes": peak_bytes,
            "answer": self.sheet.read(),
        }


@final
class _Server:
    """Serves one parent until its connection closes; requests are tuples (verb, *arguments)."""

    def __init__(self, parent: "Connection[Any, Any]", parent_id: int) -> None:
        self._parent, self._parent_id = parent, parent_id
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Also while it imports, which may take half a minute: it hears nobody else then.
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(child.ORPHANED, self._orphaned)
        child.signal_with_parent(child.ORPHANED)
        self._looked = time.monotonic()
        self._selector.register(parent.fileno(), selectors.EVENT_READ, self._request)
        self._selector.register(self._wake, selectors.EVENT_READ, self._reap)

    def serve(self) -> None:
        """Serve until the parent hangs up or dies; then no child is left."""
        try:
            while os.getppid() == self._parent_id:
                pulse.beat("serving")
                for key, _ in self._selector.select(self._patience()):
                    key.data()
                self._end_late()
                self._end_silent()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass
        finally:
            for pid in list(self._children):
                _kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _orphaned(self, *about: Any) -> None:
        # A thread of the parent's that ends sends the signal too.
        if os.getppid() != self._parent_id:
            self._end()

    def _end(self, *about: Any) -> None:
        for pid in list(self._children):
            _kill(pid, signal.SIGKILL)
        os._exit(1)

    def _request(self) -> None:
        verb, *arguments = self._parent.recv()
        verbs: dict[str, Callable[..., None]]
        verbs = {"preload": child.preload, "fork": self._fork, "interrupt": self._interrupt}
        verbs[verb](*arguments)

    def _fork(
        self, number: int, request: dict[str, Any], timeout_s: float | None, stall_s: float | None
    ) -> None:
        for one in self._children.values():
            if one.free_for(request.get("kin")) and one.take(request):
                return one.begin(number, timeout_s, stall_s)
        sheet, (ours, theirs), memory = machine.unnamed_file(), Pipe(), pulse.memory()
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            # Held here as well, they would keep others waiting for a server that is gone.
            for connection in (self._parent, ours, *(other.line for other in self._children.values())):
                connection.close()
            _hand_over(request, sheet, server, theirs, memory)
        theirs.close()
        with contextlib.suppress(OSError):  # the child does the same: whoever comes first
            os.setpgid(pid, pid)
        self._children[pid] = _Child(request.get("kin"), sheet, ours, memory, Silence(stall_s))
        self._children[pid].begin(number, timeout_s, stall_s)
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

    def _end_silent(self) -> None:
        """Have those that hang write their stacks down, and end them a second later."""
        now = time.monotonic()
        if now - self._looked < _LOOK_AROUND_S:
            return
        # Where this process was stopped itself, so were they, perhaps: that time says nothing of them.
        passed, self._looked = min(now - self._looked, 2 * _LOOK_AROUND_S), now
        for pid, one in self._children.items():
            life = pulse.read(one.memory)
            if one.rests or one.ended_by or not one.silence.hangs(pid, life, passed):
                continue
            one.ended_by, one.deadline = "hung", now + _TELLING_S
            one.hung = one.silence.told(life)
            for number in (child.STACKS, signal.SIGCONT):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)

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
        with one.sheet, one.line, one.memory:
            if not one.rests:
                code, cpu_s = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
                self._parent.send((one.number, one.facts(code, cpu_s, used.ru_maxrss * 1024)))


def _hand_over(
    request: dict[str, Any], sheet: IO[bytes], server: int, line: "Connection[Any, Any]", memory: mmap
) -> None:
    """Never returns: what is left of the server in this process ends with the trial."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, child.ORPHANED):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        child.run(request, sheet, server, line, memory)
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


def main(descriptor: int, tick: int, parent: int) -> None:
    """Serve the parent at the other end of the socket `descriptor`; it looks for our signs in `tick`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    pulse.watched(mmap(tick, pulse.SIZE))
    os.close(tick)
    _Server(Connection(descriptor), parent).serve()

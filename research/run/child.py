"""What a forked process does: its imports, and a task and its answer, in turns. Standard library only."""

import atexit
import contextlib
import ctypes
import errno
import faulthandler
import gc
import importlib
import io
import json
import os
import pkgutil
import re
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Iterable
from mmap import mmap
from multiprocessing.connection import Connection
from typing import IO, Any, TextIO, final

import pulse
import redact
from construct import trust
from refusal import Ended, Refusal
from research.run.turns import Turns, spent_s

STACKS, ORPHANED = signal.SIGUSR2, signal.SIGUSR1
"""at which a child writes the stacks of its threads down; which tells the server that its parent is gone"""
_SET_DEATH_SIGNAL = 1
_LONGEST_REASON = 500
_OWN = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def run(
    request: dict[str, Any], sheet: IO[bytes], server: int, line: "Connection[Any, Any]", memory: mmap
) -> None:
    """Call the task that `request` names and write its answer as JSON on `sheet`.

    The answer has one key of `result`, `refused`, `failed` and `interrupted`, and beside a result the
    modules that were `imported` on the way: the server imports them for those that come after. After a result
    the process may say on `line` what it has used, and take the next request from there.
    """
    os.setpgid(0, 0)
    signal_with_parent(signal.SIGKILL)
    if os.getppid() != server:  # it was gone before the kernel was asked
        os._exit(1)
    forget_changed()
    faulthandler.enable(2)
    faulthandler.register(STACKS, 2)  # also of one that waits in C and gives nobody the interpreter
    # Python looks for cycles at 700 new objects; without any look a trial took 6 to 7 % less (3 pairs).
    gc.set_threshold(20_000, 20, 20)
    atexit._clear()
    sys.stdout, sys.stderr = _Lossy.text(1), _Lossy.text(2)
    _begin(request, memory)
    turns = Turns(request["task"], request.get("turns", 1) if request.get("kin") else 1)
    before: dict[str, Any] = {}
    while _turn(request, before, sheet) and turns.fit():
        following = _rest(line)
        if following is None:
            break
        request, before = following, {"spent_s": spent_s()}
        _begin(request, memory)
    atexit._run_exitfuncs()
    _flush()


def _begin(request: dict[str, Any], memory: mmap) -> None:
    pulse.watched(memory)
    pulse.beat("set-up")
    _redirect(request["log"])
    os.environ.update(request["environment"])
    sys.argv[:] = request["argv"]
    trust([{"_target_": name} for name in request.get("trusted", ())])


def _turn(request: dict[str, Any], before: dict[str, Any], sheet: IO[bytes]) -> bool:
    """Answer one request; returns whether it had a result."""
    known = set(sys.modules)
    positional, named = request["arguments"]
    with warnings.catch_warnings():
        answer = _answer(request["task"], (positional, named | before))
    if "result" in answer:
        answer["imported"] = [name for name in list(sys.modules) if name not in known]
    sheet.seek(0)  # where the server has emptied it
    sheet.write(json.dumps(answer).encode())
    sheet.flush()
    _flush()
    return "result" in answer


def _rest(line: "Connection[Any, Any]") -> dict[str, Any] | None:
    """The next request; None when there is none to come."""
    held = max(resource.getrusage(whose).ru_maxrss for whose in _OWN)
    try:
        line.send({"cpu_s": spent_s(), "peak_bytes": held * 1024})
        following: dict[str, Any] = line.recv()
    except (EOFError, OSError):
        return None
    return following


def _flush() -> None:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()


def _answer(task: str, arguments: tuple[list[Any], dict[str, Any]]) -> dict[str, Any]:
    positional, named = arguments
    try:
        result = pkgutil.resolve_name(task)(*positional, **named)
        json.dumps(result)  # raises here, where it becomes a reason, and not on the way out
        return {"result": result}
    except KeyboardInterrupt:
        return {"interrupted": True}
    except BaseException as error:
        sys.stderr.write(redact.text(traceback.format_exc()))
        refusals = [one for one in _causes(error) if isinstance(one, Refusal)]
        return {"refused": redact.text(str(refusals[0]))} if refusals else {"failed": reason(error)}


def reason(error: BaseException) -> str:
    """One line that says what went wrong: the first cause, its type and its message.

    A training that ended before its time says so itself. Secrets are masked.
    """
    first = _causes(error)[-1]
    words = " ".join(str(first).split()) or "no message"
    kind = "" if isinstance(first, Ended) else f"{type(first).__name__}: "
    return redact.text(f"{kind}{words}")[:_LONGEST_REASON]


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from, the first cause last."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return chain


@final
class _Lossy(io.FileIO):
    """A log on a disk that may be full: what finds no room there is lost, and ends no training."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            return len(data)

    @classmethod
    def text(cls, descriptor: int) -> TextIO:
        raw = cls(descriptor, "w", closefd=False)
        return io.TextIOWrapper(io.BufferedWriter(raw), line_buffering=True, errors="backslashreplace")


def signal_with_parent(number: int) -> None:
    """Ask the kernel for a signal when the parent is gone, however it went; without Linux none comes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, number)


def _redirect(log: str) -> None:
    """Nothing is read from the terminal, and all output goes to the file `log`.

    Where a full disk takes no such file, what is said is lost and the trial is not.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        written = os.dup(nothing)
    for source, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(written)


_NOT_THEIRS = (
    {"construct", "models", "power", "pulse", "redact", "refusal", "research"}
    | {"agent", "train"}
    | sys.stdlib_module_names
)
"""the lab's own, of which what is imported holds for the whole sweep, and the standard library"""
_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]")
_seen: set[str] = set()
_users: dict[str, tuple[str, int, int]] = {}
"""modules of a user's own -> file, time of change and size when they were imported"""


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

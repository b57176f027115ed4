"""Which trials may take turns in one process, and whether a process that has run one is fit for the next.

A process of its own costs a trial the first touches of everything, and sees to it that nothing of one
reaches another. So a process goes on only if all that Python and the task's libraries hold for a whole
process is as it was before. What is not is not mended: the process ends.
"""

import atexit
import contextlib
import gc
import importlib
import logging
import os
import pkgutil
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, final

from research.space.signature import steps_of

_TASKS_OWN = "TURNS"
_LABS_OWN = ("models.", "torch.optim.")
_ROOM_BYTES = 256 * 2**20
_WAIT_S = 1.0
"""for threads that were told to end, all together; on a busy machine they need some of it"""

State = dict[str, Any]


def kin(
    config: Mapping[str, Any], targets: Iterable[str], environment: Mapping[str, str], threads: int
) -> str | None:
    """A name that trials share which may take turns; None for one that has its process to itself.

    That is one on a GPU or several devices, whose state was not looked through; one that compresses, as
    compilers keep what they made; and one with code that is not the lab's, which may keep anything.
    """
    trainer = config.get("trainer") or {}
    alone = trainer.get("accelerator") != "cpu" or trainer.get("devices") != 1 or steps_of(config)
    if alone or not all(target.startswith(_LABS_OWN) for target in targets):
        return None
    variables = (f"{name}={value}" for name, value in sorted(environment.items()))
    return " ".join([f"{threads} threads", *variables])


def spent_s() -> float:
    """CPU seconds of this process and of the children that it has waited for."""
    waited = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + waited.ru_utime + waited.ru_stime


@final
class Turns:
    """Remembers how the process was before its first trial; make it when all is set up for that.

    A task may have turns where its module names, as `TURNS = "module:function"`, what else to compare: a
    function of nothing that returns a dictionary. It takes `spent_s`, the CPU seconds of the trials before.
    """

    def __init__(self, task: str, most: int) -> None:
        self._most, self._taken = most, 0
        self._more = _of_task(task) if most > 1 else None
        self._before = self._state() if self._more is not None else {}
        self._private = _private_bytes()

    def fit(self) -> bool:
        """Whether the process may take another trial after the one that has just ended well.

        Collects first what that one left: else it would be collected at the cost of the next one, and memory
        would grow. It also ends after so many turns, or when it has grown by 256 MiB. Why it is not fit is
        said in the trial's log, where it is not the number of turns.
        """
        self._taken += 1
        if self._more is None or self._taken >= self._most:
            return False
        gc.collect()
        if self._taken == 1:
            # What the first one has loaded stays, and need not be looked through again.
            gc.freeze()
        end = time.monotonic() + _WAIT_S
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))
        differs = changed(self._before, self._state())
        grown = _private_bytes() - self._private
        if not differs and grown < _ROOM_BYTES:
            return True
        held = f"it has grown by {grown / 2**20:.0f} MiB"
        why = f"not as before: {', '.join(differs)}" if differs else held
        print(f"this process takes no further trial: {why}")
        return False

    def _state(self) -> State:
        assert self._more is not None
        return state() | self._more()


def changed(before: State, after: State) -> list[str]:
    """Names of what is not as it was."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def state() -> State:
    """All that Python keeps for a whole process and that a trial might change."""
    return {
        "environment": dict(os.environ),
        "working folder": str(Path.cwd()),
        "import": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.gettrace(), sys.getprofile()),
        "signals": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        "timers": [signal.getitimer(which)[1] for which in (signal.ITIMER_REAL, signal.ITIMER_PROF)],
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "processes": _children(),
        "files": _files(),
        "functions at its end": atexit._ncallbacks(),
        "warnings": list(warnings.filters),
        "logging": (logging.root.manager.disable, logging.root.level, list(logging.root.handlers)),
        "collector": (gc.isenabled(), gc.get_threshold(), len(gc.callbacks)),
        "interpreter": (sys.getrecursionlimit(), sys.getswitchinterval()),
        "limits": [resource.getrlimit(which) for which in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE)],
    }


def _of_task(task: str) -> Callable[[], State] | None:
    """What else is to compare for a task; None where it takes no turns, or cannot be imported."""
    try:
        path = getattr(importlib.import_module(task.partition(":")[0]), _TASKS_OWN, None)
        told = Path(f"/proc/self/task/{os.getpid()}/children").exists()  # what a process holds
        more: Callable[[], State] | None = pkgutil.resolve_name(path) if path and told else None
    except Exception:  # the trial will meet it too, and tell
        return None
    return more


def _children() -> list[str]:
    found: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has ended since it was listed
            found += (task / "children").read_text().split()
    return sorted(found)


def _files() -> dict[str, str]:
    """What each open file is, but for the trial's own log and those of this very look."""
    found = {}
    for name in sorted(set(os.listdir("/proc/self/fd")) - {"0", "1", "2"}):  # noqa: PTH208 - names alone
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:
            continue
    return found


def _private_bytes() -> int:
    """Resident memory that is not shared with a file: what a process costs beside the one it came from."""
    try:
        resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    except OSError:
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")

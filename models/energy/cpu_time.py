"""CPU seconds of this process: of all its threads, those that ended included, and of its children."""

import os
import resource
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import final

_TICKS = os.sysconf("SC_CLK_TCK")


@final
class CpuTime:
    """Cumulative CPU seconds, exact to the microsecond whatever the window.

    Own threads by `CLOCK_PROCESS_CPUTIME_ID`, children that were waited for by `RUSAGE_CHILDREN`, living
    ones, which that leaves out (loader workers, compilers), by the clock that Linux keeps for each process.
    Of a living child's children those that it has waited for come in ticks of 10 ms. A child that another
    process took over (a daemon) is lost. Where there is no /proc, children count when they end.
    """

    def __init__(self, serving: Iterable[int] = ()) -> None:
        self._serving = list(serving)
        self.children: list[int] = []
        """of all generations, at the last fresh reading, but for those that serve the loggers"""

    def read(self, fresh: bool = True) -> float:
        """Seconds since the process began; 2 us, or 20 a thread if `fresh`, which looks for new children."""
        own = time.process_time()
        if fresh:
            self.children = [pid for pid in descendants("self") if pid not in self._serving]
        while True:
            waited = _waited()
            living = sum(_living(pid) for pid in (*self.children, *self._serving))
            # A child that is waited for in between would count twice or not at all.
            if _waited() == waited:
                return own + waited + living

    def served(self) -> float:
        """Those of the living children that serve the loggers."""
        return sum(map(_living, self._serving))


def descendants(pid: int | str) -> Iterator[int]:
    """Living children of a process and theirs; none where the kernel does not list them."""
    for task in tasks(pid):
        try:
            listed = (task / "children").read_text().split()
        except OSError:
            # The thread has ended since; its children are another thread's now.
            continue
        for child in map(int, listed):
            yield child
            yield from descendants(child)


def tasks(pid: int | str, proc: Path = Path("/proc")) -> list[Path]:
    """The folders of a process's threads."""
    folder = proc / str(pid) / "task"
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _waited() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _living(pid: int) -> float:
    """Of a process with its threads, and of its own children that it has waited for; 0 when it is gone."""
    try:
        # What clock_getcpuclockid(3) makes of a process id, which Python does not offer.
        own = time.clock_gettime((~pid) << 3 | 2)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return own + (int(fields[13]) + int(fields[14])) / _TICKS

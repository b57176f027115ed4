"""Whether others disturbed a window: threads that waited for a processor, stolen time, a crowded machine."""

import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import final

from models.energy.cpu_time import tasks

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_SHARE = 0.1
"""of the time that was worked: more of it spent waiting makes the window's times worthless"""
_SLICE_S = 0.004
"""one turn that the scheduler gave to somebody else, as happens in any window on any machine"""
_STOLEN_S = 0.03
"""Linux counts stolen time in ticks of 10 ms: fewer than three say nothing"""
_SEEN = 0.5
"""share of the CPU seconds that the living threads must have worked to speak for all"""

KNOWN = 0.05
"""relative half-width at which a time, or a ratio of times, is known well enough"""
WORTHLESS = 0.1
"""half-width from which one, when the time to measure is over, is not to be compared"""


def half_width(rounds: Sequence[float]) -> float:
    """Of the 95 % interval of the mean logarithm of two or more values above 0, as a share of the mean."""
    # Student's quantile to 3 %.
    freedom = len(rounds) - 1
    quantile = 1.96 + 2.4 / freedom + 4.6 / freedom**2
    return math.expm1(quantile * statistics.stdev(map(math.log, rounds)) / math.sqrt(len(rounds)))


@final
class Watch:
    """Cumulative seconds of all that disturbs, as far as this machine tells them.

    `waited` and `ran`: of the threads of this process and its children, by `schedstat`; a thread counts from
    its first reading to its last one, so what it does after that and before its end is lost. `busy` and
    `stolen`: of the whole machine by `/proc/stat`, in ticks of 10 ms. `pressed`: how long some thread on the
    machine waited, by `/proc/pressure/cpu`. What cannot be read is left out.
    """

    def __init__(self, proc: Path | None = None) -> None:
        self._proc = proc or PROC
        self._waited = self._ran = 0.0
        self._last: dict[str, tuple[int, int]] | None = None

    def read(self, children: list[int]) -> dict[str, float]:
        """Seconds so far; 20 us a thread and 40 more. `children` are processes to look at beside this one."""
        return self._threads(["self", *map(str, children)]) | self._machine() | self._pressure()

    def _threads(self, processes: list[str]) -> dict[str, float]:
        now: dict[str, tuple[int, int]] = {}
        for task in (task for pid in processes for task in tasks(pid, self._proc)):
            try:
                ran, waited = map(int, (task / "schedstat").read_text().split()[:2])
            except (OSError, ValueError):
                continue
            now[task.name] = (ran, waited)
        if not now:
            return {}
        # Threads that are there at the first reading have a past of their own; later ones began in between.
        before = now if self._last is None else self._last
        for name, (ran, waited) in now.items():
            past = before.get(name, (0, 0))
            # A number that fell is of a new thread with the old one's name.
            past = past if past[0] <= ran and past[1] <= waited else (0, 0)
            self._ran += (ran - past[0]) / 1e9
            self._waited += (waited - past[1]) / 1e9
        self._last = now
        return {"ran": self._ran, "waited": self._waited}

    def _machine(self) -> dict[str, float]:
        try:
            with (self._proc / "stat").open() as file:
                user, nice, system, _, _, irq, soft, stolen = map(int, file.readline().split()[1:9])
        except (OSError, ValueError):
            return {}
        return {"busy": (user + nice + system + irq + soft) / _TICKS, "stolen": stolen / _TICKS}

    def _pressure(self) -> dict[str, float]:
        try:
            first = (self._proc / "pressure" / "cpu").read_text().splitlines()[0]
        except (OSError, IndexError):
            return {}
        return {"pressed": int(first.rpartition("total=")[2]) / 1e6}


def disturbed(watched: dict[str, float]) -> str | None:
    """Why the times of a window are not to be trusted, in words with figures; None if nothing speaks for it.

    `watched` are the differences of two readings, with the window's `seconds` and `cpu` seconds. More than a
    tenth of the time that was worked must have been waited for or stolen: stolen time is waiting too, only
    outside of this machine's sight. A single turn of somebody else (4 ms, or three ticks of stolen time) is
    no sign, so in a window of a few milliseconds nothing short of that is seen. Threads of its own that wait
    for each other count as well, since their times are as worthless. The pressure, which does not tell one's
    own threads from others', is asked only where the threads cannot be: none is readable, or those that
    worked are gone.
    """
    busy, stolen = watched.get("busy", 0.0), watched.get("stolen", 0.0)
    if stolen >= _STOLEN_S and stolen > _SHARE * busy:
        return f"the hypervisor took {stolen:.2f} s from {busy:.2f} s of work on this machine"
    waited, ran = watched.get("waited", 0.0), watched.get("ran", 0.0)
    if "ran" in watched and ran >= _SEEN * watched.get("cpu", 0.0):
        if waited > _SLICE_S and waited > _SHARE * ran:
            return f"its threads waited {waited:.3g} s for a processor while they ran {ran:.3g} s"
        return None
    seconds, pressed = watched.get("seconds", 0.0), watched.get("pressed", 0.0)
    if pressed > _SLICE_S and pressed > _SHARE * seconds:
        return f"threads on this machine waited for a processor in {pressed:.3g} of its {seconds:.3g} s"
    return None

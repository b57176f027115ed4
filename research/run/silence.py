"""Whether a process hangs: it gives no sign, and it does not compute either. Standard library only."""

import os
from pathlib import Path
from typing import final

from pulse import Life

LEAST_S = 60.0
_TIMES = 10
"""of what is usual: so long a silence is no slow step"""
_SHARE, _LEAST_CPU_S = 0.005, 0.02
"""of one core, and at all: a process that waits uses less, for its threads look around"""
_UNLOOKED = 0.25
"""of the limit: to look at a group takes some milliseconds"""
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@final
class Silence:
    """How long a process has been silent; one for each trial, asked about once a second.

    A step is a sign. What computes without one, as a compiler or a long validation, is taken to live for ten
    times as long while it trains, and for as long as it computes before and after.
    """

    def __init__(self, limit_s: float | None = None) -> None:
        """`limit_s` of None is ten times the usual step, at least a minute."""
        self._limit_s = limit_s
        self._last, self._silent_s = -1.0, 0.0
        self._since = 0.0
        """the second of this silence up to which it is known to have computed"""
        self._cpu_s: float | None = None

    def hangs(self, pid: int, life: Life, passed_s: float) -> bool:
        """Count `passed_s` more seconds; True when the silence of the group `pid` has lasted too long."""
        if life.last != self._last:
            self._last, self._silent_s, self._since, self._cpu_s = life.last, 0.0, 0.0, None
            return False
        self._silent_s += passed_s
        limit = self.limit_s(life)
        if self._silent_s >= limit * _UNLOOKED:
            self._look(used_s(pid))
        idle = self._silent_s - self._since >= limit
        return idle or (life.training and self._silent_s >= _TIMES * limit)

    def _look(self, used: float) -> None:
        within = self._silent_s - self._since
        if self._cpu_s is None:
            self._cpu_s = used
        elif used - self._cpu_s >= max(_LEAST_CPU_S, _SHARE * within):
            self._since, self._cpu_s = self._silent_s, used

    def limit_s(self, life: Life) -> float:
        """The longest silence that is none yet."""
        return longest_s(life.usual_s) if self._limit_s is None else self._limit_s

    def told(self, life: Life) -> str:
        """How long it lasted and since what, for a sentence."""
        what = f"step {life.step} of training" if life.training else life.doing or "its start"
        return f"no sign of life for {self._silent_s:.0f} s after {what}"


def longest_s(usual_s: float) -> float:
    """The longest silence of what usually gives a sign every `usual_s` seconds; its lease is kept as long."""
    return max(LEAST_S, _TIMES * usual_s)


def used_s(group: int) -> float:
    """CPU seconds of all processes of a group, and of their children that ended; 0 elsewhere."""
    return sum(_cpu_s(fields) for fields in map(_stat, _pids()) if fields and int(fields[2]) == group)


def state(pid: int) -> str:
    """The kernel's letter for what a process does: T is stopped, D waits for a disk; empty when gone."""
    return next(iter(_stat(str(pid))), "")


def children(pid: int) -> tuple[int, ...]:
    """The processes that a process of one thread has started and that still are there."""
    try:
        return tuple(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return ()


def _pids() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names alone
    except OSError:
        return []


def _stat(pid: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(fields: list[str]) -> float:
    return sum(map(int, fields[11:15])) * _TICK_S

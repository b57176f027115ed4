"""The figures of a stretch of time: raw ones that add up, and what the meter makes of them."""

from dataclasses import asdict, dataclass, field
from typing import Any, final


@final
@dataclass(frozen=True)
class Tally:
    """Differences of cumulative readings; tallies of two stretches add up to the tally of both.

    `watched` is what tells whether others disturbed (see `Watch`). It is read less often than the rest, so it
    holds the time and the work of its own stretch too.
    """

    seconds: float = 0.0
    cpu_s: float = 0.0
    served_s: float = 0.0
    """CPU seconds, among those of `cpu_s`, of processes that serve the loggers"""
    counted: dict[str, float] = field(default_factory=dict)
    """joules by component, as the counters have them, nothing taken off"""
    watched: dict[str, float] = field(default_factory=dict)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.seconds + other.seconds,
            self.cpu_s + other.cpu_s,
            self.served_s + other.served_s,
            _plus(self.counted, other.counted),
            _plus(self.watched, other.watched),
        )

    def __sub__(self, other: "Tally") -> "Tally":
        return self + Tally(
            -other.seconds,
            -other.cpu_s,
            -other.served_s,
            {name: -value for name, value in other.counted.items()},
            {name: -value for name, value in other.watched.items()},
        )


def _plus(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return {name: first.get(name, 0.0) + second.get(name, 0.0) for name in first | second}


_ORDER = ("nvml", "rapl", "estimated")


@final
@dataclass(frozen=True)
class Reading:
    """What was used since the meter started, asides left out. None where a component could not be read."""

    joules: float | None
    seconds: float
    cpu_seconds: float
    standing_j: float
    codecarbon_j: float
    co2_kg: float | None
    components: dict[str, float]


@final
@dataclass(frozen=True)
class Energy:
    """All figures of one window, with what a reader needs to judge them.

    `method` names the source of each component (nvml, rapl or estimated), and `basis` says what its joules
    were made from: figures whose `label`, `basis` or `hardware` differ are not comparable. `standing_j` is
    this job's share of what the machine draws whether anything runs or not; it is in `co2_kg` and in no
    claim. `codecarbon_j` is what CodeCarbon would say. `valid` is False, with a `note`, when the window was
    too short for a counter, counted its neighbours, saw an idle device, or lacks a component. `disturbed`
    says why its times, CPU seconds and joules are not to be compared, if others were at work.
    """

    joules: float | None
    co2_kg: float | None
    seconds: float
    method: dict[str, str]
    valid: bool
    note: str | None
    hardware: dict[str, Any]
    sampling_s: float
    grid_g_per_kwh: float
    grid_source: str
    components: dict[str, float] = field(default_factory=dict)
    concurrent: int = 1
    cpu_seconds: float | None = None
    standing_j: float | None = None
    codecarbon_j: float | None = None
    basis: str = ""
    disturbed: str | None = None
    watched: dict[str, float] = field(default_factory=dict)
    """seconds that threads ran and waited, that the machine worked, and so on (see `Watch`)"""

    @property
    def label(self) -> str:
        """How it was measured, in a word: `estimated`, `nvml+estimated`, `rapl`, or `none`."""
        return "+".join(name for name in _ORDER if name in self.method.values()) or "none"

    def facts(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self) | {"label": self.label}


@final
class Window:
    """A stretch of a meter's time; what it used is there once it has ended."""

    energy: Energy
    """of all that was not aside"""
    tally: Tally
    """the raw figures of it, which add up over windows"""
    aside_tally: Tally
    """and of what was aside"""

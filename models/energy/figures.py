"""The figures of a stretch of time, as the meter gives them."""

from dataclasses import asdict, dataclass, field
from typing import Any, final

from models.energy.tally import Tally

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

    `method` names the source of each component (nvml, rapl or estimated), `basis` from what its joules were
    made: figures whose `label`, `basis` or `hardware` differ are not comparable. `standing_j` is what the
    machine drew beside, for this job's share of it; it is in `co2_kg` and in no claim. `codecarbon_j` is
    what CodeCarbon would say. `valid` is False, with a `note`, when the window was too short for a counter,
    counted its neighbours, saw an idle device, or lacks a component. `disturbed` says why its times, CPU
    seconds and joules are not to be compared, if others were at work.
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

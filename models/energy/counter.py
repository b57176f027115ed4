"""What the sources of an energy figure have in common: NVML, RAPL and the estimate from CPU seconds."""

from typing import Any, Protocol

from models.energy.figures import Tally


class Unreadable(Exception):
    """A counter that is not there, or gave no usable figure; the text says why."""


class Counter(Protocol):
    """Joules for one or more components of the machine."""

    method: str
    """nvml, rapl or estimated"""
    components: tuple[str, ...]
    """of gpu, cpu, ram"""
    tick_s: float
    """a window shorter than this says nothing"""
    shared: bool
    """whether what other jobs on the machine use is counted and cannot be told apart"""
    basis: str
    """from what the joules are made, in words that are equal where the joules can be compared"""
    standing_w: float
    """what the machine draws beside those joules, whether anything runs or not"""

    def read(self, exact: bool) -> dict[str, float]:
        """Joules since it was opened, per component, nothing taken off; empty when nothing is counted.

        `exact` wants a fresh reading and a look around, whatever it costs. Raises `Unreadable`.
        """
        ...

    def own(self, used: Tally) -> dict[str, float]:
        """The joules of this process in a window, per component, from what the window's tally has."""
        ...

    def mark(self) -> None:
        """A window begins: forget what was observed before."""
        ...

    def doubts(self, seconds: float) -> list[str]:
        """Why the window of `seconds` that ends now may be wrong, one sentence each."""
        ...

    def hardware(self) -> dict[str, Any]:
        """What it measures, in plain values."""
        ...

    def stop(self) -> None:
        """Release threads and handles."""
        ...

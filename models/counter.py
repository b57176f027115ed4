"""What the sources of an energy figure have in common: NVML, RAPL and CodeCarbon's estimate."""

from typing import Any, Protocol


class Unreadable(Exception):
    """A counter that is not there, or gave no usable figure; the text says why."""


class Counter(Protocol):
    """Joules since it was opened, for one or more components of the machine."""

    method: str
    """nvml, rapl or estimated"""
    components: tuple[str, ...]
    """of gpu, cpu, ram"""
    tick_s: float
    """a window shorter than this says nothing"""
    shared: bool
    """whether it also counts what other jobs on the machine use"""

    def read(self, exact: bool) -> dict[str, float]:
        """Joules since it was opened, per component; `exact` wants a fresh reading, whatever it costs.

        Raises `Unreadable`.
        """
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

"""What a stretch of time used, in figures that add up: the raw material of every window."""

from dataclasses import dataclass, field
from typing import final


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

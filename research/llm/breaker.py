"""A circuit breaker: after some failures in a row nobody asks again until a rest is over."""

import time
from collections.abc import Callable
from typing import final


@final
class Breaker:
    """Opens after `threshold` failures in a row; after `rest_s` seconds one try is let through.

    `open` says why it stays shut to callers, or None; `fail(for_good=True)` opens it for good.
    """

    def __init__(self, threshold: int, rest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold, self._rest_s, self._clock = threshold, rest_s, clock
        self._failures = 0
        self._until = 0.0
        self._reason = ""

    @property
    def open(self) -> str | None:
        """The reason of the last failure while nobody may ask, else None."""
        return self._reason if self._clock() < self._until else None

    def succeed(self) -> None:
        """An answer came: the row of failures is over."""
        self._failures = 0

    def fail(self, reason: str, *, for_good: bool = False) -> None:
        """Count one failure; a final one, such as a refused key, needs no second."""
        self._failures += 1
        self._reason = reason
        if for_good or self._failures >= self._threshold:
            self._until = float("inf") if for_good else self._clock() + self._rest_s

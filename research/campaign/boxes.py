"""The time boxes of a sprint: discuss, implement, validate; each really ends, whatever runs in it."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, final

from research.campaign.budget import Price

Name = Literal["discuss", "implement", "validate"]
SHARES: dict[Name, float] = {"discuss": 5 / 15, "implement": 8 / 15, "validate": 2 / 15}


@final
class Boxes:
    """What each box may use and has used of a sprint's minutes; a box may be opened several times.

    What discussing and implementing leave over goes to validating: figures decide, and need the time.
    """

    def __init__(
        self, minutes: float, clock: Callable[[], float] = time.monotonic, budget_s: float = math.inf
    ) -> None:
        """`budget_s` is what the budget leaves: of a shorter one discussing has its share only."""
        self._limits = {name: 60 * minutes * share for name, share in SHARES.items()}
        self._limits["discuss"] = min(60 * minutes, budget_s) * SHARES["discuss"]
        self._used = dict.fromkeys(SHARES, 0.0)
        self._clock = clock
        self._open: tuple[Name, float] | None = None

    @contextmanager
    def open(self, name: Name) -> Iterator[None]:
        """Count the time of the body to a box; the body ends by itself, seeing `left_s` or `until`."""
        self._open = (name, self._clock())
        try:
            yield
        finally:
            self._used[name] = self._spent(name)
            self._open = None

    def left_s(self) -> float:
        """Seconds that are left of the open box; infinite when none is."""
        return math.inf if self._open is None else self._limit(self._open[0]) - self._spent(self._open[0])

    def limit_s(self) -> float:
        """Seconds that the open box has in all; infinite when none is."""
        return math.inf if self._open is None else self._limit(self._open[0])

    def until(self) -> float | None:
        """When the open box ends, by the clock; None when none is open."""
        left = self.left_s()
        return None if math.isinf(left) else self._clock() + left

    def short(self, seconds: float) -> str | None:
        """Why something of so many seconds does not fit into the open box; None when it does."""
        if self._open is None or seconds <= self.left_s():
            return None
        name, left = self._open[0], max(0.0, self.left_s())
        return (
            f"the sprint's box to {name} has {left:.0f} s left of {self._limit(name):.0f}, "
            f"and {seconds:.0f} s would be needed (sprint.minutes)"
        )

    def half(self, price: Price) -> str | None:
        """Why a price would take more than half of the open box; None when it does not."""
        return self.short(price.seconds + self.limit_s() / 2) if self._open else None

    def facts(self) -> dict[str, dict[str, float]]:
        """Box -> `limit_s` and `used_s`."""
        return {
            name: {"limit_s": round(self._limit(name), 3), "used_s": round(self._spent(name), 3)}
            for name in SHARES
        }

    def _spent(self, name: Name) -> float:
        running = self._open is not None and self._open[0] == name
        return self._used[name] + (self._clock() - self._open[1] if running and self._open else 0.0)

    def _limit(self, name: Name) -> float:
        if name != "validate":
            return self._limits[name]
        saved = (max(0.0, self._limits[one] - self._spent(one)) for one in ("discuss", "implement"))
        return self._limits[name] + sum(saved)

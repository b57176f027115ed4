"""What a campaign's trials may cost, asked before each spend; dollars are the ledger's, see ledger.py."""

import math
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple, final

from refusal import Refusal


class Price(NamedTuple):
    """What trials are expected to cost."""

    trials: int
    seconds: float
    joules: float

    def plus(self, other: "Price") -> "Price":
        """Both together."""
        return Price(self.trials + other.trials, self.seconds + other.seconds, self.joules + other.joules)


NOTHING = Price(0, 0.0, 0.0)


@final
class Spend:
    """Limits, what is spent, and the prediction of what comes next from the median of what was."""

    def __init__(
        self,
        *,
        trials: float | None = None,
        seconds: float | None = None,
        joules: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise `Refusal` for a limit that is not above 0; None is no limit."""
        given = {"trials": trials, "seconds": seconds, "joules": joules}
        for name, limit in given.items():
            if limit is not None and not limit > 0:
                raise Refusal(
                    f"budget.{name}={limit:g} buys nothing: give a number above 0, or null for no limit."
                )
        if trials is not None and trials != math.inf and trials != int(trials):
            raise Refusal(f"budget.trials={trials:g} is no number of trials: give a whole one.")
        self.limits = {name: math.inf if limit is None else float(limit) for name, limit in given.items()}
        self.clock = clock
        self._began = clock()
        self._seconds: list[float] = []
        self._joules: list[float] = []

    @property
    def seconds(self) -> float:
        """Seconds since the campaign began."""
        return self.clock() - self._began

    @property
    def each_s(self) -> float:
        """Seconds that a trial usually takes, 0 before the first: the median, for one may have hung."""
        return statistics.median(self._seconds) if self._seconds else 0.0

    @property
    def each_j(self) -> float:
        """Joules that a trial usually takes, 0 before the first."""
        return statistics.median(self._joules) if self._joules else 0.0

    @property
    def trials(self) -> int:
        """Trials that were run."""
        return len(self._seconds)

    @property
    def joules(self) -> float:
        """Joules of all of them."""
        return sum(self._joules)

    def add(self, seconds: float, joules: float) -> None:
        """Count a trial that was run; known ones cost nothing and are not counted."""
        self._seconds.append(seconds)
        self._joules.append(joules)

    def usual(self, trials: int, at_once: int = 1) -> Price:
        """What so many trials cost when they are like those before."""
        return Price(trials, self.each_s * math.ceil(trials / max(1, at_once)), self.each_j * trials)

    def short(self, price: Price, later: Price = NOTHING) -> str | None:
        """Why a price cannot be paid when another is kept back for later; None when it can.

        At most half of a limit is kept back, so that a small budget is not all reserve.
        """
        spent = Price(self.trials, self.seconds, self.joules)
        for name, limit in self.limits.items():
            soon, reserve = getattr(spent, name) + getattr(price, name), getattr(later, name)
            if soon + min(reserve, limit / 2) > limit:
                kept = f", and {reserve:.3g} are kept back for what follows" if reserve else ""
                return f"budget.{name}={limit:g} would be passed: {soon:.3g} with the next{kept}"
        return None

    def left_s(self) -> float:
        """Seconds that are left."""
        return self.limits["seconds"] - self.seconds

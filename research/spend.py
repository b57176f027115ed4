"""What a campaign may cost, asked before each spend: trials, seconds, joules, dollars."""

import math
import time
from collections.abc import Callable
from typing import final

from refusal import Refusal

_LIMITS = ("trials", "seconds", "joules", "dollars")


@final
class Spend:
    """Limits, what is spent, and the prediction of what comes next from the mean of what was."""

    def __init__(
        self,
        *,
        trials: float | None = None,
        seconds: float | None = None,
        joules: float | None = None,
        dollars: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise `Refusal` for a limit that is not above 0 (dollars may be 0); None is no limit."""
        given = dict(zip(_LIMITS, (trials, seconds, joules, dollars), strict=True))
        for name, limit in given.items():
            if limit is not None and not (limit > 0 or (limit == 0 and name == "dollars")):
                raise Refusal(
                    f"budget.{name}={limit:g} buys nothing: give a number above 0, or null for no limit."
                )
        self.limits = {name: math.inf if limit is None else float(limit) for name, limit in given.items()}
        self._clock = clock
        self._began = clock()
        self.trials, self.busy_s, self.joules, self.dollars = 0, 0.0, 0.0, 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the campaign began."""
        return self._clock() - self._began

    @property
    def each_s(self) -> float:
        """Mean seconds of a trial so far, 0 before the first."""
        return self.busy_s / self.trials if self.trials else 0.0

    @property
    def each_j(self) -> float:
        """Mean joules of a trial so far, 0 before the first."""
        return self.joules / self.trials if self.trials else 0.0

    def add(self, seconds: float, joules: float) -> None:
        """Count a trial that was run; known ones cost nothing and are not counted."""
        self.trials += 1
        self.busy_s += seconds
        self.joules += joules

    def short(self, trials: int, *, at_once: int = 1, later: int = 0) -> str | None:
        """Why `trials` more, `at_once` at a time, do not fit when `later` single ones are kept back; or None.

        At most half of a limit is kept back, so that a small budget is not all reserve.
        """
        turns = math.ceil(trials / max(1, at_once))
        next_and_later = {
            "trials": (self.trials + trials, later),
            "seconds": (self.seconds + self.each_s * turns, self.each_s * later),
            "joules": (self.joules + self.each_j * trials, self.each_j * later),
            "dollars": (self.dollars, 0.0),
        }
        for name, limit in self.limits.items():
            soon, reserve = next_and_later[name]
            if soon + min(reserve, limit / 2) > limit:
                return f"budget.{name}={limit:g} would be passed: {soon:.4g} next, {reserve:.4g} kept back"
        return None

    def left_s(self) -> float:
        """Seconds that are left."""
        return self.limits["seconds"] - self.seconds

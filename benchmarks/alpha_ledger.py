"""The error rates of one question where no database keeps them: for campaigns that are played or tested."""

from collections.abc import Iterable
from typing import final

from research.stats.alpha import rate
from research.types import Verdict


@final
class AlphaLedger:
    """The error rates of a question's comparisons, one after another, where no database keeps them."""

    def __init__(self, alpha: float = 0.05, supported: Iterable[bool] = ()) -> None:
        """Continue after earlier comparisons: for each, in order, whether it was `supported`."""
        self.total, self.count = alpha, 0
        self.rate = rate(alpha, 1)
        for one in supported:
            self._count(one)

    def record(self, verdict: Verdict) -> None:
        """Count a comparison that was judged at `rate`, whatever came out of it."""
        self._count(verdict.word == "supported")

    def _count(self, supported: bool) -> None:
        carried = self.rate.supported if supported else 0.0
        self.count += 1
        self.rate = rate(self.total, self.count + 1, carried)

"""The one decider: what was measured against what is claimed, at an error rate, gives a word and why.

A claim says where the mean change lies: above a least effect, inside a margin, on one side of a bound. It is
`supported` when a one-sided test excludes each of its finite ends, each at the claim's own error rate, for
all must hold (intersection-union test: Berger 1982, Technometrics 24); with two ends these are the two
one-sided tests of Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15. It is `refuted` when
a test excludes all that is claimed, at an error rate of its own. Else it is `open`.

The same holds for campaigns, recipes, `task=compare` and the tables of sweeps:
- Fewer than three values or pairs are `open`.
- A trial without a value leaves a claim `open`: what is missing, as when a target is never reached, is rarely
  missing by chance.
- Values without any spread say nothing of it and are `open`, unless the metric is exact (size, FLOPs), or
  the arms are equal throughout: that is certain wherever equality is not the very edge of the claim.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

from research.types import VerdictWord

ENOUGH = 3
"""values or pairs below which nothing is decided"""


def critical(tail: float, freedom: float) -> float:
    """The t that Student's t of so many degrees exceeds with a chance of `tail`.

    Where a decision is made scipy may be imported, at 0.2 CPU seconds; a table or a list does without.
    """
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, tail))


@final
class Region(NamedTuple):
    """Where a claim says that the mean change lies; `closed` takes its ends in."""

    low: float = -math.inf
    high: float = math.inf
    closed: bool = False

    def holds(self, value: float) -> bool:
        """Whether a change lies in it."""
        if self.closed:
            return self.low <= value <= self.high
        return (self.low < value or self.low == -math.inf) and (value < self.high or self.high == math.inf)


@final
@dataclass(frozen=True)
class Mean:
    """A mean of n values with its standard error; `exact` where no spread is expected."""

    mean: float
    error: float
    freedom: float
    n: int
    exact: bool = False
    equal: bool = False
    """whether both arms measured the same throughout"""

    def least(self, p: float) -> float:
        """The value that the mean exceeds, but for a chance of `p` < 0.5."""
        return self.mean - self._half(p)

    def most(self, p: float) -> float:
        """The value that the mean stays below, but for a chance of `p` < 0.5."""
        return self.mean + self._half(p)

    def _half(self, p: float) -> float:
        if self.n < 2:
            return math.inf
        return critical(p, self.freedom) * self.error if self.error else 0.0


def decide(measured: Mean, claimed: Region, tails: tuple[float, float], missing: int = 0) -> VerdictWord:
    """The word of an estimate for a claim, at the one-sided p-values of supporting and of refuting.

    `missing` are trials without a value.
    """
    if measured.n < ENOUGH or missing:
        return "open"
    if not measured.error:
        return _certain(measured, claimed)
    supports, refutes = tails
    low, high = measured.least(supports), measured.most(supports)
    if (claimed.low == -math.inf or claimed.holds(low)) and (claimed.high == math.inf or claimed.holds(high)):
        return "supported"
    if measured.most(refutes) < claimed.low or measured.least(refutes) > claimed.high:
        return "refuted"
    return "open"


def _certain(measured: Mean, claimed: Region) -> VerdictWord:
    """The word where nothing spreads."""
    edge = measured.mean in (claimed.low, claimed.high) and not claimed.closed
    if not measured.exact and (not measured.equal or edge):
        return "open"
    return "supported" if claimed.holds(measured.mean) else "refuted"

"""Error control over all that is ever compared for one question, so that it may stop when it likes.

The online fallback procedure of Tian and Ramdas (2021), "Online control of the familywise error rate",
Statistical Methods in Medical Research 30(4): comparison k errs at alpha * gamma_k, plus what comparison
k - 1 had if that one was `supported`. It holds under any dependence, so arms may share a control, and needs
no number of comparisons in advance. The first comparison has half of it, for the best contender comes
first; the rest falls as k ** -1.6. A comparison is one claim with all its looks, which share its rate
(`research.stats.boundary`). Of each rate most may support falsely and the rest refute falsely,
so that at most a share alpha of questions without any effect ever has a finding of either kind.
"""

from collections.abc import Iterable
from typing import final

from refusal import Refusal
from research.stats.decide import SUPPORTED, Errors
from research.types import Verdict

FIRST = 0.53
"""share of the first comparison: its first look at five pairs finds 1 SD in 35 % of cases and 2 SD in 87 %"""
REST = 0.3
"""share of all others; a sixth is never handed out: on figures that are not normal a t-test errs more"""
_DECAY = 1.6
_SUM = 1.2857656658  # of k ** -1.6 over all k > 1: zeta(1.6) - 1, rounded up


def share(number: int) -> float:
    """The share gamma of comparison `number` from 1 on; all of them come to less than 1."""
    return FIRST if number == 1 else REST / _SUM * float(number) ** -_DECAY


def rate(alpha: float, number: int, carried: float = 0.0) -> Errors:
    """The error rates of comparison `number`, over all its looks.

    `carried` is what the comparison before it might support at, where that one was supported.
    """
    if not 0 < alpha < 1:
        raise Refusal(f"alpha={alpha} is no error rate: give a share between 0 and 1, for example 0.05.")
    own = alpha * share(number)
    return Errors(SUPPORTED * own + carried, (1 - SUPPORTED) * own)


def left(alpha: float, count: int) -> float:
    """What of an error rate is left for comparisons after the first `count`."""
    return alpha * (FIRST + REST - sum(share(number) for number in range(1, count + 1)))


@final
class Ledger:
    """Hands the comparisons of a question that nobody keeps, as simulated ones, their error rates."""

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

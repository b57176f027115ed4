"""Error control over all that is ever compared for one question, so that it may stop when it likes.

The online fallback procedure of Tian and Ramdas (2021), "Online control of the familywise error rate",
Statistical Methods in Medical Research 30(4): comparison k errs at alpha * gamma_k, plus what comparison
k - 1 had if that one was `supported`. It holds under any dependence, so arms may share a control, and needs
no number of comparisons in advance. The first comparison has half of it, for the best contender comes
first; the rest falls as k ** -1.6. A comparison is one claim with all its looks, which share its rate
(`research.statistics.boundary`). Of each rate most may support falsely and the rest refute falsely,
so that at most a share alpha of questions without any effect ever has a finding of either kind.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from refusal import Refusal
from research.statistics.decide import SUPPORTED, Errors
from research.types import Verdict, VerdictWord

FIRST = 0.53
"""share of the first comparison: its first look at five pairs finds 1 SD in 35 % of cases and 2 SD in 87 %"""
REST = 0.3
"""share of all others; a sixth is never handed out: on figures that are not normal a t-test errs more"""
_DECAY = 1.6
_SUM = 1.2857656658  # of k ** -1.6 over all k > 1: zeta(1.6) - 1, rounded up


def share(number: int) -> float:
    """The share gamma of comparison `number` from 1 on; all of them come to less than 1."""
    return FIRST if number == 1 else REST / _SUM * float(number) ** -_DECAY


@final
class Ledger:
    """Hands each comparison of a question its error rates."""

    def __init__(self, alpha: float = 0.05, supported: Iterable[bool] = ()) -> None:
        """Continue after earlier comparisons: for each, in order, whether it was `supported`."""
        if not 0 < alpha < 1:
            raise Refusal(f"alpha={alpha} is no error rate: give a share between 0 and 1, for example 0.05.")
        self.total = alpha
        self.count = 0
        self._carried = 0.0
        self._words: list[VerdictWord] = []
        for one in supported:
            self._count(one)

    @property
    def rate(self) -> Errors:
        """The error rates of the next comparison, over all its looks."""
        own = self.total * share(self.count + 1)
        return Errors(SUPPORTED * own + self._carried, (1 - SUPPORTED) * own)

    @property
    def left(self) -> float:
        """What of the total no comparison has spent yet."""
        return self.total * (FIRST + REST - sum(share(number) for number in range(1, self.count + 1)))

    @property
    def words(self) -> tuple[VerdictWord, ...]:
        """What came out of each comparison that was recorded here, those it continues after left out."""
        return tuple(self._words)

    def record(self, verdict: Verdict) -> None:
        """Count a comparison that was judged at `rate`, whatever came out of it."""
        self._words.append(verdict.word)
        self._count(verdict.word == "supported")

    def _count(self, supported: bool) -> None:
        self._carried = self.rate.supported if supported else 0.0
        self.count += 1


def earlier(sprints: Iterable[Mapping[str, Any]], name: str, number: int) -> list[bool]:
    """Of the comparisons in the sprints before `number` of the campaign `name`, which were `supported`.

    `sprints` are rows of the store, whose facts say `campaign`, `number` and, as `comparisons`, the words in
    their order. Of several rows with one number, runs of the same sprint, the one that came furthest counts.
    """
    found: dict[int, Sequence[str]] = {}
    for facts in (row["facts"] for row in sprints):
        own = int(facts.get("number", 1))
        if facts.get("campaign") == name and own < number:
            found[own] = max(found.get(own, ()), facts.get("comparisons", ()), key=len)
    return [word == "supported" for own in sorted(found) for word in found[own]]

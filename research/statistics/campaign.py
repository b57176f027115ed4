"""Error control over a whole campaign, so that it may stop when it likes and A/A campaigns find nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from refusal import Refusal
from research.types import Verdict, VerdictWord

_DECAY = 1.6
_SUM = 2.2857656657  # of k ** -1.6 over all k: zeta(1.6), rounded up


@final
class Campaign:
    """Hands each comparison its level; at most a share `alpha` of campaigns without effects finds any.

    The online fallback procedure of Tian and Ramdas (2021), "Online control of the familywise error rate",
    Statistical Methods in Medical Research 30(4): comparison k errs at alpha * gamma_k, gamma_k = k**-1.6 /
    zeta(1.6), plus what comparison k - 1 had if that one was `supported`. It holds under any dependence,
    so arms may share a control, and needs no number of comparisons in advance. Every look counts: judging
    the same arms again with more seeds is another comparison. Claims of an improvement and of being as good
    (`research.statistics.equivalence`) go through the same sequence.

    A campaign of several sprints is one sequence: each sprint keeps `words` in its row, and the next one
    starts with what `earlier` reads from there. A sprint that is run again, after a kill, starts where its
    first run did: the same trials at the same levels are no new comparisons.
    """

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
    def alpha(self) -> float:
        """The error rate of the next comparison."""
        share: float = (self.count + 1) ** -_DECAY / _SUM
        return self.total * share + self._carried

    @property
    def level(self) -> float:
        """The level of the next comparison's two-sided interval."""
        return 1 - self.alpha

    @property
    def words(self) -> tuple[VerdictWord, ...]:
        """What came out of each comparison that was recorded here, those it continues after left out."""
        return tuple(self._words)

    def record(self, verdict: Verdict) -> None:
        """Count a comparison that was judged at `level`, whatever came out of it."""
        self._words.append(verdict.word)
        self._count(verdict.word == "supported")

    def _count(self, supported: bool) -> None:
        self._carried = self.alpha if supported else 0.0
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

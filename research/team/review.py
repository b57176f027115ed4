"""What a review is: five scores to one by fixed weights, and how often a proposal may be improved."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

from pydantic import Field

from refusal import Refusal
from research.types import Record

By = Literal["model", "stand-in"]

WEIGHTS = {"novelty": 0.25, "feasibility": 0.20, "impact": 0.20, "clarity": 0.15, "efficiency": 0.20}
"""share of each facet in the total"""
_TWICE, _ONCE = 2, 1


@final
class Thresholds(Record):
    """Totals that decide what becomes of a proposal."""

    accept: float = Field(default=7.0, ge=1, le=10)
    """from here up it is queued"""
    improve: float = Field(default=5.0, ge=1, le=10)
    """a first review from here up allows two improvements, one below it allows one"""

    def accepted(self, score: float | None) -> bool:
        """Whether a proposal is queued; one that nobody could score is not."""
        return score is not None and score >= self.accept

    def improvements(self, first: float | None) -> int:
        """How often a proposal may be improved after its first review."""
        return _TWICE if first is not None and first >= self.improve else _ONCE


@final
class Opinion(Record):
    """One reviewer's opinion of one proposal, as it stands in a row of the table `review`."""

    role: str
    scores: dict[str, float | None]
    """facet -> 1 to 10; None is no opinion, and is left out of the total"""
    reasons: tuple[str, ...]
    risks: tuple[str, ...] = ()
    chance: float | None = None
    by: By
    facts: dict[str, Any] = {}
    """what code had checked before: the reviewer was given it"""

    @property
    def score(self) -> float | None:
        """The total of the facets that have a score, computed here and never given."""
        return total(self.scores)

    @property
    def worst(self) -> str | None:
        """The facet with the lowest score."""
        known = {facet: value for facet, value in self.scores.items() if value is not None}
        return min(known, key=lambda facet: known[facet], default=None)

    def content(self) -> dict[str, Any]:
        """What the review's row holds beside role and score."""
        return self.model_dump(mode="json", exclude={"role"})


def total(scores: Mapping[str, float | None]) -> float | None:
    """The weighted mean of the scores that there are, None when there are none.

    A missing facet takes its weight with it: it is neither a good score nor a middle one.
    """
    known = {facet: value for facet, value in scores.items() if value is not None}
    if set(scores) - set(WEIGHTS):
        raise Refusal(f"A review scores {', '.join(WEIGHTS)}, not {', '.join(set(scores) - set(WEIGHTS))}.")
    weight = sum(WEIGHTS[facet] for facet in known)
    return round(sum(WEIGHTS[facet] * value for facet, value in known.items()) / weight, 4) if known else None


def panel(opinions: Sequence[Opinion]) -> float | None:
    """The mean total of several reviewers; None when none of them has one."""
    scores = [opinion.score for opinion in opinions if opinion.score is not None]
    return sum(scores) / len(scores) if scores else None

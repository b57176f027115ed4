"""What a review is: what code knows of a proposal, five scores to one, and who stands in for a reviewer."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, final

from pydantic import Field

from refusal import Refusal
from research.compose.override import values_of
from research.metrics import rank
from research.propose.proposer import Seen
from research.types import Objective, Proposal, Record

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
    """The weighted mean of the scores that there are; a missing facet takes its weight with it."""
    known = {facet: value for facet, value in scores.items() if value is not None}
    if strange := set(scores) - set(WEIGHTS):
        raise Refusal(f"A review scores {', '.join(WEIGHTS)}, not {', '.join(strange)}.")
    weight = sum(WEIGHTS[facet] for facet in known)
    return round(sum(WEIGHTS[facet] * value for facet, value in known.items()) / weight, 4) if known else None


def panel(opinions: Sequence[Opinion]) -> float | None:
    """The mean total of several reviewers; None when none of them has one."""
    scores = [opinion.score for opinion in opinions if opinion.score is not None]
    return sum(scores) / len(scores) if scores else None


CHECKED = ("novelty", "feasibility", "efficiency")
"""facets that facts score where they can"""
_NEIGHBOURS = 3
_NEAR = 0.6
"""distance up to which what came of a neighbour says anything: most of what is turned is turned alike"""
_ENOUGH = 4
"""results below which a place among them says nothing"""


@final
class Facts(Record):
    """What is known of a proposal; None is not known, which is said and not guessed."""

    gate: str = "accepted"
    repeat: bool = False
    idle: tuple[str, ...] = ()
    """a sentence for each override that changes nothing beside the others"""
    distance: float | None = None
    """to the nearest that was tried: 0 is the same, 1 shares no setting; None before anything was tried"""
    seconds: float | None = None
    """of one whole trial by the clock, predicted"""
    cpu_seconds: float | None = None
    joules: float | None = None
    """of the steps of one trial, predicted"""
    cost_ratio: float | None = None
    """predicted CPU seconds of a trial's steps over the control's"""
    cost_error: float | None = None
    """four of five trials so far cost within so many times of what is predicted of them"""
    failure: float | None = None
    """predicted chance that a trial fails"""
    place: float | None = None
    """share of the results so far that its neighbours beat; None where too few are near"""
    known: tuple[str, ...] = ()
    """what it was near to, with what came of it"""

    def told(self) -> dict[str, Any]:
        """For a prompt and for the row: three digits, and no empty fields."""
        shown = self.model_dump(mode="json", exclude_none=True)
        return {key: float(f"{v:.3g}") if isinstance(v, float) else v for key, v in shown.items() if v != []}


def distance(one: Sequence[str], other: Sequence[str]) -> float:
    """How far two lists of overrides are apart: the mean over the keys that either sets, each 0 to 1.

    Numbers a decade apart, different words, and a key that only one of them sets are 1 apart.
    """
    first, second = map(values_of, (one, other))
    keys = first.keys() | second.keys()
    return sum(_apart(first.get(key), second.get(key)) for key in keys) / len(keys) if keys else 0.0


def _apart(one: str | None, other: str | None) -> float:
    if one == other:
        return 0.0
    if one is None or other is None:
        return 1.0
    try:
        low, high = sorted((abs(float(one)), abs(float(other))))
    except ValueError:
        return 1.0
    return min(1.0, math.log10(high / low)) if low > 0 else 1.0


def neighbourhood(proposal: Proposal, seen: Sequence[Seen], objective: Objective) -> dict[str, Any]:
    """Distance, place, failure and known of `Facts`, from what this campaign has seen."""
    tried = [result for result in seen if result.status in ("done", "failed")]
    apart = [distance(proposal.overrides, result.overrides) for result in tried]
    nearest = sorted(range(len(tried)), key=lambda place: apart[place])[:_NEIGHBOURS]
    near = [tried[place] for place in nearest if apart[place] <= _NEAR]
    return {
        "distance": min(apart, default=None),
        "failure": sum(result.word == "failed" for result in near) / len(near) if near else None,
        "place": _place(near, tried, objective),
        "known": tuple(_told(result, objective) for result in near),
    }


def _place(near: Sequence[Seen], tried: Sequence[Seen], objective: Objective) -> float | None:
    """The mean share of results that the neighbours beat."""
    done = [rank(objective, result.metrics) for result in tried if result.status == "done"]
    mine = [rank(objective, result.metrics) for result in near if result.status == "done"]
    if len(done) < _ENOUGH or not mine:
        return None
    beaten = [sum(other > own for other in done) / (len(done) - 1) for own in mine]
    return sum(beaten) / len(beaten)


def _told(seen: Seen, objective: Objective) -> str:
    value = seen.metrics.get(objective.metric)
    came = seen.reason or "failed" if value is None else f"{objective.metric}={value:.4g}"
    return f"{' '.join(seen.overrides) or 'control'}: {came}"[:300]


NAME: By = "stand-in"
_TURNED = 4
"""overrides above which a claim no longer says what did it"""
_NEW = 7.0
"""novelty of what is as near to what was tried as can be: the gate has refused the repeats"""
_LONG = 8.5
"""clarity of a claim with any number of overrides, when it says what would refute it"""


def by_facts(proposal: Proposal, facts: Facts) -> Opinion:
    """The five scores from facts alone; a facet that no fact speaks of is None.

    What is new, costs no more than the control and fails in at most one of ten cases has at least 7 in all.
    """
    scores = {
        "novelty": 10.0 if facts.distance is None else _NEW + (10 - _NEW) * min(1.0, facts.distance),
        "feasibility": None if facts.failure is None else _within(10 * (1 - facts.failure)),
        "impact": None if facts.place is None else _within(1 + 9 * facts.place),
        "clarity": _clarity(proposal),
        "efficiency": None if facts.cost_ratio is None else _efficiency(facts.cost_ratio),
    }
    return Opinion(
        role="reviewer", scores=scores, reasons=tuple(_reasons(scores, facts)), by=NAME, facts=facts.told()
    )


def scored(told: Mapping[str, float], proposal: Proposal, facts: Facts) -> dict[str, float | None]:
    """A model's scores, the facts' where they speak: the bar is the same whoever reviews."""
    known = by_facts(proposal, facts).scores
    return {facet: (known[facet] if facet in CHECKED else None) or told.get(facet) for facet in WEIGHTS}


def _within(score: float) -> float:
    return min(10.0, max(1.0, score))


def _efficiency(ratio: float) -> float:
    """10 up to the control's cost, two less for each doubling."""
    return _within(10 - 2 * math.log2(max(1.0, ratio)))


def _clarity(proposal: Proposal) -> float:
    """It is told what would refute it, and it turns few enough knobs to say what did it."""
    more = max(0, len(proposal.overrides) - _TURNED)
    return _within(max(_LONG, 10 - more / 4) - 4 * (not proposal.refuted_by))


def _reasons(scores: dict[str, float | None], facts: Facts) -> list[str]:
    said = {
        "novelty": "nothing was tried before"
        if facts.distance is None
        else f"its nearest neighbour is {facts.distance:.2f} away",
        "feasibility": f"{100 * (facts.failure or 0):.0f} % of what is like it failed",
        "impact": f"its neighbours beat {100 * (facts.place or 0):.0f} % of the results",
        "clarity": "by its number of overrides and by what would refute it",
        "efficiency": f"a trial costs about {facts.cost_ratio or 0:.2g} times the control's",
    }
    return [
        f"{facet}: no fact speaks of it" if score is None else f"{facet} {score:.1f}: {said[facet]}"
        for facet, score in scores.items()
    ]


@final
class Revised(Record):
    """A proposal after an improvement, and what was changed."""

    proposal: Proposal
    changed: str
    by: By


def shortened(
    proposal: Proposal, opinion: Opinion, facts_of: Callable[[Proposal], Facts | None]
) -> Revised | None:
    """The proposal with the one override less that mends its worst facet most; None when none does.

    `facts_of` is None for what the gate refuses or was tried; leaving an override idle is no improvement.
    """
    facet, before = opinion.worst, opinion.score
    if facet is None or before is None or len(proposal.overrides) < 2:
        return None
    best: tuple[float, float, Revised] | None = None
    for dropped, fewer in _fewer(proposal):
        facts = facts_of(fewer)
        if facts is None or facts.idle:
            continue
        after = by_facts(fewer, facts)
        gain, score = (after.scores[facet] or 0.0) - (opinion.scores[facet] or 0.0), after.score or 0.0
        if gain > 0 and score > before and (best is None or (gain, score) > best[:2]):
            changed = f"dropped {dropped}: {facet} was {opinion.scores[facet] or 0:.1f}"
            best = (gain, score, Revised(proposal=fewer, changed=changed, by=NAME))
    return None if best is None else best[2]


def _fewer(proposal: Proposal) -> Iterator[tuple[str, Proposal]]:
    """Each proposal with one override less."""
    for place, override in enumerate(proposal.overrides):
        kept = (*proposal.overrides[:place], *proposal.overrides[place + 1 :])
        claim = f"{proposal.hypothesis} (without {override})"[:2000]
        yield override, proposal.model_copy(update={"overrides": kept, "hypothesis": claim})

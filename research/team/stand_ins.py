"""Who stands in for a role without a model: scores and improvements from facts, marked as what they are."""

import math
from collections.abc import Callable, Sequence
from typing import final

from research.team.facts import Facts
from research.team.review import By, Opinion
from research.types import Proposal, Record

NAME: By = "stand-in"
_TURNED = 4
"""overrides above which a claim no longer says what did it"""
_NEW = 7.0
"""novelty of what is no repeat but as near to one as can be: the gate has already refused the repeats"""
_LONG = 8.5
"""clarity of a claim with any number of overrides, when it says what would refute it"""


def review(proposal: Proposal, facts: Facts, role: str = "reviewer") -> Opinion:
    """The five scores from facts alone; a facet that no fact speaks of is None.

    What is new, costs no more than the control and fails in at most one of ten cases has at least 7 in all,
    whatever its neighbours came to: a search must be able to look where it was bad before.
    """
    scores = {
        "novelty": _novelty(facts),
        "feasibility": None if facts.failure is None else _within(10 * (1 - facts.failure)),
        "impact": None if facts.place is None else _within(1 + 9 * facts.place),
        "clarity": _clarity(proposal),
        "efficiency": None if facts.cost_ratio is None else _efficiency(facts.cost_ratio),
    }
    return Opinion(
        role=role,
        scores=scores,
        reasons=tuple(_reasons(scores, facts)),
        risks=(facts.doubt,) if facts.doubt else (),
        by=NAME,
        facts=facts.told(),
    )


def _within(score: float) -> float:
    return min(10.0, max(1.0, score))


def _novelty(facts: Facts) -> float:
    if facts.repeat:
        return 1.0
    return 10.0 if facts.distance is None else _NEW + (10 - _NEW) * min(1.0, facts.distance)


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
        "feasibility": f"{100 * (facts.failure or 0):.0f} % of what is like it failed or was stopped",
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


def improve(
    proposal: Proposal, opinion: Opinion, facts_of: Callable[[Proposal], Facts | None]
) -> Revised | None:
    """The proposal with the one override less that mends its worst facet most; None when none does.

    `facts_of` is None for what the gate refuses or what was tried before. One that leaves another override
    without effect is no improvement.
    """
    facet, before = opinion.worst, opinion.score
    if facet is None or before is None or len(proposal.overrides) < 2:
        return None
    best: tuple[float, float, Revised] | None = None
    for dropped, fewer in _fewer(proposal):
        facts = facts_of(fewer)
        if facts is None or facts.idle:
            continue
        after = review(fewer, facts)
        gain, score = (after.scores[facet] or 0.0) - (opinion.scores[facet] or 0.0), after.score or 0.0
        if gain > 0 and score > before and (best is None or (gain, score) > best[:2]):
            changed = f"dropped {dropped}: {facet} was {opinion.scores[facet] or 0:.1f}"
            best = (gain, score, Revised(proposal=fewer, changed=changed, by=NAME))
    return None if best is None else best[2]


def _fewer(proposal: Proposal) -> Sequence[tuple[str, Proposal]]:
    """Each proposal with one override less."""
    found = []
    for place, override in enumerate(proposal.overrides):
        kept = (*proposal.overrides[:place], *proposal.overrides[place + 1 :])
        claim = f"{proposal.hypothesis} (without {override})"[:2000]
        found.append((override, proposal.model_copy(update={"overrides": kept, "hypothesis": claim})))
    return found

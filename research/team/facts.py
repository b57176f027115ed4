"""What code knows of a proposal before anybody judges it: repeats, cost, failures, neighbours' results."""

import math
from collections.abc import Sequence
from typing import Any, final

from research.metrics import rank
from research.propose.proposer import Seen
from research.types import Objective, Proposal, Record

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
    doubt: str | None = None
    """why it may fail"""
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
    first, second = (dict(text.split("=", 1) for text in texts if "=" in text) for texts in (one, other))
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
    tried = [one for one in seen if one.status in ("done", "failed")]
    ordered = sorted(
        ((distance(proposal.overrides, one.overrides), place) for place, one in enumerate(tried))
    )
    near = [tried[place] for far, place in ordered[:_NEIGHBOURS] if far <= _NEAR]
    return {
        "distance": ordered[0][0] if ordered else None,
        "failure": sum(one.status == "failed" for one in near) / len(near) if near else None,
        "place": _place(near, tried, objective),
        "known": tuple(_told(one, objective) for one in near),
    }


def _place(near: Sequence[Seen], tried: Sequence[Seen], objective: Objective) -> float | None:
    """The mean share of results that the neighbours beat."""
    done = [rank(objective, one.metrics) for one in tried if one.status == "done"]
    mine = [rank(objective, one.metrics) for one in near if one.status == "done"]
    if len(done) < _ENOUGH or not mine:
        return None
    beaten = [sum(other > own for other in done) / (len(done) - 1) for own in mine]
    return sum(beaten) / len(beaten)


def _told(seen: Seen, objective: Objective) -> str:
    value = seen.metrics.get(objective.metric)
    came = seen.reason or "failed" if value is None else f"{objective.metric}={value:.4g}"
    return f"{' '.join(seen.overrides) or 'control'}: {came}"[:300]

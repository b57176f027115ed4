"""From the figures of two arms to a word: each part of a claim by itself, then the claim as a whole.

An experiment of K claims judges each at alpha / K (Bonferroni), so that it says anything false of all of them
together with a chance of at most alpha. A claim of several parts is `supported` only when every part is, each
at the claim's own error rate; it is `refuted` when one part is, and for that the rate is shared out over the
parts. What each part takes is `research.stats.decide`'s to say, as everywhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from research.campaign.recipe import Claim, Part, Size
from research.stats.decide import Errors
from research.stats.equivalence import Margin
from research.stats.examples import Ground
from research.stats.intervals import ALONE, Scale, check, judge, settle
from research.types import Comparison, Constraint, Direction, VerdictWord

Values = Mapping[int, float]
"""seed -> value, NaN where the trial failed or did not measure it"""


@final
@dataclass(frozen=True)
class Found:
    """One part of a claim as judged; the comparison is None for a bound on the arm alone."""

    part: Part
    word: VerdictWord
    reason: str
    comparison: Comparison | None


@final
@dataclass(frozen=True)
class Judged:
    """One claim of one arm as judged."""

    claim: Claim
    arm: str
    against: str
    word: VerdictWord
    parts: tuple[Found, ...]
    alpha: float

    @property
    def reason(self) -> str:
        """The parts that decided the word, with their reasons."""
        decided = [one for one in self.parts if one.word == self.word]
        return "; ".join(f"{one.part.metric} {one.reason}" for one in decided)


def claim_word(parts: Sequence[Found]) -> VerdictWord:
    """The word of a claim: `refuted` by any part, `supported` by all."""
    words = {one.word for one in parts}
    if "refuted" in words:
        return "refuted"
    return "supported" if words == {"supported"} else "open"


def judged(part: Part, control: Values, arm: Values, rate: Errors, ground: Ground = ALONE) -> Found:
    """Judge one part of a claim; `rate` is that of the part, see `Errors.among`, `ground` its figure's."""
    if part.kind in ("at_most", "at_least"):
        bound = Constraint(
            metric=part.metric, op="<=" if part.kind == "at_most" else ">=", bound=part.size.number
        )
        return Found(part, *check(bound, arm.values(), rate, ground), None)
    if part.kind in ("less_by", "more_by"):
        return _better(part, control, arm, rate, ground)
    low = -math.inf if part.kind == "not_more_by" else change(part.size, -1)
    high = math.inf if part.kind == "not_less_by" else change(part.size, 1)
    margin = Margin(low, high)
    given = (control, arm, part.metric, margin.region, margin.said, scale(part.size), rate, ground)
    return Found(part, *settle(*given))


def _better(part: Part, control: Values, arm: Values, rate: Errors, ground: Ground) -> Found:
    direction: Direction = "min" if part.kind == "less_by" else "max"
    verdict = judge(
        control,
        arm,
        metric=part.metric,
        direction=direction,
        smallest_effect=abs(change(part.size, -1 if direction == "min" else 1)),
        scale=scale(part.size),
        rate=rate,
        ground=ground,
    )
    return Found(part, verdict.word, verdict.reason, verdict.comparison)


def scale(size: Size) -> Scale:
    """Sizes in percent and in times compare logarithms, whose difference is told in percent."""
    return "ratio" if size.unit else "difference"


def change(size: Size, sign: int) -> float:
    """The size as a change of the control to one side, in percent for a ratio: 2x is +100 or -50."""
    if size.unit == "x":
        return 100 * (size.number - 1) if sign > 0 else 100 * (1 / size.number - 1)
    return sign * size.number

"""From the figures of two arms to a word: each part of a claim by itself, then the claim as a whole.

An experiment of K claims judges each at alpha / K (Bonferroni), so that it says anything false of all of them
together with a chance of at most alpha. A claim of several parts is `supported` only when every part is, each
at the claim's own level (intersection-union test: Berger 1982, Technometrics 24); it is `refuted` when one
part is, and for that its level is shared out over the parts. Equality and margins are judged by two one-sided
tests (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from research.experiments.study import Claim, Part, Size
from research.statistics.equivalence import Margin, within
from research.stats import Scale, check, compare, judge
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


def judged(part: Part, control: Values, arm: Values, alpha: float, parts: int = 1) -> Found:
    """Judge one part at `alpha`; a refutation must hold at alpha / `parts`.

    A trial without a value, in the arm or in the control, leaves it `open`: those that are missing, as when a
    target is never reached, are rarely missing by chance.
    """
    found = _once(part, control, arm, alpha)
    if found.word == "refuted" and parts > 1 and _once(part, control, arm, alpha / parts).word != "refuted":
        found = Found(part, "open", f"{found.reason}, which does not refute it among {parts}", None)
    own = [arm] if found.comparison is None and part.kind in ("at_most", "at_least") else [control, arm]
    missing = sum(not math.isfinite(value) for values in own for value in values.values())
    if not missing:
        return found
    of = sum(map(len, own))
    return Found(part, "open", f"is missing in {missing} of {of} trials ({found.reason})", found.comparison)


def _once(part: Part, control: Values, arm: Values, alpha: float) -> Found:
    if part.kind in ("at_most", "at_least"):
        bound = Constraint(
            metric=part.metric, op="<=" if part.kind == "at_most" else ">=", bound=part.size.number
        )
        return Found(part, *check(bound, arm.values(), 1 - alpha), None)
    if part.kind in ("less_by", "more_by"):
        return _better(part, control, arm, alpha)
    return _within(part, control, arm, alpha)


def _better(part: Part, control: Values, arm: Values, alpha: float) -> Found:
    direction: Direction = "min" if part.kind == "less_by" else "max"
    verdict = judge(
        control,
        arm,
        metric=part.metric,
        direction=direction,
        smallest_effect=abs(change(part.size, -1 if direction == "min" else 1)),
        scale=scale(part.size),
        level=1 - alpha,
    )
    return Found(part, verdict.word, verdict.reason, verdict.comparison)


def _within(part: Part, control: Values, arm: Values, alpha: float) -> Found:
    """Two one-sided tests, each at `alpha`: the interval of level 1 - 2 alpha against the margin's ends."""
    found = compare(control, arm, part.metric, 1 - 2 * alpha, scale(part.size))
    low = -math.inf if part.kind == "not_more_by" else change(part.size, -1)
    high = math.inf if part.kind == "not_less_by" else change(part.size, 1)
    return Found(part, *within(found, part.metric, Margin(low, high)), found)


def scale(size: Size) -> Scale:
    """Sizes in percent and in times compare logarithms, whose difference is told in percent."""
    return "ratio" if size.unit else "difference"


def change(size: Size, sign: int) -> float:
    """The size as a change of the control to one side, in percent for a ratio: 2x is +100 or -50."""
    if size.unit == "x":
        return 100 * (size.number - 1) if sign > 0 else 100 * (1 / size.number - 1)
    return sign * size.number

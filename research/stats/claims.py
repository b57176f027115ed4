"""From the figures of two arms to a word: each part of a claim by itself, then the claim as a whole.

An experiment of K claims judges each at alpha / K (Bonferroni), so that it says anything false of all of them
together with a chance of at most alpha. A claim of several parts is `supported` only when every part is, each
at the claim's own error rate; it is `refuted` when one part is, and for that the rate is shared out over the
parts. What each part takes is `research.stats.decide`'s to say, as everywhere.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, final

from pydantic import Field, field_validator, model_validator

from refusal import Refusal
from research.stats.decide import Errors, Region
from research.stats.examples import Ground
from research.stats.intervals import ALONE, USUAL, Arm, Said, Scale, check, judge, settle
from research.types import Comparison, Constraint, Direction, Record, Verdict, VerdictWord

Kind = Literal["less_by", "more_by", "not_less_by", "not_more_by", "equal_within", "at_most", "at_least"]
KINDS: tuple[Kind, ...] = (
    *("less_by", "more_by", "not_less_by", "not_more_by"),
    *("equal_within", "at_most", "at_least"),
)
_SIZE = re.compile(r"([0-9]*\.?[0-9]+(?:e-?[0-9]+)?) ?(%|x)?", re.IGNORECASE)


@final
class Size(NamedTuple):
    """A difference: plain in the metric's unit, `10 %` of the control, or `2x` times the control."""

    number: float
    unit: Literal["", "%", "x"]

    def __str__(self) -> str:
        return f"{self.number:g}{' %' if self.unit == '%' else self.unit}"


@final
class Part(Record):
    """One comparison of an arm with its control: exactly one of the kinds.

    `less_by` and `more_by` claim a difference beyond the size; `not_less_by` and `not_more_by` that it stays
    within it on one side; `equal_within` on both; `at_most` and `at_least` bound the arm's own mean.
    """

    metric: str
    less_by: Size | None = None
    more_by: Size | None = None
    not_less_by: Size | None = None
    not_more_by: Size | None = None
    equal_within: Size | None = None
    at_most: float | None = None
    at_least: float | None = None

    @field_validator(*KINDS[:5], mode="before")
    @classmethod
    def _sized(cls, given: Any) -> Size:
        found = _SIZE.fullmatch(str(given).strip())
        if isinstance(given, bool) or found is None:
            raise ValueError(f"{given!a} is no size: write 0.01, 10 % or 2x")
        size = Size(float(found[1]), (found[2] or "").lower())  # type: ignore[arg-type]
        if size.unit == "x" and size.number <= 1:
            raise ValueError(f"{given!a}: times the control is above 1, as 2x")
        return size

    @model_validator(mode="after")
    def _one_kind(self) -> "Part":
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"{self.metric} needs exactly one of {', '.join(KINDS)}")
        if given[0] in KINDS[2:5] and not self.size.number > 0:
            raise ValueError(f"{self.metric}: a margin is above 0")
        return self

    @cached_property
    def kind(self) -> Kind:
        """Which of the kinds it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def size(self) -> Size:
        """The size of a difference; the bound, for the kinds that have one."""
        given = getattr(self, self.kind)
        return given if isinstance(given, Size) else Size(float(given), "")

    @property
    def words(self) -> str:
        """For example `size/bytes less by 3.5x`."""
        if self.kind.endswith("_by") and not self.kind.startswith("not") and not self.size.number:
            return f"{self.metric} {self.kind.removesuffix('_by')}"
        return f"{self.metric} {self.kind.replace('_', ' ')} {self.size}"


@final
class Claim(Record):
    """What is claimed of an arm against a control; all parts must hold."""

    says: str = Field(min_length=1)
    arm: str | None = None
    """the line of the arm; None claims it of each arm"""
    against: str | None = None
    """the line of another arm; None is the study's control"""
    all: tuple[Part, ...] = Field(min_length=1)


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


class Margin(NamedTuple):
    """The changes between which two arms count as alike; an infinite end is not tested."""

    low: float
    high: float

    def __str__(self) -> str:
        if math.isinf(self.low) or math.isinf(self.high):
            return f"the margin of {self.high if math.isinf(self.low) else self.low:+.4g}"
        return f"the margin [{self.low:+.4g}, {self.high:+.4g}]"

    @property
    def region(self) -> Region:
        """What a claim says that keeps to it."""
        return Region(self.low, self.high)

    @property
    def said(self) -> Said:
        """How each word of such a claim is put."""
        return Said(f"inside {self}", f"outside {self}", f"does not settle {self}")


def as_good_as(
    control: Arm,
    treatment: Arm,
    *,
    metric: str,
    direction: Direction | None = None,
    margin: float,
    scale: Scale = "difference",
    rate: Errors = USUAL,
    trial_ids: tuple[int, ...] = (),
    ground: Ground = ALONE,
) -> Verdict:
    """Say whether the treatment is as good as the control within `margin`, paired by seed.

    Two one-sided tests, each at the error rate of supporting (Schuirmann 1987, Journal of Pharmacokinetics
    and Biopharmaceutics 15; Lakens 2017, Social Psychological and Personality Science 8). A difference that
    is not significant is no evidence of equality; this is.

    - with a `direction`: `supported` when a loss of the margin is excluded, and the reason says whether a
      gain of the margin is excluded too, so that both are alike; `refuted` when the loss exceeds the margin.
    - without one neither side is better: `supported` only when both are excluded, `refuted` beyond either.

    The margin is in the metric's unit, in percent of the control with `scale="ratio"`; it is settled before
    anything is run. `rate` is that of the ledger's next comparison, and the verdict is recorded there as any
    other. Raises `Refusal` for a margin that is none.
    """
    _check(margin, direction, scale)
    given = (control, treatment, metric)
    lost = _losing(margin, direction)
    word, reason, found = settle(*given, lost.region, lost.said, scale, rate, ground)
    if word == "supported" and direction is not None:
        both = Margin(-margin, margin)
        alike, _, _ = settle(*given, both.region, both.said, scale, rate, ground)
        reason += ", and alike" if alike == "supported" else ", and it may be better by more"
    return Verdict(word=word, comparison=found, reason=reason, trial_ids=trial_ids)


def _losing(margin: float, direction: Direction | None) -> Margin:
    """The margin of which only the worse side is tested, where one side is worse."""
    return Margin(
        -math.inf if direction == "min" else -margin,
        math.inf if direction == "max" else margin,
    )


def _check(margin: float, direction: Direction | None, scale: Scale) -> None:
    if not 0 < margin < math.inf:
        raise Refusal(f"margin={margin}: give the largest loss that does not matter, above zero.")
    if scale == "ratio" and direction != "min" and margin >= 100:
        raise Refusal(f"margin={margin}: nothing falls by 100 %, so give less.")

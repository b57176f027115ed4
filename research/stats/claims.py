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

from research.stats.decide import Errors
from research.stats.equivalence import Margin
from research.stats.examples import Ground
from research.stats.intervals import ALONE, Scale, check, judge, settle
from research.types import Comparison, Constraint, Direction, Record, VerdictWord

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

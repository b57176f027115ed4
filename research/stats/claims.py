"""What can be claimed of an arm against a control: the one grammar of claims.

A recipe states its claims in `conf/experiment/NAME.yaml`, a campaign makes one of its goal, and a discovery
is written down as the claim that was confirmed. What the figures say of a claim: `research.stats.verdicts`.
"""

import math
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal, NamedTuple, final, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from research.metrics import described, is_exact, is_ratio, is_timed, twin
from research.page import exact
from research.stats.decide import Region
from research.types import Constraint, Direction, Objective, Record, Scale

Kind = Literal["less_by", "more_by", "not_less_by", "not_more_by", "equal_within", "at_most", "at_least"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_BARE: dict[str, Kind] = {"less": "less_by", "more": "more_by", "<=": "at_most", ">=": "at_least"}
_SPELT = re.compile(
    rf"(?P<metric>[a-z]+/\w+) (?P<kind>{'|'.join(kind.replace('_', ' ') for kind in KINDS)}|[<>]=|less|more)"
    r"(?: (?P<size>\S.*))?",
    re.IGNORECASE,
)
_FREE = ("/r2", "/own_score", "/own_error", "/own_loss")
"""figures without a lowest value"""
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?", re.IGNORECASE)
_SIZE = re.compile(r"([0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?) ?(%|x)?", re.IGNORECASE)


@final
class Size(NamedTuple):
    """A difference: plain in the metric's unit, `10 %` of the control, or `2x` times the control."""

    number: float
    unit: Literal["", "%", "x"] = ""

    def __str__(self) -> str:
        return f"{exact(self.number)}{' %' if self.unit == '%' else self.unit}"

    @property
    def scale(self) -> Scale:
        """Sizes in percent and in times compare logarithms, whose difference is told in percent."""
        return "relative" if self.unit else "absolute"

    def change(self, sign: int) -> float:
        """The size as a change of the control to one side, in percent for a ratio: 2x is +100 or -50."""
        if self.unit == "x":
            return 100 * (self.number - 1) if sign > 0 else 100 * (1 / self.number - 1)
        return sign * self.number


@final
class Part(Record):
    """One comparison of an arm with its control: exactly one of the kinds.

    `less_by` and `more_by` claim a difference beyond the size; `not_less_by` and `not_more_by` that it stays
    within it on one side; `equal_within` on both; `at_most` and `at_least` bound the arm's own mean.
    A margin is above 0, for noise alone breaks one of 0, unless the metric is exact.
    """

    metric: str
    less_by: Size | None = None
    more_by: Size | None = None
    not_less_by: Size | None = None
    not_more_by: Size | None = None
    equal_within: Size | None = None
    at_most: float | None = None
    at_least: float | None = None

    @classmethod
    def of(cls, metric: str, kind: Kind, size: Size | float) -> "Part":
        """The part of a kind."""
        return cls.model_validate({"metric": metric, kind: size})

    @classmethod
    def keeping(cls, bound: Constraint) -> "Part":
        """That an arm keeps a bound: by its own mean, or by its change where that is relative to the control.

        A bound on the far side of the control is a margin, so keeping it is non-inferiority. One at the
        control itself leaves none: what is exact keeps it by being no worse, and anything else only by being
        shown to be better, for no number of seeds shows that two noisy figures are equal.
        """
        if bound.of_control is None:
            return cls.of(bound.metric, "at_most" if bound.op == "<=" else "at_least", bound.bound)
        ratio, upper = bound.of_control == "ratio", bound.op == "<="
        change = round(100 * (bound.bound - 1), 10) if ratio else bound.bound
        loose = change > 0 if upper else change < 0
        if loose or (not change and is_exact(bound.metric)):
            kind: Kind = "not_more_by" if upper else "not_less_by"
        else:
            kind = "less_by" if upper else "more_by"
        return cls.of(bound.metric, kind, Size(abs(change), "%" if ratio else ""))

    @classmethod
    def read(cls, text: str) -> "Part":
        """The part that `words` spells; raises `ValueError` for any other text."""
        spelt = _SPELT.fullmatch(" ".join(text.replace("`", " ").strip(" .\n").split()))
        if spelt is None:
            raise ValueError("write METRIC less by|more by|not less by|not more by|equal within SIZE")
        metric, kind, size = spelt["metric"].lower(), spelt["kind"].lower(), spelt["size"]
        known = _BARE.get(kind) or kind.replace(" ", "_")
        row = described(metric)
        if row is None or not row.claimed:
            raise ValueError(f"{metric} is no figure that is claimed")
        if (size is None) != (kind in ("less", "more")):
            raise ValueError("a claim is told by one size, as 0.01, 10 % or 2x")
        if known in KINDS[5:] and not (_NUMBER.fullmatch(size or "") and math.isfinite(float(size))):
            raise ValueError("a bound is a finite number")
        try:
            return cls.model_validate({"metric": metric, known: size or ("0 %" if is_ratio(metric) else "0")})
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None

    @field_validator(*KINDS[:5], mode="before")
    @classmethod
    def _sized(cls, given: Any) -> Size | None:
        if given is None or isinstance(given, Size):
            return given
        if isinstance(given, list) and len(given) == 2:  # as a row keeps it
            given = f"{given[0]:.17g}{given[1]}"
        read = _SIZE.fullmatch(str(given).strip())
        if isinstance(given, bool) or read is None or math.isinf(float(read[1])):
            raise ValueError(f"{given!a} is no size: write 0.01, 10 % or 2x")
        size = Size(float(read[1]), (read[2] or "").lower())  # type: ignore[arg-type]
        if size.unit == "x" and size.number <= 1:
            raise ValueError(f"{given!a}: times the control is above 1, as 2x")
        return size

    @model_validator(mode="after")
    def _one_kind(self) -> "Part":
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"{self.metric} needs exactly one of {', '.join(KINDS)}")
        if given[0] in KINDS[2:5] and not self.size.number > 0 and not is_exact(self.metric):
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
        return given if isinstance(given, Size) else Size(float(given))

    @property
    def spelt(self) -> str | float:
        """Its size as a recipe's file has it."""
        return str(self.size) if self.size.unit else self.size.number

    @property
    def bound(self) -> Constraint | None:
        """The bound on the arm alone; None for what is compared with the control."""
        if self.kind not in ("at_most", "at_least"):
            return None
        op: Literal[">=", "<="] = "<=" if self.kind == "at_most" else ">="
        return Constraint(metric=self.metric, op=op, bound=self.size.number)

    @property
    def kept(self) -> Constraint | None:
        """The bound that it says the arm keeps, alone or beside the control; None for what has two sides."""
        if self.bound is not None or self.kind == "equal_within":
            return self.bound
        change = self.size.change(1 if self.kind in ("more_by", "not_more_by") else -1)
        op: Literal[">=", "<="] = "<=" if self.kind in ("less_by", "not_more_by") else ">="
        if not self.size.unit:
            return Constraint(metric=self.metric, op=op, bound=change, of_control="difference")
        ratio = round(1 + change / 100, 12)
        return Constraint(metric=self.metric, op=op, bound=ratio, of_control="ratio")

    @property
    def is_foregone(self) -> bool:
        """Whether all possible figures meet it, or none: nothing costs 100 % less, no share is 95."""
        unit, number = getattr(described(self.metric), "unit", ""), self.size.number
        free = self.metric.endswith(_FREE)
        if self.bound is not None:
            low, high = -math.inf if free else 0.0, 1.0 if unit == "share" else math.inf
            open_end = is_ratio(self.metric) and self.kind == "at_most" and number <= low
            inside = low < number <= high if self.kind == "at_least" else low <= number < high
            return open_end or not inside
        if self.size.unit == "%":
            return number >= 100 and self.kind not in ("more_by", "not_more_by")
        return unit == "share" and not free and not self.size.unit and number >= 1

    @property
    def direction(self) -> Direction:
        """The side that is claimed of a difference."""
        return "min" if self.kind in ("less_by", "at_most") else "max"

    @property
    def region(self) -> Region:
        """The changes of the control within which a margin keeps; an infinite end is not tested."""
        return Region(
            -math.inf if self.kind == "not_more_by" else self.size.change(-1),
            math.inf if self.kind == "not_less_by" else self.size.change(1),
            closed=self.kind != "equal_within",
        )

    @property
    def words(self) -> str:
        """For example `size/bytes less by 3.5x`."""
        if self.kind in ("less_by", "more_by") and not self.size.number:
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
    because: str | None = Field(default=None, exclude=True)
    """why this is claimed and not what the goal asks; a stored study is known again without it"""

    @classmethod
    def improvement(
        cls,
        metric: str,
        direction: Direction,
        least: float = 0.0,
        bounds: Iterable[Constraint] = (),
        because: str | None = None,
    ) -> "Claim":
        """That an arm betters a metric by more than `least` and keeps the bounds.

        `least` is in percent of the control where arms are compared by their ratio.
        """
        size = Size(least, "%" if is_ratio(metric) else "")
        parts = [Part.of(metric, "less_by" if direction == "min" else "more_by", size)]
        parts += map(Part.keeping, bounds)
        return cls(says=parts[0].words, all=tuple(parts), because=because)

    @property
    def spelt(self) -> dict[str, Any]:
        """As a recipe's file has it."""
        named = {"says": self.says, "arm": self.arm, "against": self.against}
        parts = [{"metric": part.metric, part.kind: part.spelt} for part in self.all]
        return {**{name: text for name, text in named.items() if text is not None}, "all": parts}

    @property
    def first(self) -> Part:
        """What is claimed of the arm before its bounds."""
        return self.all[0]

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds that it says the arm keeps beside what it is compared in."""
        return tuple(part.kept for part in self.all[1:] if part.kept is not None)

    @property
    def timed(self) -> bool:
        """Whether a trial that runs beside its trials would distort what is claimed."""
        return any(is_timed(part.metric) for part in self.all)


def refutation(objective: Objective) -> str:
    """What refutes that an arm improves an objective, as claims are spelt: that the metric got worse."""
    metric = twin(objective.metric)
    size = Size(0.0, "%" if is_ratio(metric) else "")
    return Part.of(metric, "more_by" if objective.direction == "min" else "less_by", size).words

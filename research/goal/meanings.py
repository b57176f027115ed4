"""What the phrases of a goal mean: something to improve, a bound, or why it is neither."""

from collections.abc import Sequence
from typing import Literal, final

from research.goal.lexicon import Lexeme, Noun
from research.goal.quantities import Quantity
from research.goal.saying import SPOKEN, Meaning, Problem, Wish, points, said_of
from research.metrics import METRICS, is_ratio, is_score
from research.types import Constraint

Op = Literal[">=", "<="]
_LARGE = 0.2
"""a loss of a score from here up is a slip for its bound"""
FLIPPED: dict[str | None, str] = {"g": "l", "l": "g"}
"""the bound of a time, once one of a speed is told"""
_OPS: dict[str | None, Op] = {"g": ">=", "l": "<="}


@final
class Matched:
    """The phrases that one rule matched, by their signs."""

    def __init__(self, found: Sequence[Lexeme], typed: bool) -> None:
        self.found, self.typed = found, typed

    def first(self, wanted: str) -> Lexeme | None:
        """The first phrase with one of these signs."""
        return next((lexeme for lexeme in self.found if lexeme.sign in wanted), None)

    @property
    def op(self) -> str | None:
        """At least or at most, as its sign; None where no bound is said."""
        said = self.first("gl")
        return said.sign if said else None

    @property
    def amount(self) -> tuple[str, object] | None:
        """The quantity, fraction or multiple."""
        said = self.first("qfx")
        return (said.sign, said.value) if said else None

    @property
    def quantity(self) -> Quantity:
        """The quantity of a rule that has one."""
        said = self.first("q")
        assert said is not None and isinstance(said.value, Quantity)
        return said.value

    @property
    def noun(self) -> Noun | None:
        """The metric, or what an adjective is about by itself; None for both, of which one is left over."""
        said, word = self.first("m"), self.first("aA")
        if said is None or word is None:
            return said.value if said else word.value.noun if word else None
        noun: Noun = said.value
        # `as small as possible at an accuracy of 95 %` is no small accuracy.
        apart = word.value.whole or (str(noun.key).startswith("test/") and self.first("i") is not None)
        return None if apart and word.value.noun.concept != noun.concept else noun

    def placed(self, noun: Noun | None) -> Noun | None:
        """A metric in the part of a trial's life that stands beside it."""
        part = self.first("p")
        if noun is None or part is None or noun.part is not None:
            return noun
        # `train a network half the size` is of the network; `inference at half the memory` is of nothing.
        there = part.value in noun.concept.keys or part.value not in ("train", "test")
        return noun._replace(part=part.value) if there else noun


def key_of(noun: Noun) -> str | Problem:
    """The metric of a noun, or why there is none."""
    key, name = noun.key, noun.concept.name
    if key is not None:
        return key
    if not noun.concept.keys or noun.part in ("train", "val"):
        return Problem("is not what claims are judged on, the test split is: leave the other split out")
    if noun.part is None:
        return Problem("does not say of what: of training or of inference", f"less training {name}")
    return Problem(f"is not measured: {name} of {'training' if noun.part == 'infer' else 'inference'} is")


def better_op(metric: str) -> Op:
    """The side on which a bound of a metric asks for something."""
    return ">=" if METRICS[metric].better == "max" else "<="


def limited(noun: Noun, sign: str | None, quantity: Quantity, *, typed: bool = False) -> Meaning | None:
    """`accuracy at least 90 %`; None where the quantity is of something else."""
    metric = key_of(noun)
    if isinstance(metric, Problem):
        return metric
    if not fits(quantity, noun, metric):
        return None
    value = _checked(metric, quantity, noun.concept.inverse)
    if isinstance(value, Problem):
        return value
    if noun.concept.name == "speed":
        return Problem("is bounded as a time, as 'latency below 2 ms'")
    op = _OPS.get(sign) or better_op(metric)
    if noun.concept.inverse:
        value = float(f"{1 - value:.12g}")
        op = "<=" if sign == "g" else ">="
    return _sided(Constraint(metric=metric, op=op, bound=value), typed)


def _sided(limit: Constraint, typed: bool) -> Meaning:
    """A bound unless it is on the side that nobody wants, which is misread more often than meant."""
    if typed or limit.op == better_op(limit.metric):
        return limit
    side, good = ("an upper", "high") if limit.op == "<=" else ("a lower", "low")
    meant = limit.model_copy(update={"op": better_op(limit.metric)})
    return Problem(
        f"is {side} bound on what should be {good}: where it is meant, type objective.constraints="
        f'["{limit.words}"]',
        said_of(meant),
    )


def fits(quantity: Quantity, noun: Noun, metric: str) -> bool:
    """Whether a quantity can be one of a metric's."""
    unit, dimension = METRICS[metric].unit, quantity.dimension
    if dimension is None:
        plain = unit in ("share", "count", "ratio", "bits", "nats", "flops", "unit") or noun.concept.typed
        return plain or noun.concept.name == "cpu time"
    return dimension == unit or (dimension == "many" and unit in ("count", "bytes", "flops", "per second"))


def _checked(metric: str, quantity: Quantity, inverse: bool) -> float | Problem:
    """The bound in SI units; a share without a percent sign may be written as 0.97 or as 97."""
    value = quantity.value
    if METRICS[metric].unit != "share":
        return value if value > 0 else Problem("can never decide: a cost is positive; name a positive bound")
    if quantity.dimension is None and 10 <= value <= 100:
        value = float(f"{value / 100:.12g}")
    if not 0 <= value <= 1:
        return Problem("is not a share: it lies between 0 and 1; write it as 0.97 or as 97 %")
    if value <= 0.01 and not inverse:
        return Problem("is one in a hundred or less: write it as 0.97 or as 97 %")
    return value


def _is_good(noun: Noun, metric: str, way: str) -> bool:
    if way in ("good", "bad"):
        return way == "good"
    return ((way == "down") == (METRICS[metric].better == "min")) != noun.concept.inverse


def changed(
    noun: Noun, way: str, amount: tuple[str, object] | None, sign: str | None, *, lost: bool = False
) -> Meaning:
    """`30 % fewer joules`, `at most 1 point of accuracy lost`: the change of a metric against the control.

    Args:
        noun: what changes.
        way: down or up, good or bad.
        amount: sign and value of a quantity, fraction or multiple; None where no amount is said.
        sign: g for at least, l for at most.
        lost: whether the words are those of a loss, which are a bound without `at most` too.
    """
    metric = key_of(noun)
    if isinstance(metric, Problem):
        return metric
    good = _is_good(noun, metric, way)
    if amount is None:
        return Wish(metric) if good else _worse(metric)
    size = _difference(noun, metric, amount, good) if is_score(metric) else _ratio(noun, metric, amount, good)
    if isinstance(size, Problem):
        return size
    if good:
        if sign == "l":
            most = said_of(_gained(metric, size))
            return Problem("limits what should be gained: say at least, or give no limit", most)
        return _gained(metric, size, sign)
    if sign == "l" or (lost and sign is None):
        return size if isinstance(size, Constraint) else _lost(metric, size)
    if is_score(metric) and METRICS[metric].unit == "share" and not isinstance(size, Constraint):
        return _worse(metric)._replace(instead=f"at most {points(size)} less {SPOKEN.get(metric, metric)}")
    return _worse(metric)


def _worse(metric: str) -> Problem:
    other = "less" if METRICS[metric].better == "min" else "more"
    worse = "max" if other == "less" else "min"
    return Problem(
        f"asks for the worse: say {other} of it, or mean it by objective.metric={metric} "
        f"objective.direction={worse}",
        said_of(Wish(metric)),
    )


def _gained(metric: str, size: float | Constraint, sign: str | None = None) -> Wish:
    if isinstance(size, Constraint):
        return Wish(metric)
    effect = size if is_score(metric) else abs(size - 1)
    return Wish(metric, float(f"{effect:.15g}"), _reached(metric, size) if sign else None)


def _reached(metric: str, size: float) -> Constraint:
    """A gain that must be there, as a bound: so many times the control's cost, or so far from its score."""
    op: Op = better_op(metric)
    if not is_score(metric):
        return Constraint(metric=metric, op=op, bound=_round(size), of_control="ratio")
    shift = size if op == ">=" else -size
    return Constraint(metric=metric, op=op, bound=_round(shift), of_control="difference")


def _lost(metric: str, size: float) -> Meaning:
    return _reached(metric, -size if is_score(metric) else size)


def _round(value: float) -> float:
    return float(f"{value:.10g}")


def _difference(
    noun: Noun, metric: str, amount: tuple[str, object], good: bool
) -> float | Constraint | Problem:
    """By how much a score changes, in its unit; a share of what has no share is a ratio to the control."""
    quantity = amount[1]
    if not isinstance(quantity, Quantity):
        return Problem("is no difference of a score: give it in points, as '2 points more accuracy'")
    value, dimension, unit = quantity.value, quantity.dimension, METRICS[metric].unit
    if unit != "share":
        if dimension == "share" and not good and 0 < value < 1:
            return Constraint(metric=metric, op="<=", bound=_round(1 + value), of_control="ratio")
        if dimension in (None, unit) and value > 0:
            return value
        said = "in its own unit" if unit == "unit" else f"in {unit}"
        return Problem(f"is no difference of a score: give it {said}, as 0.1")
    if noun.concept.inverse and dimension != "points":
        return Problem("may be a share of the errors or points: give points", "2 points more accuracy")
    if dimension not in ("share", "points", None) or not 0 < value < 1:
        return Problem("is no difference of a score: give it in points, as '2 points more accuracy'")
    if value > (0.5 if good else _LARGE):
        return Problem("is a large change of a score: a bound is said as 'at least 90 % accuracy'")
    return value


def _ratio(noun: Noun, metric: str, amount: tuple[str, object], good: bool) -> float | Problem:
    """What a cost is multiplied by: `20 % faster` is as much time over 1.2."""
    size = _share(amount)
    if size is None:
        return Problem("is no share of a cost: say '20 % fewer joules', or give a bound, as 'below 20 J'")
    times, value = amount[0] == "x", size
    down = good == (METRICS[metric].better == "min")
    if times and value <= 1:
        return Problem("is no more than once: say by how many times, as 2x")
    if times:
        return 1 / value if down else value
    if down and noun.concept.inverse:
        return 1 / (1 + value)
    if not value > 0 or (down and value >= 1):
        return Problem(f"cannot be: {value:.0%} less leaves nothing; name a share between 0 and 100 %")
    return 1 - value if down else 1 + value


def _share(amount: tuple[str, object]) -> float | None:
    value = amount[1]
    if isinstance(value, Quantity):
        return value.value if value.dimension == "share" else None
    return float(str(value))


def multiplied(noun: Noun, times: float, sign: str | None) -> Meaning:
    """`half the energy`, `at most 1.02 times the energy`: a cost as a multiple of the control's."""
    metric = key_of(noun)
    if isinstance(metric, Problem):
        return metric
    if not is_ratio(metric):
        return Problem("is no part of a score: give points, as '2 points more accuracy', or a bound")
    if noun.concept.inverse:
        times, sign = 1 / times, FLIPPED.get(sign)
    if not times > 0 or times == 1:
        return Problem("changes nothing: name a share between 0 and 100 %")
    good = (times < 1) == (METRICS[metric].better == "min")
    against = "g" if METRICS[metric].better == "min" else "l"
    if good:
        bound = _reached(metric, times) if sign else None
        return Wish(metric, abs(times - 1), bound) if sign != against else _worse(metric)
    return of_control(noun, "l", times) if sign == "l" and against == "g" else _worse(metric)


def of_control(
    noun: Noun,
    sign: str | None,
    bound: float,
    kind: Literal["ratio", "difference"] = "ratio",
    *,
    typed: bool = False,
) -> Meaning:
    """A bound that is so many times the control's figure, or lies so far from it."""
    metric = key_of(noun)
    if isinstance(metric, Problem):
        return metric
    if noun.concept.inverse:
        return Problem("is said of the metric itself: 'at most 1 point of accuracy lost'")
    op = _OPS.get(sign) or better_op(metric)
    return _sided(Constraint(metric=metric, op=op, bound=_round(bound), of_control=kind), typed)

"""Means with intervals, arms paired by seed, and the verdict that follows: no test here is a rule of thumb.

Rules that hold throughout:
- An interval is Student's t on values, or on differences of pairs. The one of a verdict has the ends that its
  two one-sided tests have: it lies wholly where a supported claim says.
- A value that is not finite is no value, nor is a cost of zero or less where costs are compared by their
  ratio. A trial that failed is given as NaN, so that it is seen.
- What a word takes, with too few values, without spread or with some missing, is said in one place:
  `research.stats.decide`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, final

from refusal import Refusal
from research.metrics import EXACT
from research.stats.decide import ENOUGH, Errors, Estimate, Region, decide, errors
from research.stats.examples import Ground
from research.stats.spelling import over_seeds, rests_on
from research.stats.student import two_sided
from research.stats.summary import ROUNDING, Summary, check_level, summarised, summary
from research.types import Comparison, Constraint, Direction, Verdict, VerdictWord

__all__ = ["ENOUGH", "Arm", "Errors", "Scale", "Summary", "check", "compare", "errors", "judge", "summary"]

Scale = Literal["difference", "ratio"]
Arm = Mapping[int, float]
"""what one arm measured: seed -> value, NaN where the trial failed"""
USUAL = errors(0.05)
"""the error rate of a comparison that stands alone"""
ALONE = Ground()
"""of a mean over seeds of which nobody says what they were tested on"""


def compare(
    control: Arm,
    treatment: Arm,
    metric: str,
    level: float = 0.95,
    scale: Scale = "difference",
    ground: Ground = ALONE,
) -> Comparison:
    """Treatment minus control over the seeds that both arms have, with its two-sided t-interval.

    `effect_size` is Cohen's d of the differences (dz), `p_value` the paired t-test's, both None without
    spread. With `scale="ratio"`, for costs such as joules, the logarithms are compared and the difference
    is told in percent of the control; a pair with a value of zero or less is then no pair. With one pair
    the interval is unbounded, with none the difference is NaN.
    """
    check_level(level)
    tail = (1 - level) / 2
    found = _told(estimate(control, treatment, metric, scale, ground), metric, scale, (tail, tail), level)
    return found.model_copy(update={"over": ground.over})


def estimate(
    control: Arm, treatment: Arm, metric: str, scale: Scale = "difference", ground: Ground = ALONE
) -> Estimate:
    """The mean change from control to treatment over their pairs; of logarithms with `scale="ratio"`."""
    pairs = [(control[seed], treatment[seed]) for seed in sorted(set(control) & set(treatment))]
    changes, rounding = changes_of(pairs, scale)
    return mean_of(changes, rounding, metric, equal=not any(changes), ground=ground)


@final
class Said(NamedTuple):
    """How each word of a claim is put."""

    supported: str
    refuted: str
    open: str


def settle(
    control: Arm,
    treatment: Arm,
    metric: str,
    claimed: Region,
    said: Said,
    scale: Scale,
    rate: Errors,
    ground: Ground = ALONE,
) -> tuple[VerdictWord, str, Comparison]:
    """Word, reason and comparison of a claim about the change, in percent of the control for a ratio."""
    measured, tails = estimate(control, treatment, metric, scale, ground), rate.tails
    absent = missing(control, scale) + missing(treatment, scale)
    word = decide(measured, _scaled(claimed, scale), tails, absent)
    two_sided = math.isfinite(claimed.low) and math.isfinite(claimed.high)
    ends = tails if claimed.low > -math.inf else tails[::-1]
    level = 1 - 2 * rate.supported if two_sided else rate.level
    found = _told(measured, metric, scale, (tails[0], tails[0]) if two_sided else ends, level, tails[0])
    found = found.model_copy(update={"over": ground.over})
    if absent:
        return word, f"{absent} of {len(control) + len(treatment)} trials have no value", found
    if found.n < ENOUGH:
        return word, f"{found.n} of the {ENOUGH} paired seeds that a decision needs", found
    shown = over_seeds(found)
    if word == "open" and not measured.error:
        return (
            word,
            f"{shown}: all differences are equal, which says nothing of their spread; add seeds",
            found,
        )
    return word, f"{shown}: {getattr(said, word)}", found


@final
class Bounded(NamedTuple):
    """A bound with the treatment's values of its metric, and what their mean rests on."""

    constraint: Constraint
    values: Sequence[float]
    ground: Ground = ALONE


def judge(
    control: Arm,
    treatment: Arm,
    *,
    metric: str,
    direction: Direction = "max",
    smallest_effect: float = 0.0,
    scale: Scale = "difference",
    rate: Errors = USUAL,
    constraints: Sequence[Bounded | tuple[Constraint, Sequence[float]]] = (),
    trial_ids: Sequence[int] = (),
    ground: Ground = ALONE,
) -> Verdict:
    """Say whether the treatment improves `metric` by more than `smallest_effect` and keeps its constraints.

    `supported`: the change and every constraint (given with the treatment's values of its metric) are, each
    at the error rate of supporting. `refuted`: an improvement of the smallest effect is excluded, or a
    constraint is broken, each at its share of the error rate of refuting. Else `open`. The smallest effect is
    in the metric's unit, in percent with `scale="ratio"`. `ground` is what the change rests on
    (`research.stats.examples.of_pair`). Over a campaign the rate comes from the ledger
    (`research.stats.ledger`), else every test errs by itself.
    """
    if not smallest_effect >= 0 or math.isinf(smallest_effect):
        raise Refusal(f"smallest_effect={smallest_effect}: give the size of an improvement, zero or more.")
    own = rate.among(1 + len(constraints))
    claimed = Region(low=smallest_effect) if direction == "max" else Region(high=-smallest_effect)
    sized = f" of {smallest_effect:g}" if smallest_effect else ""
    beyond = f" beyond {smallest_effect:g}" if smallest_effect else ""
    said = Said(f"an improvement{beyond}", f"no improvement{sized}", f"does not settle an improvement{sized}")
    word, reason, found = settle(control, treatment, metric, claimed, said, scale, own, ground)
    for one in constraints:
        word, reason = _constrained(word, reason, Bounded(*one), own)
    return Verdict(word=word, comparison=found, reason=reason, trial_ids=tuple(trial_ids))


def missing(arm: Arm, scale: Scale = "difference") -> int:
    """How many of an arm's trials have no value."""
    return sum(not math.isfinite(value) or (scale == "ratio" and value <= 0) for value in arm.values())


def check(
    constraint: Constraint, values: Iterable[float], rate: Errors = USUAL, ground: Ground = ALONE
) -> tuple[VerdictWord, str]:
    """Say whether the mean keeps its bound, as word and reason."""
    measured = [float(value) for value in values]
    finite = [value for value in measured if math.isfinite(value)]
    least = constraint.op == ">="
    claimed = Region(*((constraint.bound, math.inf) if least else (-math.inf, constraint.bound)), closed=True)
    rounding = ROUNDING * max(map(abs, finite), default=0.0)
    mean = mean_of(finite, rounding, constraint.metric, ground=ground)
    absent = len(measured) - len(finite)
    word = decide(mean, claimed, rate.tails, absent)
    shown = f"{constraint.metric} {constraint.op} {constraint.bound:g}"
    if absent:
        return word, f"{shown}: {absent} of {len(measured)} trials have no value"
    if mean.n < ENOUGH:
        return word, f"{shown}: {mean.n} of the {ENOUGH} values that a decision needs"
    if word == "open" and not mean.error:
        return word, f"{shown}: all values are equal, which says nothing of their spread; add seeds"
    half = abs(mean.most(rate.tails[0]) - mean.mean)
    told, rests = (
        Said("is kept", "is broken", ""),
        f", {rests_on(ground.over, mean.n)}" if ground.over else "",
    )
    if word == "open":
        return word, f"{shown}: mean {mean.mean:.6g} ± {half:.2g} does not settle it{rests}"
    return word, f"{shown} {getattr(told, word)}: mean {mean.mean:.6g}{rests}"


def margin(bounded: "Bounded", rate: Errors = USUAL) -> float | None:
    """How far the mean must lie inside a bound to keep it, of one that is open; None where it is settled."""
    if check(*bounded[:2], rate, bounded.ground)[0] != "open":
        return None
    finite = [float(value) for value in bounded.values if math.isfinite(value)]
    mean = mean_of(finite, 0.0, bounded.constraint.metric, ground=bounded.ground)
    return mean.most(rate.tails[0]) - mean.mean if mean.n >= ENOUGH else None


def _constrained(word: VerdictWord, reason: str, bounded: Bounded, rate: Errors) -> tuple[VerdictWord, str]:
    kept, why = check(bounded.constraint, bounded.values, rate, bounded.ground)
    if word == "refuted" or kept == "supported":
        return word, reason
    return kept, why if word == "supported" or kept == "refuted" else f"{reason}; {why}"


def _told(
    measured: Estimate,
    metric: str,
    scale: Scale,
    ends: tuple[float, float],
    level: float,
    tail: float | None = None,
) -> Comparison:
    """An estimate as it is read; its interval ends where the one-sided tests at `ends` do."""
    back = _percent if scale == "ratio" else float
    t = measured.mean / measured.error if measured.error else None
    return Comparison(
        metric=f"{metric} [%]" if scale == "ratio" else metric,
        n=measured.n,
        difference=back(measured.mean),
        low=back(measured.least(ends[0])),
        high=back(measured.most(ends[1])),
        effect_size=None if t is None else t / math.sqrt(measured.n),
        p_value=None if t is None else two_sided(t, measured.freedom),
        level=level,
        tail=tail,
        sd=measured.error * math.sqrt(measured.n) or None,
    )


def _scaled(claimed: Region, scale: Scale) -> Region:
    """A claim in percent of the control as one about logarithms."""
    if scale == "difference":
        return claimed
    low, high = (_log(end) for end in (claimed.low, claimed.high))
    return Region(low, high, claimed.closed)


def _log(percent: float) -> float:
    return math.log1p(percent / 100) if percent > -100 else -math.inf


def changes_of(pairs: Sequence[tuple[float, float]], scale: Scale) -> tuple[list[float], float]:
    """The finite changes of the pairs, and how far rounding alone may spread them."""
    if scale == "ratio":
        ratios = [after / before for before, after in pairs if before > 0 and after > 0]
        return [math.log(ratio) for ratio in ratios if 0 < ratio < math.inf], ROUNDING
    kept = [pair for pair in pairs if math.isfinite(pair[1] - pair[0])]
    largest = max((abs(value) for pair in kept for value in pair), default=0.0)
    return [after - before for before, after in kept], ROUNDING * largest


def mean_of(
    finite: Sequence[float], rounding: float, metric: str, equal: bool = False, ground: Ground = ALONE
) -> Estimate:
    told = summarised(finite, rounding, 0.95)
    error = told.std / math.sqrt(told.n) if told.std else 0.0
    found = Estimate(told.mean, error, told.n - 1, told.n, metric.startswith(EXACT), equal)
    spread = ground.spread
    return replace(found, error=math.sqrt(spread.variance), freedom=spread.freedom) if spread else found


def _percent(log_ratio: float) -> float:
    return 100 * math.expm1(log_ratio) if log_ratio < 700 else math.inf

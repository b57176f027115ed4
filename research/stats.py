"""Means with intervals, arms paired by seed, and the verdict that follows: no test here is a rule of thumb.

Rules that hold throughout:
- An interval is Student's t on values, or on differences of pairs. Its level is two-sided.
- A value that is not finite is no value. A trial that failed is given as NaN, so that it is seen: a
  treatment with one is never `supported`.
- Fewer than three values or pairs are `open`. So are values without any spread, from which no interval can
  be made, unless the metric is exact (size, FLOPs): equal accuracies are a coarse metric, not certainty.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from refusal import Refusal
from research.objective import EXACT
from research.statistics.spelling import over_seeds
from research.statistics.student import critical, two_sided
from research.types import Comparison, Constraint, Direction, Verdict, VerdictWord

Scale = Literal["difference", "ratio"]
Arm = Mapping[int, float]
"""what one arm measured: seed -> value, NaN where the trial failed"""
ENOUGH = 3
"""values or pairs below which nothing is decided"""
_ROUNDING = 8 * sys.float_info.epsilon


@final
@dataclass(frozen=True)
class Summary:
    """Mean ± half_width of n finite values; None where n is too small to say."""

    mean: float
    half_width: float | None
    std: float | None
    n: int
    level: float


def summary(values: Iterable[float], level: float = 0.95) -> Summary:
    """Mean, t-interval and sample standard deviation of the finite values; the mean of none is NaN."""
    _check_level(level)
    finite = [float(value) for value in values if math.isfinite(value)]
    return _summary(finite, _ROUNDING * max(map(abs, finite), default=0.0), level)


def compare(
    control: Arm, treatment: Arm, metric: str, level: float = 0.95, scale: Scale = "difference"
) -> Comparison:
    """Treatment minus control over the seeds that both arms have, with its t-interval.

    `effect_size` is Cohen's d of the differences (dz), `p_value` the paired t-test's, both None without
    spread. With `scale="ratio"`, for costs such as joules, the logarithms are compared and the difference
    is told in percent of the control; a pair with a value of zero or less is then no pair. With one pair
    the interval is unbounded, with none the difference is NaN.
    """
    _check_level(level)
    pairs = [(control[seed], treatment[seed]) for seed in sorted(set(control) & set(treatment))]
    told = _summary(*_changes(pairs, scale), level)
    half = math.inf if told.half_width is None else told.half_width
    back = _percent if scale == "ratio" else float
    t = told.mean / (told.std / math.sqrt(told.n)) if told.std else None
    return Comparison(
        metric=f"{metric} [%]" if scale == "ratio" else metric,
        n=told.n,
        difference=back(told.mean),
        low=back(told.mean - half),
        high=back(told.mean + half),
        effect_size=told.mean / told.std if told.std else None,
        p_value=None if t is None else two_sided(t, told.n - 1),
        level=level,
    )


def judge(
    control: Arm,
    treatment: Arm,
    *,
    metric: str,
    direction: Direction = "max",
    smallest_effect: float = 0.0,
    scale: Scale = "difference",
    level: float = 0.95,
    constraints: Sequence[tuple[Constraint, Sequence[float]]] = (),
    trial_ids: Sequence[int] = (),
) -> Verdict:
    """Say whether the treatment improves `metric` by more than `smallest_effect` and keeps its constraints.

    `supported`: the whole interval lies beyond the smallest effect in the right direction, and every
    constraint (given with the treatment's values of its metric) is kept at the same level. `refuted`: the
    interval excludes an improvement of the smallest effect, or a constraint is broken. Else `open`.
    The smallest effect is in the metric's unit, in percent with `scale="ratio"`. Over a campaign the level
    comes from `research.statistics.campaign.Campaign`, else every test errs by itself.
    """
    if not smallest_effect >= 0 or math.isinf(smallest_effect):
        raise Refusal(f"smallest_effect={smallest_effect}: give the size of an improvement, zero or more.")
    comparison = compare(control, treatment, metric, level, scale)
    word, reason = _decide(comparison, direction, smallest_effect, metric)
    failed = missing(treatment)
    if word == "supported" and failed:
        word, reason = "open", f"{failed} of {len(treatment)} trials of the treatment have no value"
    for constraint, values in constraints:
        word, reason = _constrained(word, reason, constraint, values, level)
    return Verdict(word=word, comparison=comparison, reason=reason, trial_ids=tuple(trial_ids))


def missing(arm: Arm) -> int:
    """How many of an arm's trials have no value."""
    return sum(not math.isfinite(value) for value in arm.values())


def check(constraint: Constraint, values: Iterable[float], level: float = 0.95) -> tuple[VerdictWord, str]:
    """Say whether the mean keeps its bound: one-sided t-bound of the mean at `level`, as word and reason.

    A value that is not finite (a failed trial) leaves the constraint `open` unless it is broken anyway.
    """
    measured = list(values)
    # A one-sided bound is one end of the two-sided interval that errs twice as often.
    told = summary(measured, max(2 * level - 1, 1e-9))
    shown = f"{constraint.metric} {constraint.op} {constraint.bound:g}"
    sign = 1.0 if constraint.op == ">=" else -1.0
    if told.n < ENOUGH:
        return "open", f"{shown}: {told.n} of the {ENOUGH} values that a decision needs"
    margin, half = sign * (told.mean - constraint.bound), told.half_width or 0.0
    if not told.std and not constraint.metric.startswith(EXACT):
        return "open", f"{shown}: all values are equal, which says nothing of their spread; add seeds"
    if margin + half < 0:
        return "refuted", f"{shown} is broken: mean {told.mean:.6g}"
    if margin - half < 0 or told.n < len(measured):
        return "open", f"{shown}: mean {told.mean:.6g} ± {half:.2g} does not settle it"
    return "supported", f"{shown} is kept: mean {told.mean:.6g}"


def _constrained(
    word: VerdictWord, reason: str, constraint: Constraint, values: Sequence[float], level: float
) -> tuple[VerdictWord, str]:
    kept, why = check(constraint, values, level)
    if word == "refuted" or kept == "supported":
        return word, reason
    return kept, why if word == "supported" or kept == "refuted" else f"{reason}; {why}"


def _decide(found: Comparison, direction: Direction, least: float, metric: str) -> tuple[VerdictWord, str]:
    shown = over_seeds(found)
    if found.n < ENOUGH:
        return "open", f"{found.n} of the {ENOUGH} paired seeds that a decision needs"
    low, high = (found.low, found.high) if direction == "max" else (-found.high, -found.low)
    same = found.low == found.high == 0.0
    if found.effect_size is None and not metric.startswith(EXACT) and not (same and least):
        return "open", f"{shown}: all differences are equal, which says nothing of their spread; add seeds"
    sized = f" of {least:g}" if least else ""
    if low > least:
        return "supported", f"{shown}: an improvement{f' beyond {least:g}' if least else ''}"
    if high < least or (same and not least):
        return "refuted", f"{shown}: no improvement{sized}"
    return "open", f"{shown}: does not settle an improvement{sized}"


def _changes(pairs: Sequence[tuple[float, float]], scale: Scale) -> tuple[list[float], float]:
    """The finite changes of the pairs, and how far rounding alone may spread them."""
    if scale == "ratio":
        ratios = [after / before for before, after in pairs if before > 0 and after > 0]
        return [math.log(ratio) for ratio in ratios if 0 < ratio < math.inf], _ROUNDING
    kept = [pair for pair in pairs if math.isfinite(pair[1] - pair[0])]
    largest = max((abs(value) for pair in kept for value in pair), default=0.0)
    return [after - before for before, after in kept], _ROUNDING * largest


def _summary(finite: Sequence[float], rounding: float, level: float) -> Summary:
    n = len(finite)
    mean = math.fsum(finite) / n if n else math.nan
    if n < 2:
        return Summary(mean, None, None, n, level)
    # Equal differences of coarse figures, such as accuracies, still differ in their last bits.
    spread = max(finite) - min(finite) > rounding
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1)) if spread else 0.0
    return Summary(mean, critical(1 - level, n - 1) * std / math.sqrt(n) if std else 0.0, std, n, level)


def _percent(log_ratio: float) -> float:
    return 100 * math.expm1(log_ratio) if log_ratio < 700 else math.inf


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise Refusal(f"level={level} is no confidence: give a share between 0 and 1, for example 0.95.")

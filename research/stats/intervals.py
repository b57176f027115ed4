"""Mean, spread and interval of one arm's values, and of the change between two arms, and how they are told.

- Arms are paired by seed. An interval is Student's t on values, or on differences of pairs.
- A value that is not finite is no value, nor is a cost of zero or less where costs are compared by their
  ratio. A trial that failed is given as NaN, so that it is seen.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import final

from refusal import Refusal
from research.metrics import is_exact
from research.stats.decide import Mean
from research.stats.draws import Ground
from research.types import Comparison, Over, Scale, Values

ROUNDING = 8 * sys.float_info.epsilon
"""share of the largest value up to which values that differ are equal"""


@final
@dataclass(frozen=True)
class Summary:
    """Mean ± half_width of n finite values; None where n is too small to say."""

    mean: float
    half_width: float | None
    std: float | None
    n: int


def summary(values: Iterable[float]) -> Summary:
    """Mean, 95 % t-interval and standard deviation of the finite values; the mean of none is NaN."""
    finite = [float(value) for value in values if math.isfinite(value)]
    mean, std = _moments(finite, ROUNDING * max(map(abs, finite), default=0.0))
    half = std and _inner(len(finite) - 1) * std / math.sqrt(len(finite))
    return Summary(mean, half, std, len(finite))


def _moments(finite: Sequence[float], rounding: float) -> tuple[float, float | None]:
    """Mean and standard deviation of finite values that may differ by `rounding` and still be equal."""
    n = len(finite)
    mean = math.fsum(finite) / n if n else math.nan
    if n < 2:
        return mean, None
    # Equal differences of coarse figures, such as accuracies, still differ in their last bits.
    spread = max(finite) - min(finite) > rounding
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1)) if spread else 0.0


@lru_cache(maxsize=4096)
def _inner(freedom: int) -> float:
    """The t that |T| stays below with a chance of 95 %, for a table that must not wait for scipy."""
    low, high = 0.0, math.pi / 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _within(middle, freedom) < 0.95 else (low, middle)
    return math.sqrt(freedom) * math.tan(high)


def _within(angle: float, freedom: int) -> float:
    """P(|T| < sqrt(freedom) tan(angle)): Abramowitz and Stegun 26.7.3 and 26.7.4."""
    odd, total = freedom % 2, 0.0
    term = math.cos(angle) if odd else 1.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total


ALONE = Ground()
"""of a mean over seeds of which nobody says what they were tested on"""


def compare(
    control: Values,
    treatment: Values,
    metric: str,
    level: float = 0.95,
    scale: Scale = "absolute",
    ground: Ground = ALONE,
) -> Comparison:
    """Treatment minus control over the seeds that both arms have, with its two-sided t-interval.

    `effect_size` is Cohen's d of the differences (dz), `p_value` the paired t-test's, both None without
    spread. With `scale="relative"`, for costs such as joules, the logarithms are compared and the difference
    is told in percent of the control; a pair with a value of zero or less is then no pair. With one pair
    the interval is unbounded, with none the difference is NaN.
    """
    if not 0 < level < 1:
        raise Refusal(f"level={level} is no confidence: give a share between 0 and 1, for example 0.95.")
    tail = (1 - level) / 2
    measured = estimate(control, treatment, metric, scale, ground)
    return described(measured, metric, scale, (tail, tail), level, ground)


def estimate(
    control: Values, treatment: Values, metric: str, scale: Scale = "absolute", ground: Ground = ALONE
) -> Mean:
    """The mean change from control to treatment over their pairs; of logarithms with `scale="relative"`."""
    pairs = [(control[seed], treatment[seed]) for seed in sorted(set(control) & set(treatment))]
    changes, rounding = changes_of(pairs, scale)
    return mean_of(changes, rounding, metric, equal=not any(changes), ground=ground)


def described(
    measured: Mean,
    metric: str,
    scale: Scale,
    ends: tuple[float, float],
    level: float,
    ground: Ground,
    tail: float | None = None,
) -> Comparison:
    """An estimate as it is read; its interval ends where the one-sided tests at `ends` do."""
    back = _percent if scale == "relative" else float
    t = measured.mean / measured.error if measured.error else None
    return Comparison(
        metric=metric,
        scale=scale,
        n=measured.n,
        difference=back(measured.mean),
        low=back(measured.least(ends[0])),
        high=back(measured.most(ends[1])),
        effect_size=None if t is None else t / math.sqrt(measured.n),
        p_value=None if t is None else _two_sided(t, measured.freedom),
        level=level,
        tail=tail,
        sd=measured.error * math.sqrt(measured.n) or None,
        over=ground.over,
    )


def _two_sided(t: float, freedom: float) -> float:
    from scipy.special import stdtr

    return 2 * float(stdtr(freedom, -abs(t)))


def changes_of(pairs: Sequence[tuple[float, float]], scale: Scale) -> tuple[list[float], float]:
    """The finite changes of the pairs, and how far rounding alone may spread them."""
    if scale == "relative":
        ratios = [after / before for before, after in pairs if before > 0 and after > 0]
        return [math.log(ratio) for ratio in ratios if 0 < ratio < math.inf], ROUNDING
    kept = [pair for pair in pairs if math.isfinite(pair[1] - pair[0])]
    largest = max((abs(value) for pair in kept for value in pair), default=0.0)
    return [after - before for before, after in kept], ROUNDING * largest


def mean_of(
    finite: Sequence[float], rounding: float, metric: str, equal: bool = False, ground: Ground = ALONE
) -> Mean:
    """The mean of finite values that may differ by `rounding` and still be equal."""
    mean, std = _moments(finite, rounding)
    n = len(finite)
    estimated = Mean(mean, std / math.sqrt(n) if std else 0.0, n - 1, n, is_exact(metric), equal)
    spread = ground.spread
    if not spread:
        return estimated
    return replace(estimated, error=math.sqrt(spread.variance), freedom=spread.freedom)


def _percent(log_ratio: float) -> float:
    return 100 * math.expm1(log_ratio) if log_ratio < 700 else math.inf


WORDS: Mapping[Over, str] = {
    "splits": "over splits drawn anew",
    "examples": "on this test set, its examples' variance included",
    "seeds": "on these examples alone, their variance not included",
}
"""what the interval of a score rests on"""
_DIGITS = 3
"""digits of half the interval that are told"""


def spelt(value: float, sign: str = "", places: int | None = None) -> str:
    """`-12.1`, `0.0034`, `-40,540`; `sign` is `+` where a plus is told too, no `places` means four digits."""
    if 1e4 <= abs(value) < 1e15:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.4g}" if places is None else f"{value:{sign}.{places}f}"


def places(compared: Comparison) -> int | None:
    """Decimals that fit the width of the interval and tell no end of it as zero that is none; or None."""
    half, told = (compared.high - compared.low) / 2, (compared.low, compared.high, compared.difference)
    if not 1e-4 < half < math.inf or all(end == round(end) for end in told):
        return None
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(half)))
    least = min(abs(end) for end in told if end)
    return max(decimals, min(8, -math.floor(math.log10(least)))) if least < 1 else decimals


def interval(compared: Comparison) -> str:
    """`[-14.0, -9.8]`."""
    decimals = places(compared)
    return f"[{spelt(compared.low, places=decimals)}, {spelt(compared.high, places=decimals)}]"


def over_seeds(compared: Comparison) -> str:
    """`-12.1 % [-14.0, -9.8] over 5 seeds (95 % interval)`, and of a score what they were tested on."""
    told = f"{spelt(compared.difference, '+', places(compared))}{compared.unit} {interval(compared)}"
    return f"{told} {rests_on(compared.over, compared.n)} ({100 * compared.level:.3g} % interval)"


def rests_on(over: Over | None, n: int) -> str:
    """What a mean over n seeds is over, in words."""
    if over == "splits":
        return f"over {n} splits drawn anew"
    return f"over {n} seeds{told(over)}"


def told(over: Over | None) -> str:
    """The same behind a number, with the blank before it; nothing for a cost."""
    return f" {WORDS[over]}" if over else ""

"""Power of the one-sided paired t-test: how likely n pairs find an effect, and how many it takes.

Effects are planned with the spread that was seen and the smallest effect of interest, never with the effect
that was seen: that would only tell the p-value again (Hoenig and Heisey 2001, The American Statistician 55).
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import final

from refusal import Refusal
from research.stats.decide import ENOUGH, critical
from research.types import Comparison, Record

USUAL = 0.8
"""the power that is asked for (Cohen 1988)"""
MOST = 10_000
"""pairs beyond which a number is not looked for"""


@final
class Powered(Record):
    """What a comparison of n pairs could find: sizes in the metric's unit, in percent where it is a ratio."""

    n: int
    effect: float
    """the smallest effect of interest"""
    sd: float
    """spread of the differences that was seen; of their logarithms where it is a ratio"""
    alpha: float
    power: float
    """the chance that n pairs tell an effect of this size from none; alpha where the size is 0"""
    needed: int | None
    """pairs for a power of 80 %, None beyond 10,000 and on a fixed test set, which seeds do not enlarge"""
    detectable: float
    """the smallest effect that n pairs tell from none in 80 % of cases"""
    supportable: float
    """the smallest effect of which n pairs say in 80 % of cases that it is beyond the smallest of interest"""


def power(n: int, effect: float, sd: float, alpha: float, seen: float = math.inf) -> float:
    """The chance that n pairs support an improvement of size `effect` >= 0 whose differences spread by `sd`.

    The test is one-sided at `alpha`, as `research.stats.decide` has it, so an effect of 0 has a power of
    alpha. Where the judge wants more than a smallest effect, `effect` is what the truth has beyond that.
    Noncentral t with n - 1 degrees and noncentrality effect * sqrt(n) / sd (Johnson and Kotz 1970).

    Where the truth is not known and `effect` is the mean of `seen` other pairs, it is the chance beforehand,
    without a prior: the mean of n fresh pairs spreads by sd * sqrt(1 / n + 1 / seen) about it (assurance:
    O'Hagan, Stevens and Campbell 2005, Pharmaceutical Statistics 4).
    """
    _check(effect, sd, alpha)
    if n < ENOUGH:
        return 0.0
    if sd == 0:
        return 1.0 if effect > 0 else alpha
    wider = math.sqrt(1 + n / seen)
    return _beyond(critical(alpha, n - 1) / wider, n - 1, effect * math.sqrt(n) / sd / wider)


def needed(effect: float, sd: float, alpha: float) -> int | None:
    """The fewest pairs that find `effect` with a power of 80 %; None where 10,000 are too few."""
    counts = range(ENOUGH, MOST + 1)
    found = bisect_left(counts, USUAL, key=lambda n: power(n, effect, sd, alpha))  # it grows with n
    return counts[found] if found < len(counts) else None


def detectable(n: int, sd: float, alpha: float, seen: float = math.inf) -> float:
    """The smallest effect that n pairs find with a power of 80 %; infinite below three pairs.

    With `seen`, the smallest mean of so many other pairs.
    """
    _check(0.0, sd, alpha)
    if n < ENOUGH:
        return math.inf
    if alpha >= USUAL or sd == 0:
        return 0.0
    low, high = 0.0, sd  # scipy's nctdtrinc never returns at 3 pairs and alpha = 1e-11
    while power(n, high, sd, alpha, seen) < USUAL:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if power(n, middle, sd, alpha, seen) < USUAL else (low, middle)
    return high


def told(compared: Comparison, smallest_effect: float) -> Powered | None:
    """What a comparison could have found, by the spread that it saw; None where it saw none.

    `smallest_effect` is in the comparison's own unit, percent of the control for a ratio, and is taken as a
    reduction when the difference is one. The test is the comparison's own; of one that was kept without it,
    one side of its interval.
    """
    sd = _spread(compared)
    if sd is None:
        return None
    alpha = (1 - compared.level) / 2 if compared.tail is None else compared.tail
    to, back = _scales(compared)
    size = to(smallest_effect)
    return Powered(
        n=compared.n,
        effect=smallest_effect,
        sd=sd,
        alpha=alpha,
        power=power(compared.n, size, sd, alpha),
        # More seeds leave the variance of a fixed test set's examples as it is.
        needed=None if compared.over == "examples" else needed(size, sd, alpha),
        detectable=back(seen := detectable(compared.n, sd, alpha)),
        supportable=back(size + seen),
    )


def _spread(compared: Comparison) -> float | None:
    """Standard deviation of the differences; of one that was kept without it, back from its interval."""
    if compared.sd is not None or compared.n < ENOUGH or not math.isfinite(compared.high - compared.low):
        return compared.sd if compared.n >= ENOUGH else None
    half = (compared.high - compared.low) / 2
    if compared.scale == "relative":
        if compared.low <= -100:
            return None
        half = (math.log1p(compared.high / 100) - math.log1p(compared.low / 100)) / 2
    t = critical((1 - compared.level) / 2, compared.n - 1)
    return half * math.sqrt(compared.n) / t if half > 0 else None


def _scales(compared: Comparison) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """From a size in the comparison's unit to the scale of its test, and back."""
    if compared.scale == "absolute":
        return float, float
    if compared.difference < 0:
        return (
            lambda size: -math.log1p(-size / 100) if size < 100 else math.inf,
            lambda size: -100 * math.expm1(-size),
        )
    return (lambda size: math.log1p(size / 100)), (lambda size: 100 * math.expm1(min(size, 700.0)))


def _beyond(least: float, freedom: int, shift: float) -> float:
    """P(T > least) of noncentral t."""
    from scipy.special import nctdtr

    if math.isinf(least):
        return 0.0
    below = 0.0 if math.isinf(shift) else float(nctdtr(freedom, shift, least))
    return 1.0 if math.isnan(below) else 1 - below  # nan: so far beyond that the series has no terms left


def _check(effect: float, sd: float, alpha: float) -> None:
    if not effect >= 0:
        raise Refusal(f"effect={effect}: give the size of an improvement, zero or more.")
    if not 0 <= sd < math.inf:
        raise Refusal(f"sd={sd}: give the spread of the differences, zero or more.")
    if not 0 < alpha < 1:
        raise Refusal(f"alpha={alpha}: give a share between 0 and 1.")

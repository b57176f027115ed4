"""Mean, spread and t-interval of one arm's values: no figure here is of more than one arm."""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

from refusal import Refusal
from research.stats.student import critical

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
    level: float


def summary(values: Iterable[float], level: float = 0.95) -> Summary:
    """Mean, t-interval and sample standard deviation of the finite values; the mean of none is NaN."""
    check_level(level)
    finite = [float(value) for value in values if math.isfinite(value)]
    return summarised(finite, ROUNDING * max(map(abs, finite), default=0.0), level)


def summarised(finite: Sequence[float], rounding: float, level: float) -> Summary:
    """The summary of finite values that may differ by `rounding` and still be equal."""
    n = len(finite)
    mean = math.fsum(finite) / n if n else math.nan
    if n < 2:
        return Summary(mean, None, None, n, level)
    # Equal differences of coarse figures, such as accuracies, still differ in their last bits.
    spread = max(finite) - min(finite) > rounding
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1)) if spread else 0.0
    return Summary(mean, critical(1 - level, n - 1) * std / math.sqrt(n) if std else 0.0, std, n, level)


def check_level(level: float) -> None:
    """Raise `Refusal` for what is no confidence."""
    if not 0 < level < 1:
        raise Refusal(f"level={level} is no confidence: give a share between 0 and 1, for example 0.95.")

"""Student's t in plain Python: a sweep's table must not wait 0.9 CPU seconds for scipy's import."""

import math
from functools import lru_cache

_TINY = 1e-300
_ENOUGH = 400


def two_sided(t: float, freedom: float) -> float:
    """Probability that |T| with `freedom` > 0 degrees exceeds |t|: DLMF 8.17, I_x(freedom/2, 1/2)."""
    if math.isinf(t):
        return 0.0
    square = t * t
    a, b = freedom / 2, 0.5
    # Each continued fraction converges fast on its own side of the mode; 1 - x is formed without cancelling.
    x, rest = freedom / (freedom + square), square / (freedom + square)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    if x <= (a + 1) / (a + b + 2):
        return _beta(a, b, x, rest, front)
    return 1 - _beta(b, a, rest, x, front)


def _beta(a: float, b: float, x: float, rest: float, front: float) -> float:
    """Regularised incomplete beta, continued fraction 8.17.22 of the DLMF by Lentz's method."""
    if x <= 0:
        return 0.0
    value = c = 1.0
    d = 0.0
    for step in range(1, _ENOUGH):
        term = _term(a, b, x, step)
        d, c = 1 / _away(1 + term * d), _away(1 + term / c)
        value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return math.exp(front + a * math.log(x) + b * math.log(rest)) / (a * value)


def _term(a: float, b: float, x: float, step: int) -> float:
    m = step // 2
    if step % 2:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


@lru_cache(maxsize=4096)
def critical(alpha: float, freedom: float) -> float:
    """The t > 0 that |T| exceeds with probability `alpha` in (0, 1); infinite where no float is enough."""
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > alpha:
        low, high = high, high * 2
        if high > 1e150:
            return math.inf
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if two_sided(middle, freedom) > alpha else (low, middle)
    return high

"""How the chance of a false finding is shared: over the comparisons of a question, and the looks of each.

Over all that is ever compared for one question it is the online fallback procedure of Tian and Ramdas (2021),
"Online control of the familywise error rate", Statistical Methods in Medical Research 30(4): comparison k
errs at alpha * gamma_k, plus what comparison k - 1 had if that one was `supported`. It holds under any
dependence, so arms may share a control, and needs no number of comparisons in advance. The first comparison
has half of it, for the best contender comes first; the rest falls as k ** -1.6. Of each rate most may support
falsely and the rest refute falsely, so that at most a share alpha of questions without any effect ever has a
finding of either kind.

A contender that is still open gets more seeds and is looked at again. The looks of a comparison share its
rate: look k may come to a share of it that is settled before (`spent`), and the bound of the look is solved
so that the chance to cross now for the first time is what was added (Lan and DeMets 1983, Biometrika 70). For
a t-statistic with few pairs that chance is known exactly. Where there is no effect the direction of the
differences is uniform on the sphere whatever their spread, so beside the mean of all N only two things
matter: the contrast of the first n with the rest, the cosine of a uniform direction in N - 1 dimensions, and
what of the spread that is left lies in the first n, a Beta((n - 1) / 2, (N - n - 1) / 2). Of earlier looks
only the last one is taken into account, which errs on the safe side from the third look on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, final

from refusal import Refusal

SUPPORTED = 0.85
"""share of an error rate that may support falsely; the rest may refute falsely"""


@final
@dataclass(frozen=True)
class Errors:
    """How often a claim may be supported falsely and refuted falsely, over all looks at it."""

    supported: float
    refuted: float
    counts: tuple[int, ...] = ()
    """values of each look so far, those before included; none: there is one look"""
    looks: int | None = 1
    """how many looks there may be, None where nobody knows"""

    def __post_init__(self) -> None:
        """Refuse what is no error rate."""
        if not (0 < self.supported < 1 and 0 < self.refuted < 1 and self.supported + self.refuted < 1):
            said = f"{self.supported:g} and {self.refuted:g}"
            raise Refusal(f"{said} are no error rates: give shares between 0 and 1, as alpha=0.05.")

    @property
    def level(self) -> float:
        """Confidence of the interval that the two tests make, over all looks."""
        return 1 - self.supported - self.refuted

    @property
    def tails(self) -> tuple[float, float]:
        """The one-sided p-values at which this look supports and refutes."""
        supported, refuted = (
            nominal(alpha, self.counts or (0,), self.looks) for alpha in (self.supported, self.refuted)
        )
        return supported, refuted

    def among(self, parts: int) -> "Errors":
        """Those of one part of several: all must be supported, one alone refutes."""
        return Errors(self.supported, self.refuted / parts, self.counts, self.looks)

    def at(self, counts: Sequence[int], looks: int | None) -> "Errors":
        """Those of the last of several looks."""
        return Errors(self.supported, self.refuted, tuple(counts), looks)


def errors(alpha: float) -> Errors:
    """An error rate shared out between supporting and refuting."""
    return Errors(SUPPORTED * alpha, (1 - SUPPORTED) * alpha)


def even(alpha: float) -> Errors:
    """The same for either side, where nobody claims a direction."""
    return Errors(alpha / 2, alpha / 2)


FIRST = 0.9
"""share of a comparison's error rate that its first look may come to: most findings need no second one"""
_NODES, _CONTRASTS = 32, 96
_HALVINGS = 40


def spent(look: int, looks: int | None) -> float:
    """The share of its error rate that a comparison has spent after `look` of `looks`; 1 after the last.

    With None nobody knows how many there will be, as of a recipe that is given more seeds each year: each
    look spends half of what is left.
    """
    if looks is None:
        return 1 - (1 - FIRST) * 2.0 ** (1 - look)
    if looks == 1:
        return 1.0
    return FIRST + (1 - FIRST) * (min(look, looks) - 1) / (looks - 1)


def nominal(alpha: float, counts: Sequence[int], looks: int | None = 1) -> float:
    """The one-sided p-value that the last of the looks at `counts` values must be below.

    `counts` are the values of each look, those before included: `(5, 10)` is the second of two looks at five
    pairs each. Over all its looks a comparison without any effect crosses with a chance of at most `alpha`.
    """
    bound = 0.0
    for look, count in enumerate(counts, start=1):
        now = alpha * spent(look, looks)
        if look == 1:
            bound = now
        else:
            bound = _next(counts[look - 2], count, bound, now - alpha * spent(look - 1, looks))
    return bound


@lru_cache(maxsize=4096)
def _next(before: int, count: int, bound: float, more: float) -> float:
    """The p-value whose first crossing at `count`, after `bound` at `before`, has the chance `more`.

    It lies between `more`, which is enough when no look was before, and the sum of the two.
    """
    low, high = math.log(more), math.log(bound + more)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _first(math.exp(middle), before, count, bound) < more else (low, middle)
    return math.exp(low)


def _first(p: float, before: int, count: int, bound: float) -> float:
    """Chance that a look at `count` crosses `p` and the one at `before` had not crossed `bound`."""
    from scipy.special import stdtrit

    nodes, weights = rule(_NODES)
    t = -stdtrit(count - 1, p * (nodes + 1) / 2)
    cosine = t / (t * t + count - 1) ** 0.5
    critical = -float(stdtrit(before - 1, bound))
    return float(p / 2 * (weights @ below(cosine, before, count, critical)))


def below(cosine: Any, before: int, count: int, critical: float, shift: Any = 0.0) -> Any:
    """Chance that the first `before` of `count` values had a t-statistic below `critical`, for each cosine.

    The values lie on a sphere of radius 1 about `shift`; a cosine is that of the angle between their
    differences from it and equal ones, so their mean is `shift` + cosine / sqrt(count).
    """
    import numpy as np
    from scipy.special import betainc

    nodes, weights = rule(_CONTRASTS)
    angle = math.pi / 2 * nodes
    density = weights * np.cos(angle) ** (count - 3)
    rest = count - before
    left = (1 - cosine[:, None] ** 2) * np.maximum(np.cos(angle) ** 2, 1e-300)
    spread = np.sqrt(1 - cosine[:, None] ** 2) * np.sin(angle)
    mean = shift + cosine[:, None] / math.sqrt(count) + spread * math.sqrt(rest / (before * count))
    needed = before * (before - 1) * np.maximum(mean, 0.0) ** 2 / critical**2 / np.maximum(left, 1e-300)
    if rest == 1:
        chance = (needed < 1).astype(float)
    else:
        chance = 1 - betainc((before - 1) / 2, (rest - 1) / 2, np.minimum(needed, 1.0))
    return chance @ (density / density.sum())


@cache
def rule(nodes: int) -> Any:
    """Nodes and weights of Gauss and Legendre on [-1, 1]."""
    from numpy.polynomial.legendre import leggauss

    return leggauss(nodes)


FIRST_RATE = 0.53
"""share of the first comparison: its first look at five pairs finds 1 SD in 35 % of cases and 2 SD in 87 %"""
REST = 0.3
"""share of all others; a sixth is never handed out: on figures that are not normal a t-test errs more"""
_DECAY = 1.6
_SUM = 1.2857656658  # of k ** -1.6 over all k > 1: zeta(1.6) - 1, rounded up


def share(number: int) -> float:
    """The share gamma of comparison `number` from 1 on; all of them come to less than 1."""
    return FIRST_RATE if number == 1 else REST / _SUM * float(number) ** -_DECAY


def rate(alpha: float, number: int, carried: float = 0.0) -> Errors:
    """The error rates of comparison `number`, over all its looks.

    `carried` is what the comparison before it might support at, where that one was supported.
    """
    if not 0 < alpha < 1:
        raise Refusal(f"alpha={alpha} is no error rate: give a share between 0 and 1, for example 0.05.")
    own = alpha * share(number)
    return Errors(SUPPORTED * own + carried, (1 - SUPPORTED) * own)


def left(alpha: float, count: int) -> float:
    """What of an error rate is left for comparisons after the first `count`."""
    return alpha * (FIRST_RATE + REST - sum(share(number) for number in range(1, count + 1)))

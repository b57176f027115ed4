"""How large an effect is that was chosen for being large, and which part of a gain is new.

What crosses a bound is told too large by itself (the winner's curse). Here a size stays in the interval if
the mean would not be extreme among those of the same spread *that cross the bound as well*: for a size theta
the differences from theta lie on a sphere of known radius, in a uniform direction whatever their spread, so
what crosses is a region of angles, and the mean's place in it an exact p-value (Fithian, Sun and Taylor 2014,
Optimal inference after model selection, arXiv 1410.2597, with the spread unknown). Of a second look it counts
too that the first had not crossed. Told is the median unbiased size, p = 1/2, and 0 where the bound was
hardly crossed, kept to what was claimed: where that is true it takes nothing from the coverage.

A gain has two parts: what training the control shorter brings, and what is new beyond that. Costs are
compared by ratios: over the same seeds contender / control is stopped control / control times contender /
stopped control, exactly. So the parts are told one after the other, each in percent of what the one before
it left; a gain that is told corrected for having been chosen is their product up to that correction.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, final

from research.stats.alpha import Errors, below, rule
from research.stats.decide import critical
from research.stats.intervals import changes_of, compare, interval, mean_of
from research.types import Comparison, Direction, Record, Scale, Values, Verdict, VerdictWord

_NODES, _SIZES, _FAR = 64, 120, 30.0


@final
class Interval(NamedTuple):
    """A size with its interval, in the unit of the values."""

    size: float
    low: float
    high: float


def chosen(
    control: Values,
    treatment: Values,
    metric: str,
    direction: Direction,
    least: float,
    scale: Scale,
    looks: Sequence[Errors],
    level: float = 0.95,
) -> Comparison:
    """A supported change with its size given that it was chosen.

    `looks` are the error rates of each look at it, the last one's found it; `least` is the smallest effect.
    """
    pairs = [(control[seed], treatment[seed]) for seed in sorted(set(control) & set(treatment))]
    changes, rounding = changes_of(pairs, scale)
    measured = mean_of(changes, rounding, metric)
    compared = compare(control, treatment, metric, level, scale)
    if not measured.error:
        return compared
    sign = 1.0 if direction == "max" else -1.0
    beyond = sign * math.log1p(sign * least / 100) if scale == "relative" else least
    counts = looks[-1].counts or (measured.n,)
    tails = [rate.tails[0] for rate in looks]
    size = conditional([sign * change for change in changes], counts, tails, beyond, level)
    told = [100 * math.expm1(sign * end) if scale == "relative" else sign * end for end in size]
    low, high = sorted(told[1:])
    return compared.model_copy(update={"difference": told[0], "low": low, "high": high})


def conditional(
    values: Sequence[float],
    counts: Sequence[int],
    tails: Sequence[float],
    least: float = 0.0,
    level: float = 0.95,
) -> Interval:
    """The mean of values that were chosen because their t-statistic against `least` crossed the last bound.

    `counts` are the values of each look and `tails` the one-sided p-values of their bounds, the last two are
    used. Positive is the side that was claimed.
    """
    from numpy import asarray

    moved = asarray(values, dtype=float) - least
    bounds = [critical(tail, count - 1) for count, tail in zip(counts, tails, strict=True)]
    given = _Given(moved, bounds[-1], *((counts[-2], bounds[-2]) if len(counts) > 1 else (0, 0.0)))
    low, middle, high = given.ends((1 - level) / 2)
    return Interval(least + middle, least + low, least + high)


@final
class _Given:
    """The values, and the bounds that they have crossed or not."""

    def __init__(self, values: Any, bound: float, before: int, earlier: float) -> None:
        self._n, self._mean = len(values), float(values.mean())
        self._squares = float(((values - self._mean) ** 2).sum())
        self._slope = bound / math.sqrt(self._n - 1)
        self._before, self._earlier = before, earlier

    def ends(self, tail: float) -> tuple[float, float, float]:
        """The least, middle and largest size from 0 on whose p-value lies between `tail` and 1 - `tail`.

        The p-value is no straight function of the size where the bound was hardly crossed, so it is read off
        at many sizes, closest together at the small ones.
        """
        error = math.sqrt(self._squares / (self._n * (self._n - 1)))
        most = self._mean + _FAR * error
        sizes = [most * (step / _SIZES) ** 2 for step in range(_SIZES + 1)]
        chances = [self.chance(size) for size in sizes]
        kept = [at for at, chance in enumerate(chances) if tail <= chance <= 1 - tail]
        below_half = [at for at, chance in enumerate(chances) if chance < 0.5]
        middle = below_half[-1] if below_half and chances[0] < 0.5 else 0
        low, high = (max(0, kept[0] - 1), min(_SIZES, kept[-1] + 1)) if kept else (0, middle)
        return sizes[low], sizes[middle], sizes[high]

    def chance(self, size: float) -> float:
        """Chance of a mean at least as large, were this the size, among all that cross the bound."""
        radius = math.sqrt(self._squares + self._n * (self._mean - size) ** 2)
        shift = size * math.sqrt(self._n) / radius
        seen = math.asin(max(-1.0, min(1.0, (self._mean - size) * math.sqrt(self._n) / radius)))
        parts = self._crossing(shift)
        inside = [self._mass(low, high, size / radius) for low, high in parts]
        above = [self._mass(max(low, seen), high, size / radius) for low, high in parts if high > seen]
        whole = math.fsum(inside)
        return math.fsum(above) / whole if whole else 1.0

    def _crossing(self, shift: float) -> list[tuple[float, float]]:
        """The angles, from -pi/2 to pi/2, at which the t-statistic reaches the bound."""
        right, turn = math.pi / 2, math.atan(self._slope)
        reach = shift / math.hypot(1.0, self._slope)
        if reach >= 1:
            return [(-right, right)]
        upper = (min(right, turn - math.asin(max(-1.0, reach))), right)
        lower = (-right, turn - math.pi + math.asin(max(-1.0, reach)))
        return [upper, lower] if lower[1] > -right else [upper]

    def _mass(self, low: float, high: float, shift: float) -> float:
        import numpy as np

        nodes, weights = rule(_NODES)
        angle = (low + high) / 2 + (high - low) / 2 * nodes
        density = weights * np.cos(angle) ** (self._n - 2)
        if self._before:
            density = density * below(np.sin(angle), self._before, self._n, self._earlier, shift)
        return float((high - low) / 2 * density.sum())


@final
class Gain(Record):
    """A contender's gain over the control, beside the control stopped at the bound."""

    stopped: tuple[str, ...]
    """overrides of the stopped control"""
    shorter: Comparison
    """stopped control against the control: what training shorter brings"""
    new: Comparison | None = None
    """contender against the stopped control; None where the contender is the stopped control itself"""
    word: VerdictWord | None = None
    """whether something new is shown; None where nothing is claimed to be"""
    kept: bool = True
    """whether the stopped control's means over the fresh seeds keep the goal's bounds"""

    @property
    def shown(self) -> bool:
        """Whether the gain goes beyond training shorter."""
        return self.word == "supported"

    @property
    def words(self) -> str:
        """For example `-79 % by training shorter (budget.steps=40), then -14 % [-20, -8] by what is new`."""
        line = " ".join(self.stopped)
        first = f"{_percent(self.shorter)} by training shorter (`{line}`)"
        if self.new is None:
            return f"{first}; nothing new was shown beyond it"
        unsettled = "" if self.shown else ", which shows nothing new"
        missed = "; stopped there the control misses a bound, so this part is told too small"
        missed = "" if self.kept else missed
        rest = f"{_percent(self.new)} {interval(self.new)} of the rest"
        return f"{first}, then {rest} by what is new{unsettled}{missed}"


def parted(
    stopped: Sequence[str],
    control: Values,
    shorter: Values,
    metric: str,
    level: float,
    beyond: Verdict | None = None,
    kept: bool = True,
) -> Gain:
    """The parts of a gain in a cost; `beyond` is the verdict of the contender against the stopped control.

    Where that is supported and the seeds that tell its size leave open whether there is one, nothing new is
    shown.
    """
    new = None if beyond is None else beyond.comparison
    word = None if beyond is None else beyond.word
    if word == "supported" and (new is None or new.low * new.high <= 0):
        word = "open"
    return Gain(
        stopped=tuple(stopped),
        shorter=compare(control, shorter, metric, level, "relative"),
        new=new,
        word=word,
        kept=kept,
    )


def _percent(part: Comparison) -> str:
    return f"{part.difference:+.3g} %" if math.isfinite(part.difference) else "an unknown part"

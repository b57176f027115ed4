"""A race among arms for a few more seeds: which is trained next, and the chance that each keeps its bounds.

Seeds of one arm spread about as far as those of any other, so the spread is pooled over all arms, and an arm
with two seeds is judged by the spread of twenty. Arms are drawn to what such arms come to, for the best of
many was lucky as well (empirical Bayes intervals: Morris, 1983, JASA 78, 47-55).
Where there are bounds, the arm trained next has the best figure of those that more likely than not keep them:
it is the pick once that is sure. Without bounds it is the less known of the two likeliest picks: top-two
Thompson sampling (Russo, 2020, Operations Research 68, 1625-1647), by chances instead of draws.
"""

import math
import random
from collections.abc import Mapping, Sequence
from statistics import NormalDist, median
from typing import NamedTuple, final

from research.metrics import is_ratio, is_score
from research.types import Constraint, Objective

SURE, LIKELY = 0.9, 0.5
"""chances of keeping the bounds from which an arm is picked, or trained once more, by its figure"""
_DRAWS = 300
_TINY = 1e-300
_PRIOR = 1.0
"""values that the first guess of a spread counts for"""

Figures = Sequence[Mapping[str, float]]
"""what an arm measured, by seed"""


@final
class Belief(NamedTuple):
    """What an arm's mean over seeds may be: a normal distribution."""

    mean: float
    sd: float


def beliefs(values: Sequence[Sequence[float]], guess: float) -> list[Belief]:
    """What each arm's mean may be; `guess` is the spread of one arm's seeds as long as nothing tells it."""
    means = [math.fsum(own) / len(own) for own in values]
    squares = math.fsum((value - mean) ** 2 for own, mean in zip(values, means, strict=True) for value in own)
    freedom = sum(len(own) - 1 for own in values)
    known = freedom + _PRIOR
    noise = (squares + _PRIOR * guess**2) / known
    noise *= known / max(0.5, known - 2)  # as wide as Student's t
    count, centre = len(means), math.fsum(means) / len(means)
    apart = math.fsum((mean - centre) ** 2 for mean in means) / max(1, count - 1)
    by_chance = noise * math.fsum(1 / len(own) for own in values) / count
    between = max(apart - by_chance, 0.0)
    arms = zip(values, means, strict=True)
    return [_drawn_in(mean, noise / len(own), centre, between, count) for own, mean in arms]


def _drawn_in(mean: float, variance: float, centre: float, between: float, count: int) -> Belief:
    """Morris's equation 1.17 and 1.18: fewer than four means tell of no prior, and are what they are."""
    if count < 4 or not variance:
        return Belief(mean, math.sqrt(variance))
    pull = (count - 3) / (count - 1) * variance / (variance + between)
    unsure = 2 / (count - 3) * pull**2 * (mean - centre) ** 2
    left = variance * (1 - (count - 1) / count * pull) + unsure
    return Belief((1 - pull) * mean + pull * centre, math.sqrt(left))


def inside(objective: Objective, margin: float) -> Objective:
    """The objective with every bound of a score further inside by `margin`: who is to race for keeping it.

    The best of many that just keep a bound by one seed were lucky, and most of them break it.
    """
    kept = []
    for bound in objective.constraints:
        moved = bound.bound + (margin if bound.op == ">=" else -margin)
        kept.append(bound.model_copy(update={"bound": moved}) if is_score(bound.metric) else bound)
    return objective.model_copy(update={"constraints": tuple(kept)})


@final
class Race:
    """What is known of some arms now."""

    def __init__(self, objective: Objective, arms: Sequence[Figures]) -> None:
        """Each arm has figures of one seed at least, with every metric of the objective."""
        self._objective, self._arms = objective, arms
        self._bounds = [(bound, self._believed(bound.metric)) for bound in objective.constraints]
        self._aim = self._believed(objective.metric)

    def keeps(self, place: int) -> float:
        """The chance that an arm's mean keeps every bound, bounds taken as independent."""
        return math.prod(_inside(bound, known[place]) for bound, known in self._bounds)

    def order(self) -> list[int]:
        """The arms, the pick first: those that surely keep their bounds by their figure, then the surest."""
        return sorted(range(len(self._arms)), key=lambda place: self._rank(place, SURE))

    def _rank(self, place: int, chance: float) -> tuple[float, float]:
        sign = 1 if self._objective.direction == "min" else -1
        return max(0.0, chance - self.keeps(place)), sign * self._aim[place].mean

    def next(self, may: Sequence[int]) -> int:
        """Of those that `may` be trained once more the one to train."""
        if self._bounds:
            return min(may, key=lambda place: self._rank(place, LIKELY))
        chances = self._chances()
        first = sorted(may, key=lambda place: -chances[place])[:2]
        return min(first, key=lambda place: len(self._arms[place]))

    def _chances(self) -> list[float]:
        """The chance of each arm to be the best, where there are no bounds."""
        lot = random.Random(len(self._arms) + sum(map(len, self._arms)))
        sign = 1 if self._objective.direction == "min" else -1
        won = [0.0] * len(self._arms)
        for _ in range(_DRAWS):
            drawn = [sign * lot.gauss(*known) for known in self._aim]
            won[drawn.index(min(drawn))] += 1 / _DRAWS
        return won

    def _believed(self, metric: str) -> list[Belief]:
        """What each arm's mean of a metric may be; of a cost that is the aim, its logarithm's."""
        values = [[figures[metric] for figures in own] for own in self._arms]
        if is_ratio(metric) and metric == self._objective.metric:
            values = [[math.log(max(value, _TINY)) for value in own] for own in values]
        return beliefs(values, _spread([own[0] for own in values]))


def _spread(values: Sequence[float]) -> float:
    """The standard deviation by the median distance from the median, which an outlier does not move."""
    middle = median(values)
    return 1.48 * median(abs(value - middle) for value in values)


def _inside(bound: Constraint, known: Belief) -> float:
    room = known.mean - bound.bound if bound.op == ">=" else bound.bound - known.mean
    if not known.sd:
        return float(room >= 0)
    return NormalDist().cdf(room / known.sd)

"""Learning curves of an arm: the mean over its seeds, point by point."""

import math
from collections.abc import Iterator

from research.report.svg import Point
from research.stats.arms import Arm
from research.stats.comparable import disturbed
from research.stats.intervals import summary
from research.store.store import Store

_SEEDS = 10
"""curves of an arm that are read: ten tell its mean, and each is a query"""


def curve(store: Store, arm: Arm, metric: str, axis: str = "joule") -> tuple[Point, ...]:
    """Mean of the metric and of the axis (`joule`, `second` or `step`) at each step that all seeds have.

    Empty where a trial has no such point, or no figure of the axis. Trials whose training was disturbed are
    left out of an axis that a clock takes.
    """
    pairs = zip(arm.rows, arm.results, strict=True)
    kept = [one for one, told in pairs if axis == "step" or not disturbed("train/seconds", told)]
    return tuple(_points([store.curve(trial.id) for trial in kept[:_SEEDS]], metric, axis))


def _points(found: list[list[dict[str, float]]], metric: str, axis: str) -> Iterator[Point]:
    by_step = [{point["step"]: point for point in one if metric in point} for one in found]
    steps = sorted(set.intersection(*map(set, by_step))) if by_step else []
    for step in steps:
        points = [one[step] for one in by_step]
        across, up = summary(point[axis] for point in points), summary(point[metric] for point in points)
        if across.n == up.n == len(points) and math.isfinite(up.mean):
            yield Point(across.mean, up.mean, up=0.0, label=f"step {step:g}")

"""Ends a training that cannot win any more, judged by its learning curve against bars that are given."""

import itertools
import math
from collections.abc import Mapping
from typing import Any, final

from lightning.pytorch import Callback, Trainer

from models.training.clock import Clock
from models.training.lit import Lit
from refusal import Ended, Refusal


@final
class Stopped(Ended):
    """The training was ended because it could not win any more; the text says by which figure."""


_SPENT = {"cpu_second": "CPU s", "joule": "J"}
"""columns of the curve that a cap may be of, and their unit"""
_SEEN = 2
"""stretches between points of the curve that a projection needs beside the first one"""


@final
class HalvingStop(Callback):
    """Raises `Stopped` at a point of the learning curve that is worse than its bar, or when costs run away.

    Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943) in its asynchronous form (Li et al.
    2020, arXiv 1810.05934): the bar of a rung is the worst value that is still among the best half, or third,
    of those that reached it. Who runs the trials works the bars out; a training that passes them all ends bit
    for bit as one without.

    A cost is projected from below: each step that is left is taken to cost what a step did in the cheapest
    stretch of the curve. The stretch up to the first point is left out, since a fresh process starts slowly,
    and fewer than two stretches after it give no projection. A training with a `budget.target` may end at any
    point, so only what it has spent counts. No training is ended for its cost while others disturb it, or
    where its rest would cost less than starting the next one.

    Args:
        metric: what the bars are of, a key of the curve such as `val/accuracy`.
        direction: `max` or `min`, what is better.
        bars: share of the budget, in (0, 1), to the worst value that goes on from there.
        cap: what the steps of the whole training may cost, projected; None lets them cost what they do.
        cost: what the cap is of: `cpu_second`, or `joule` where a GPU draws them.
        settled: share of the budget from which the cost is projected.
        rest: CPU seconds that the rest must come to at the least to be worth ending.

    Raises:
        Refusal: a share, the cost or the direction makes no sense.
    """

    def __init__(
        self,
        metric: str = "val/accuracy",
        direction: str = "max",
        bars: Mapping[Any, float] | None = None,
        cap: float | None = None,
        cost: str = "cpu_second",
        settled: float = 0.2,
        rest: float = 0.05,
    ) -> None:
        self.metric, self.direction = metric, direction
        self.bars = {float(share): float(bar) for share, bar in (bars or {}).items()}
        self.cap, self.cost, self.settled, self.rest = cap, cost, settled, rest
        if direction not in ("max", "min") or not all(0 < share < 1 for share in (*self.bars, settled)):
            raise Refusal(
                "callbacks.halving needs a direction of max or min, and shares of the budget between 0 and 1."
            )
        if cost not in _SPENT:
            raise Refusal(f"callbacks.halving.cost={cost} is in no curve: choose {' or '.join(_SPENT)}.")
        self._rows = 0
        self._reached: dict[str, float] = {}
        self._points: list[tuple[float, float, float]] = []
        """share, what `cost` had come to, and CPU seconds at each point of the curve"""

    def next_stop(self, step: int) -> int | None:
        """None: the curve's own stops are often enough."""
        return None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the points of the curve that are new."""
        lit: Lit = pl_module
        curve = lit.record.curve
        for row in curve[self._rows :]:
            share = lit.budget.share(row["step"], lit.total, row["second"], row.get("joule"))
            self._see(row, share)
            if share < 1:
                self._compare(row, share)
                # One that has a target may end at the next point: nothing is projected of its rest.
                self._afford(share, lit.clock, certain=lit.budget.target is not None)
        self._rows = len(curve)

    def _see(self, row: Mapping[str, float], share: float) -> None:
        spent, cpu = row.get(self.cost, math.nan), row.get("cpu_second", math.nan)
        if math.isfinite(spent) and (not self._points or share > self._points[-1][0]):
            self._points.append((share, spent, cpu))

    def _compare(self, row: Mapping[str, float], share: float) -> None:
        passed = [rung for rung in self.bars if rung <= share + 1e-9]
        if not passed or self.metric not in row:
            return
        bar, value = self.bars[max(passed)], row[self.metric]
        self._reached.setdefault(f"at/{max(passed):g}", value)
        if value < bar if self.direction == "max" else value > bar:
            self._stop(
                f"{self.metric} is {value:.4g} at {share:.0%} of the budget, where what goes on has {bar:.4g}"
            )

    def _afford(self, share: float, clock: Clock, certain: bool) -> None:
        projected, cpu = self._projected(1), self._projected(2)
        if projected is None or cpu is None:
            return
        if certain:
            projected = self._points[-1][1]
        self._reached |= {"projected": projected, "projected/cpu_seconds": cpu}
        if self.cap is None or share < self.settled or projected <= self.cap:
            return
        if cpu - self._points[-1][2] < self.rest:
            return
        # A busy neighbour makes a training dearer than it is: its cost is no reason to end it.
        if "train" not in clock.disturbed():
            unit = _SPENT[self.cost]
            self._stop(
                f"{self._points[-1][1]:.3g} {unit} at {share:.0%} of the budget come to at least "
                f"{projected:.3g} {unit}, more than {self.cap:.3g} {unit}"
            )

    def _projected(self, column: int) -> float | None:
        """What a column comes to at the end, at the cheapest rate of all stretches after the first point."""
        points = [(point[0], point[column]) for point in self._points if math.isfinite(point[column])]
        if len(points) < 1 + _SEEN:
            return None
        pairs = itertools.pairwise(points)
        rate = min((later - before) / (end - start) for (start, before), (end, later) in pairs)
        return points[-1][1] + max(0.0, rate) * (1 - points[-1][0])

    def _stop(self, why: str) -> None:
        stopped = Stopped(f"stopped early: {why}")
        stopped.spent = dict(self._reached)
        raise stopped

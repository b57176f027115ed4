"""Ends a training that cannot win any more, judged by its learning curve against bars that are given."""

from collections.abc import Mapping
from typing import Any, final

from lightning.pytorch import Callback, LightningModule, Trainer

from models.clock import Clock
from refusal import Ended, Refusal


@final
class Stopped(Ended):
    """The training was ended because it could not win any more; the text says by which figure."""


@final
class Halving(Callback):
    """Raises `Stopped` at a point of the learning curve that is worse than its bar, or when joules run away.

    Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943) in its asynchronous form (Li et al.
    2020, arXiv 1810.05934): the bar of a rung is the worst value that is still among the best half, or third,
    of those that reached it. Who runs the trials works the bars out; a training that passes them all ends bit
    for bit as one without.

    Args:
        metric: what the bars are of, a key of the curve such as `val/accuracy`.
        direction: `max` or `min`, what is better.
        bars: share of the budget, in (0, 1), to the worst value that goes on from there.
        joules: what the whole training may use; one that would come to more, going on as it went since its
            first point, is ended from `settled` on, unless others disturb it. What starting took is not
            counted again.
        settled: share of the budget from which joules are projected, the first point of the curve aside.

    Raises:
        Refusal: a share or the direction makes no sense.
    """

    def __init__(
        self,
        metric: str = "val/accuracy",
        direction: str = "max",
        bars: Mapping[Any, float] | None = None,
        joules: float | None = None,
        settled: float = 0.2,
    ) -> None:
        self.metric, self.direction = metric, direction
        self.bars = {float(share): float(bar) for share, bar in (bars or {}).items()}
        self.joules, self.settled = joules, settled
        if direction not in ("max", "min") or not all(0 < share < 1 for share in (*self.bars, settled)):
            raise Refusal(
                "callbacks.halving needs a direction of max or min, and shares of the budget between 0 and 1."
            )
        self._rows = 0
        self._reached: dict[str, float] = {}
        self._first: tuple[float, float] | None = None
        """share and joules of the first point"""

    def next_stop(self, step: int) -> int | None:
        """None: the curve's own stops are often enough."""
        return None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the points of the curve that are new."""
        curve = pl_module.record.curve
        for row in curve[self._rows :]:
            share = pl_module.budget.share(row["step"], pl_module.total, row["second"], row.get("joule"))
            if share < 1:
                self._judge(row, share, self._projected(row, share), pl_module.clock)
        self._rows = len(curve)

    def _projected(self, row: Mapping[str, float], share: float) -> float | None:
        """Joules of the whole training; None at its first point, and where the meter has none."""
        if "joule" not in row:
            return None
        if self._first is None or share <= self._first[0]:
            self._first = self._first or (share, row["joule"])
            return None
        rate = (row["joule"] - self._first[1]) / (share - self._first[0])
        return row["joule"] + rate * (1 - share)

    def _judge(self, row: Mapping[str, float], share: float, projected: float | None, clock: Clock) -> None:
        if projected is not None:
            self._reached["projected"] = projected
        passed = [rung for rung in self.bars if rung <= share + 1e-9]
        if passed and self.metric in row:
            bar, value = self.bars[max(passed)], row[self.metric]
            self._reached.setdefault(f"at/{max(passed):g}", value)
            if value < bar if self.direction == "max" else value > bar:
                self._stop(
                    f"{self.metric} is {value:.4g} at {share:.0%} of the budget, where what goes on has "
                    f"{bar:.4g}"
                )
        if None in (self.joules, projected) or share < self.settled or projected <= self.joules:
            return
        # A busy neighbour makes a training dearer than it is: its joules are no reason to end it.
        if "train" not in clock.disturbed():
            self._stop(
                f"{row['joule']:.3g} J at {share:.0%} of the budget come to {projected:.3g} J, more than "
                f"{self.joules:.3g} J"
            )

    def _stop(self, why: str) -> None:
        stopped = Stopped(f"stopped early: {why}")
        stopped.spent = dict(self._reached)
        raise stopped

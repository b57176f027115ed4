"""Ends a training when its validation first keeps the bound that its budget names."""

from typing import Any, final

from lightning.pytorch import Callback, Trainer

from models.training.budget import Target
from models.training.lit import Lit
from refusal import Refusal


@final
class Reached(Callback):
    """Stops the training at the first point of the learning curve that keeps `target`.

    It keeps nothing of its own: the curve is part of every checkpoint, so a training that is resumed ends at
    the same point. It comes after the curve, whose stops are often enough, and before what saves.

    Raises:
        Refusal: the data has no such score.
    """

    def __init__(self, target: Target, task: str) -> None:
        if target.metric == "val/bits_per_byte" and task != "language":
            raise Refusal(
                f"budget.target names {target.metric}, which only data of bytes has: "
                "choose val/accuracy or val/loss."
            )
        regressed, any_task = target.metric in ("val/rmse", "val/mae", "val/r2"), ("val/loss", "val/own")
        if not target.metric.startswith(any_task) and regressed != (task == "regression"):
            raise Refusal(
                f"budget.target names {target.metric}, which data of the task {task} does not have: choose "
                f"{'val/rmse' if task == 'regression' else 'val/accuracy'} or val/loss."
            )
        self.target = target
        self._rows = 0

    def next_stop(self, step: int) -> int | None:
        """None: the curve's own stops are often enough."""
        return None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """End at once what was saved at its end."""
        self._look(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the points of the curve that are new."""
        self._look(trainer, pl_module)

    def _look(self, trainer: Trainer, module: Lit) -> None:
        curve = module.record.curve
        if len(curve) == self._rows:
            return
        kept = any(self.target.kept_by(row) for row in curve[self._rows :])
        self._rows = len(curve)
        if trainer.world_size > 1:  # only rank 0 validates, and all must end at one step
            kept = trainer.strategy.broadcast(kept)
        if kept:
            trainer.should_stop = True

"""Starts the clock again for what other callbacks do between steps, such as a gradual pruning."""

from typing import Any, final

from lightning.pytorch import Callback, LightningModule, Trainer


@final
class Between(Callback):
    """Comes first, as the learning curve comes after all others and stops the clock.

    So what a callback does after steps is part of the training's cost, unless it is known to be the
    harness's: the curve and the checkpoints.
    """

    def next_stop(self, step: int) -> int | None:
        """None: it listens to the calls that others asked for."""
        return None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """What follows counts."""
        pl_module.clock.resume()

"""Saves the training every so many seconds or steps, when it is asked to stop, and at the end."""

from pathlib import Path
from typing import Any, final

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from models.training.checkpoint import prepare, read_manifest
from models.training.lit import Lit
from refusal import Refusal

KEPT = 2
"""checkpoints per folder: the newest, and the one before in case the newest is damaged on disk"""


@final
class Checkpoint(Callback):
    """Writes `<trial's folder>/checkpoints/step_N.ckpt`.

    `every_seconds`, of steps and all between them, is counted from the last save and looked at between calls
    of `training_step`; `every_steps` is exact. Null switches one off; the end is saved always.

    Raises:
        Refusal: a period is not larger than zero, or a checkpoint could not be written.
    """

    def __init__(self, every_seconds: float | None = 60.0, every_steps: int | None = None) -> None:
        for name, period in (("every_seconds", every_seconds), ("every_steps", every_steps)):
            if period is not None and period <= 0:
                raise Refusal(f"callbacks.checkpoint.{name} must be larger than zero or null, not {period}.")
        self.every_seconds, self.every_steps = every_seconds, every_steps
        self._saved_second, self._saved_step = 0.0, -1

    def next_stop(self, step: int) -> int | None:
        """The next step to save at, when they are saved by steps."""
        return None if self.every_steps is None else step + self.every_steps - step % self.every_steps

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Refuse a folder that takes no file before anything is trained."""
        if trainer.is_global_zero:
            prepare(_folder(trainer))

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Count the seconds from here; what was resumed from is saved already."""
        lit: Lit = pl_module
        self._saved_second, self._saved_step = lit.now.wall, lit.resumed_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when a period has ended; the seconds are rank 0's, so that all ranks agree."""
        lit: Lit = pl_module
        step = trainer.global_step
        by_steps = self.every_steps is not None and step % self.every_steps == 0
        waited = lit.now.wall - self._saved_second
        if by_steps or (self.every_seconds is not None and waited >= self.every_seconds):
            self._save(trainer, lit)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Save the end."""
        self._save(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Save when the process was told to stop, which Lightning raises between two calls."""
        if isinstance(exception, SIGTERMException) and trainer.world_size == 1:
            self._save(trainer, pl_module)

    def _save(self, trainer: Trainer, lit: Lit) -> None:
        step = trainer.global_step
        if step == self._saved_step:
            return
        folder = _folder(trainer)
        with lit.clock.aside():
            trainer.save_checkpoint(folder / f"step_{step}.ckpt", weights_only=False)
        self._saved_second, self._saved_step = lit.now.wall, step
        if trainer.is_global_zero:
            for name in list(read_manifest(folder))[:-KEPT]:
                trainer.strategy.remove_checkpoint(folder / name)


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "checkpoints"

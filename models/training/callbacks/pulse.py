"""Tells whoever runs a training that it steps, and what it has spent."""

from collections.abc import Callable, Mapping
from typing import Any, final

from lightning.pytorch import Callback, Trainer

from models.training.lit import Lit

Beat = Callable[[int | None, Callable[[], Mapping[str, float]]], None]
"""hears of a step, None after the last; may ask what was spent, and raises what is to end the training"""
_SPENT = {"seconds": "train/seconds", "cpu_seconds": "train/cpu_seconds", "joules": "train/energy_j"}


@final
class Pulse(Callback):
    """Calls `beat` after each call of `training_step`; what it tells is of this session alone."""

    def __init__(self, beat: Beat) -> None:
        self._beat = beat
        self._before: Mapping[str, float] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pulse":
        """A copy is of a training that is only rehearsed: nobody hears of it."""
        return Pulse(lambda step, spent: None)

    def next_stop(self, step: int) -> int | None:
        """None: it listens to the calls that others asked for."""
        return None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """What earlier sessions have used is not spent again."""
        self._before = pl_module.clock.metrics()
        self._beat(trainer.global_step, dict)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell how far it is."""
        self._beat(trainer.global_step, lambda: self._spent(pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """What follows has no steps."""
        self._beat(None, lambda: self._spent(pl_module))

    def _spent(self, lit: Lit) -> dict[str, float]:
        with lit.clock.aside():
            now = lit.clock.metrics()
        return {name: now[key] - self._before.get(key, 0.0) for name, key in _SPENT.items() if key in now}

"""Ends a training whose loss explodes, long before it becomes infinite."""

import math
from typing import Any, final

from lightning.pytorch import Callback, Trainer

from models.training.lit import Lit
from models.training.record import Diverged
from refusal import Refusal


@final
class Divergence(Callback):
    """Raises `Diverged` when the mean of `window` losses is above `factor` times that of the first window.

    Windows are counted in optimizer steps from the start of training, so the verdict depends on nothing else.

    Raises:
        Refusal: `window` or `factor` is out of range.
    """

    def __init__(self, window: int = 50, factor: float = 10.0) -> None:
        if window < 1 or factor <= 1.0:
            raise Refusal("callbacks.divergence needs a window of at least 1 and a factor above 1.")
        self.window, self.factor = window, factor
        self._first: float | None = None
        self._sum, self._count = 0.0, 0

    def next_stop(self, step: int) -> int | None:
        """None: the losses of a whole call come at once."""
        return None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at every loss of the call."""
        lit: Lit = pl_module
        before, losses = lit.record.last
        for step, loss in enumerate(losses, before + 1):
            # A non-finite loss that is still here belongs to a step that the gradient scaler skipped.
            self._sum += loss if math.isfinite(loss) else 0.0
            self._count += 1
            if self._count == self.window:
                self._judge(step, self._sum / self.window)

    def state_dict(self) -> dict[str, Any]:
        """The first window's mean and the running one."""
        return {"first": self._first, "sum": self._sum, "count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on inside the window that the checkpoint was taken in."""
        self._first, self._sum, self._count = state_dict["first"], state_dict["sum"], state_dict["count"]

    def _judge(self, step: int, mean: float) -> None:
        self._sum, self._count = 0.0, 0
        if self._first is None:
            self._first = mean
        elif mean > self.factor * self._first:
            raise Diverged(
                f"diverged: the mean loss of the {self.window} steps up to step {step} is {mean:.3g}, "
                f"more than {self.factor:g} times the first {self._first:.3g}"
            )

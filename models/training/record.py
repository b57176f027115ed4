"""What a training has shown so far: its curve, its gradient norms, its non-finite steps."""

import math
from typing import Any, final

from refusal import Ended

_STREAK = 20
"""a gradient scaler starts at 2**16 and halves; more skipped steps in a row are not its search for a scale"""


@final
class Diverged(Ended):
    """The training cannot go on; the text says why and at which step."""


@final
class TrainingRecord:
    """Numbers of every optimizer step, handed over once per call, and the rows of the learning curve.

    It is part of each checkpoint, so a resumed training ends with the record of an uninterrupted one.
    """

    def __init__(self) -> None:
        self.curve: list[dict[str, float]] = []
        self.last: tuple[int, list[float]] = (0, [])
        """the step before the latest call, and that call's losses"""
        self._loss_sum, self._losses = 0.0, 0
        self._norm_sum, self._norms, self._norm_max = 0.0, 0, 0.0
        self._nonfinite, self._streak = 0, 0

    def absorb(self, before: int, losses: list[float], norms: list[float], *, skipping: bool) -> None:
        """Add the losses and gradient norms of the steps after step `before`.

        With `skipping` a gradient scaler has left out each step whose gradient is not finite.

        Raises:
            Diverged: a number is not finite and the step was taken, or too many steps in a row were skipped.
        """
        self.last = (before, losses)
        for step, (loss, norm) in enumerate(zip(losses, norms, strict=True), before + 1):
            if math.isfinite(loss) and math.isfinite(norm):
                self._count(loss, norm)
            else:
                self._count_nonfinite(step, loss, norm, skipping)

    def add_row(self, row: dict[str, float]) -> dict[str, float]:
        """Append a point of the curve, with the mean training loss since the point before."""
        if self._losses:
            row = row | {"train/loss": self._loss_sum / self._losses}
        self.curve.append(row)
        self._loss_sum, self._losses = 0.0, 0
        return row

    def metrics(self) -> dict[str, float]:
        """The `stability/` keys; the mean and the maximum are over finite gradient norms, before clipping."""
        found = {"stability/nonfinite_steps": float(self._nonfinite)}
        if self._norms:
            found["stability/grad_norm_mean"] = self._norm_sum / self._norms
            found["stability/grad_norm_max"] = self._norm_max
        return found

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {name.lstrip("_"): value for name, value in vars(self).items() if name != "last"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        for name in [name for name in vars(self) if name != "last"]:
            setattr(self, name, state[name.lstrip("_")])

    def _count(self, loss: float, norm: float) -> None:
        self._loss_sum += loss
        self._losses += 1
        self._norm_sum += norm
        self._norms += 1
        self._norm_max = max(self._norm_max, norm)
        self._streak = 0

    def _count_nonfinite(self, step: int, loss: float, norm: float, skipping: bool) -> None:
        self._nonfinite += 1
        self._streak += 1
        if not skipping:
            what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient's norm is {norm}"
            raise Diverged(f"diverged: the {what} at step {step}")
        if self._streak > _STREAK:
            raise Diverged(f"diverged: {self._streak} steps in a row were not finite, up to step {step}")

"""What a compression may use of the trial around it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import final

from torch import Tensor, nn

from models.compress.backend import Backend
from models.data.batches import Batches
from models.data.dataset import Dataset
from models.training.budget import Given
from models.training.evaluate import evaluate
from models.training.precision import autocast

Finetune = Callable[[nn.Module, int, float], nn.Module]
"""(net, steps, factor on the learning rate) -> the same network, trained further"""


@final
@dataclass(frozen=True)
class Context:
    """Data on the device, and the trial's own way to train; the test split is not for compressions."""

    data: Dataset
    device: str
    seed: int
    precision: str
    folder: Path
    train: Finetune
    names: tuple[str, ...] = ()
    """of all steps of the trial's compression, in order"""
    backends: tuple[Backend, ...] = ()
    """which may make the code of the final network: one, or those of which the fastest is taken"""
    given: Given | None = None
    """the budgets of a network that is given and not trained"""
    tolerance: float | None = None
    """most that int8 may lose of the validation score; layers stay in 32 bits until that holds"""
    lose: float = 0.0
    """most that the code of one of several backends may lose of it"""

    @property
    def batch_size(self) -> int:
        """Of the optimizer."""
        return self.data.batch_size

    @property
    def example(self) -> Tensor:
        """One training batch: (B, *shape) float32 or (B, T) int64."""
        return next(self._inputs(1))

    def calibration(self, batches: int) -> Iterator[Tensor]:
        """Inputs of `batches` training batches, or of those of its own budget; the same for the same seed."""
        own = None if self.given is None else self.given.calibration
        return self._inputs(own or batches)

    def steps(self, steps: int) -> int:
        """Of a fine-tuning that asks for `steps`: those of its own budget where there is one."""
        own = None if self.given is None else self.given.finetune
        return steps if own is None or not steps else own

    def finetune(self, net: nn.Module, steps: int, lr_factor: float = 0.1) -> nn.Module:
        """Train `net` in place for `steps` more, with the trial's optimizer, schedule and objective.

        Its learning rate is `lr_factor` times the trial's, and its joules count as the trial's. A kill costs
        what was done since the last checkpoint, and what was pruned stays pruned. 0 steps do nothing.
        """
        return self.train(net, asked, lr_factor) if (asked := self.steps(steps)) else net

    def score(self, net: nn.Module) -> float:
        """On the validation split, larger is better: accuracy, minus bits per byte for a language, or R2."""
        size = 4 * self.data.batch_size
        with autocast(self.precision, self.device):
            scores, _ = evaluate(net, self.data.val, self.data.task, size, self.data.classes)
        if self.data.task == "regression":
            return scores.get("r2", -scores["loss"])
        return -scores["bits_per_byte"] if self.data.task == "language" else scores["accuracy"]

    def _inputs(self, batches: int) -> Iterator[Tensor]:
        stream = Batches(self.data.train, self.data.batch_size, self.seed)
        return (inputs for inputs, _ in islice(stream, batches))

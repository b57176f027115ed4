"""Batches in pieces: accumulation, each device's share, and what happens when memory runs out."""

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.training.losses import scored
from refusal import Refusal

Piece = tuple[Tensor, Tensor, float]
"""inputs, targets, and the piece's weight in the batch's mean loss"""


@final
class MicroBatches:
    """Cuts each batch so that the weighted losses of its pieces sum to the loss of the whole.

    `pieces` is what every device cuts its share into. Weights are shares of the scored positions, so unequal
    pieces and unscored targets leave the gradient that of the large batch, to float tolerance, for what is a
    mean over positions. Dropout draws other numbers, as many; statistics over a batch (batch normalisation,
    which no network of the lab has; the similarities of distillation) make it another gradient. `sparse` says
    that the data has unscored targets; they are counted on the host, which waits for the device.
    """

    def __init__(self, pieces: int, *, sparse: bool, rank: int = 0, world: int = 1) -> None:
        self.pieces, self.rank, self.world = pieces, rank, world
        self._sparse = sparse
        self.events: list[dict[str, Any]] = []
        """one entry for each time that memory ran out"""

    @property
    def whole(self) -> bool:
        """Whether a batch goes through as it is."""
        return self.pieces * self.world == 1

    def cut(self, inputs: Tensor, targets: Tensor, *, every: bool = False) -> list[Piece]:
        """The own pieces of a batch that all devices have; weights sum to `world` over all devices.

        A piece without scored positions is left out, unless `every` is wanted: its weight is 0 then.
        """
        count = self.pieces * self.world
        pieces = list(zip(inputs.tensor_split(count), targets.tensor_split(count), strict=True))
        sizes = [int(scored(answers)) if self._sparse else len(answers) for _, answers in pieces]
        scale = self.world / sum(sizes)
        mine = range(self.rank * self.pieces, (self.rank + 1) * self.pieces)
        # A mean over no position is not a number, so such a piece is left out.
        kept = [(*pieces[index], sizes[index] * scale) for index in mine if sizes[index] or every]
        # Every device has to take part in the sum of gradients, if with nothing.
        return kept or [(*pieces[sizes.index(max(sizes))], 0.0)]

    def notes(self, net: nn.Module) -> list[str]:
        """What must be said of a training of `net` in these pieces."""
        if self.whole or not any(isinstance(module, _BatchNorm) for module in net.modules()):
            return []
        pieces = self.pieces * self.world
        return [f"batch normalisation saw {pieces} pieces of each batch: its result is not the batch's"]

    def refine(self, error: RuntimeError, step: int, batch: int) -> None:
        """Double the pieces after `error` at `step` with a batch of `batch` examples.

        Raises:
            RuntimeError: `error` itself, when it is not about memory.
            Refusal: one example does not fit, or other devices are in the middle of the same step.
        """
        if not out_of_memory(error):
            raise error
        if self.world > 1:
            raise Refusal(
                f"one of {self.world} devices ran out of memory at step {step}: "
                f"set trainer.accumulate_grad_batches={2 * self.pieces}."
            ) from error
        if 2 * self.pieces > batch:
            raise Refusal("one example does not fit into memory: choose a smaller model.") from error
        self.pieces *= 2
        event = {"step": step, "accumulate": self.pieces, "micro_batch": -(-batch // self.pieces)}
        self.events.append(event)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a device or the CPU's allocator had no memory left."""
    text = str(error)
    cpu = "DefaultCPUAllocator" in text and "allocate memory" in text
    return isinstance(error, torch.OutOfMemoryError) or cpu or "CUBLAS_STATUS_ALLOC_FAILED" in text

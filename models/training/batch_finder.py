"""`trainer.find_batch=true`: the largest batch that a training step can take in one piece on this machine."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from models.data.batches import sequential
from models.data.dataset import Dataset
from models.optim.groups import optimizer_for
from models.training.memory import activation_bytes
from models.training.objective import TrainingObjective
from models.training.precision import autocast
from models.training.step import out_of_memory
from models.training.untouched import restored
from refusal import Refusal

_PAIR = (8, 32)


@final
@dataclass(frozen=True)
class Largest:
    """The largest batch that fits, and how that was found."""

    batch: int
    limit: str
    """memory, or examples: the whole training split fits"""
    ceiling_bytes: int | None
    """what the training may hold; None is all that the GPU has"""
    bytes: int
    """what it holds with that batch"""
    seconds: float
    tried: dict[int, bool]
    """batch -> whether it fits"""

    def facts(self) -> dict[str, Any]:
        """Of the trial, in plain values."""
        tried = {str(batch): fits for batch, fits in self.tried.items()}
        return {"largest_batch": vars(self) | {"tried": tried}}


def find(
    net: nn.Module,
    objective: TrainingObjective,
    data: Dataset,
    optimizer: Callable[..., Optimizer],
    precision: str,
    device: str,
    ceiling: int | None = None,
) -> Largest:
    """The largest batch, up to the training split, whose step fits under `ceiling` bytes on `device`.

    On a GPU steps are really taken, optimizer included, of doubling size, then bisected, until memory runs
    out or `ceiling` is passed; None sets no ceiling of its own. On a CPU running out would end the process,
    so `ceiling` must be given and bytes are counted: weights, buffers, gradients, the optimizer's state, and
    `activation_bytes`. A line through those of two small batches says where the ceiling lies, and steps of
    that size and of one example more confirm it. The network, its weights, and all random generators are left
    as they were. `data` is on the device.

    Raises:
        Refusal: not even one example fits.
    """
    began = time.perf_counter()
    cuda = torch.device(device).type == "cuda"
    with restored(net), torch.enable_grad():
        steps = _Steps(net, objective, data, optimizer, precision, device)
        most = math.inf if ceiling is None else ceiling
        fits = partial(_really_fits if cuda else _fits_by_bytes, steps, most)
        # The first step makes the optimizer's state.
        begun = _runs(lambda: steps.take(1))
        guess = 1 if cuda or not begun else _guess(steps, most)
        batch = largest(fits, len(data.train), guess) if begun else 0
    if batch == 0:
        needs = f": it takes {steps.bytes[1]} bytes, of {ceiling}" if 1 in steps.bytes and ceiling else ""
        raise Refusal(
            f"not one example fits into memory{needs}: choose a smaller model, trainer.recompute, or "
            "a larger trainer.memory_bytes."
        )
    limit = "examples" if batch == len(data.train) else "memory"
    seconds = time.perf_counter() - began
    return Largest(batch, limit, ceiling, steps.bytes[batch], seconds, dict(sorted(steps.tried.items())))


def largest(fits: Callable[[int], bool], most: int, guess: int = 1) -> int:
    """The largest whole number up to `most` that fits, 0 when none does; below one that fits, all must.

    Looks at `guess` and walks from there in steps that double until the answer changes, then bisects: two
    looks where the guess is right, about 2 log2(most / guess) otherwise.
    """
    low, high, stride = 0, most + 1, 1  # low fits, high does not
    look = min(max(guess, 1), most)
    while high - low > 1:
        if fits(look):
            low = look
        else:
            high = look
        if low == 0:
            look = max(high - stride, 1)
        else:
            look = min(low + stride, most) if high > most else (low + high) // 2
        stride *= 2
    return low


@final
@dataclass
class _Steps:
    """Training steps of any batch size on one network, with what they were seen to hold."""

    net: nn.Module
    objective: TrainingObjective
    data: Dataset
    make_optimizer: Callable[..., Optimizer]
    precision: str
    device: str
    bytes: dict[int, int] = field(default_factory=dict)
    tried: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._optimizer = optimizer_for(self.make_optimizer, self.net)

    def take(self, batch: int) -> None:
        """One step of the optimizer."""
        for weight in self.net.parameters():
            weight.grad = None
        self.forward(batch).backward()
        self._optimizer.step()

    def forward(self, batch: int) -> Tensor:
        """The loss of the first examples."""
        inputs, targets = next(sequential(self.data.train, batch))
        with autocast(self.precision, self.device):
            return self.objective(self.net, inputs, targets)

    def count(self, batch: int) -> int:
        """Bytes that a training with this batch holds at its peak."""
        if batch not in self.bytes:
            self.bytes[batch] = self._fixed() + activation_bytes(self.net, partial(self.forward, batch))
        return self.bytes[batch]

    def _fixed(self) -> int:
        """What does not depend on the batch, once a step was taken."""
        states = [tensor for state in self._optimizer.state.values() for tensor in state.values()]
        held = [*self.net.parameters(), *self.net.buffers(), *_gradients(self.net), *states]
        return sum(tensor.nbytes for tensor in held if isinstance(tensor, Tensor))


def _fits_by_bytes(steps: _Steps, ceiling: float, batch: int) -> bool:
    steps.tried[batch] = _runs(lambda: steps.count(batch)) and steps.count(batch) <= ceiling
    return steps.tried[batch]


def _really_fits(steps: _Steps, ceiling: float, batch: int) -> bool:
    torch.cuda.reset_peak_memory_stats(steps.device)
    fits = _runs(lambda: steps.take(batch))
    # Outside of the handler, whose traceback would keep the failed step's tensors.
    for weight in steps.net.parameters():
        weight.grad = None
    torch.cuda.empty_cache()
    steps.bytes[batch] = torch.cuda.max_memory_allocated(steps.device)
    steps.tried[batch] = fits and steps.bytes[batch] <= ceiling
    return steps.tried[batch]


def _runs(attempt: Callable[[], Any]) -> bool:
    """Whether it ends without running out of memory."""
    try:
        attempt()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return False
    return True


def _guess(steps: _Steps, ceiling: float) -> int:
    """Where the line through two small batches meets the ceiling."""
    few, more = (min(size, len(steps.data.train)) for size in _PAIR)
    if not (_fits_by_bytes(steps, ceiling, more) and few < more):
        return few
    each = (steps.count(more) - steps.count(few)) / (more - few)
    return int(few + (ceiling - steps.count(few)) / each) if each > 0 else more


def _gradients(net: nn.Module) -> list[Tensor]:
    return [weight.grad for weight in net.parameters() if weight.grad is not None]

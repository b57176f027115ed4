"""Optimizers that keep an average of the weights, which is what is validated and what a training returns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeGuard

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer


class Averaging(Protocol):
    """An optimizer that keeps an average of the weights."""

    param_groups: list[dict[str, Any]]

    def eval(self) -> None:
        """Put the averaged weights in."""
        ...

    def train(self) -> None:
        """Take them out again."""
        ...


def averages(optimizer: Any) -> TypeGuard[Averaging]:
    """Whether an optimizer has `eval()` and `train()`, which put averaged weights in and take them out."""
    return callable(getattr(optimizer, "eval", None)) and callable(getattr(optimizer, "train", None))


@contextmanager
def averaged(optimizer: Optimizer) -> Iterator[None]:
    """Averaged weights inside; afterwards the weights of before, bit for bit, so that a look changes nothing.

    With any other optimizer nothing happens. Costs a copy of the weights while it lasts.
    """
    if not averages(optimizer):
        yield
        return
    params = [parameter.detach() for group in optimizer.param_groups for parameter in group["params"]]
    kept = [parameter.clone() for parameter in params]
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()
        # `train()` computes them back from the average, which rounds.
        torch._foreach_copy_(params, kept)


def stale(make: Callable[..., Optimizer], net: nn.Module) -> list[str]:
    """A sentence where what is averaged goes with statistics of other weights; `make` makes the optimizer.

    Batch normalisations gather them at the weights that gradients are taken at.
    """
    made: Any = getattr(make, "func", make)
    kept = (module for module in net.modules() if isinstance(module, _BatchNorm))
    if not averages(made) or not any(module.track_running_stats for module in kept):
        return []
    return [
        "batch normalisation has the statistics of the weights that were trained, not of the averaged ones "
        "that are scored: an optimizer without an average, as optimizer=adamw, has one set of weights"
    ]


def settle(optimizer: Optimizer) -> None:
    """Leave the averaged weights in the network: the training is over, and its last checkpoint has them."""
    if averages(optimizer):
        optimizer.eval()


def unsettle(optimizer: Optimizer) -> None:
    """Take averaged weights out again, to rounding, where a training goes on after its end."""
    if averages(optimizer):
        optimizer.train()

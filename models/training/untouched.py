"""Try steps on a network, and leave it and every random generator as if nothing had happened."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from mmap import mmap

import torch
from torch import Tensor, nn

from models.training.resume import random_states, restore_random

_ALIGNED = 64
"""bytes that any type of number can begin at"""
Buffers = list[dict[str, Tensor | None]]
"""of each module, in the order in which they were given"""


@contextmanager
def untouched(net: nn.Module) -> Iterator[None]:
    """Inside, `net` may run forward and backward; its weights must not be moved.

    Buffers (running statistics), attributes that a forward pass sets, gradients and random generators are
    afterwards what they were. Gradients start as None. Costs a copy of the buffers.
    """
    generators, weights = random_states(), list(net.parameters())
    gradients = [weight.grad for weight in weights]
    modules = list(net.modules())
    for weight in weights:
        weight.grad = None
    try:
        with on_copies(modules, copies_of(modules)):
            yield
    finally:
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        restore_random(generators)


@contextmanager
def restored(net: nn.Module) -> Iterator[None]:
    """`untouched`, and the weights may be moved too. Costs a copy of the weights in main memory.

    The copy lies in pages of its own, which the system has back when it ends: it is in no later peak.
    """
    weights = list(net.parameters())
    before = _apart(weights)
    try:
        with untouched(net):
            yield
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)


def _apart(weights: Sequence[Tensor]) -> list[Tensor]:
    """Copies on the CPU, one after another in memory that nothing else is in."""
    starts = [0, *accumulate(-(-weight.nbytes // _ALIGNED) * _ALIGNED for weight in weights)]
    pages = mmap(-1, max(starts[-1], 1))
    return [
        torch.frombuffer(pages, dtype=weight.dtype, count=weight.numel(), offset=start)
        .view(weight.shape)
        .copy_(weight.detach())
        if type(weight) in (Tensor, nn.Parameter) and weight.nbytes
        else weight.detach().to("cpu", copy=True)
        for weight, start in zip(weights, starts, strict=False)
    ]


def copies_of(modules: Sequence[nn.Module]) -> Buffers:
    """The buffers of `modules` as they are now; a buffer that two of them share is copied once."""
    made: dict[int, Tensor] = {}
    return [
        {
            name: None if buffer is None else made.setdefault(id(buffer), buffer.clone())
            for name, buffer in module._buffers.items()
        }
        for module in modules
    ]


@contextmanager
def on_copies(modules: Sequence[nn.Module], copies: Buffers) -> Iterator[None]:
    """Inside, `modules` have `copies` as their buffers; afterwards their attributes are what they were."""
    kept = [dict(vars(module)) for module in modules]
    for module, buffers in zip(modules, copies, strict=True):
        vars(module)["_buffers"] = dict(buffers)
    try:
        yield
    finally:
        for module, attributes in zip(modules, kept, strict=True):
            vars(module).clear()
            vars(module).update(attributes)

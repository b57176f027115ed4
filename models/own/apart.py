"""What a network keeps beside its parameters and buffers, which no checkpoint and no weights.pt holds."""

import copy
import random
from collections import deque
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from models.training.untouched import untouched

Kept = Mapping[tuple[str, str], Any]
"""(module, attribute) -> a copy of its value"""


@final
class _NotPlain(Exception):
    """A value of which nobody knows what it holds."""


def kept(net: nn.Module) -> Kept:
    """Numbers, tensors, generators of random numbers and what holds them, among its modules' attributes."""
    theirs = vars(LightningModule()).keys()
    found: dict[tuple[str, str], Any] = {}
    for path, module in net.named_modules():
        for name, value in vars(module).items():
            if name not in theirs:
                try:
                    _content(value)
                    found[path, name] = copy.deepcopy(value)
                except (_NotPlain, RuntimeError):  # torch copies no tensor in the middle of a graph
                    continue
    return found


def needed(net: nn.Module, before: Kept, inputs: Tensor) -> list[str]:
    """The names of what has changed since `before` and changes the answers to `inputs`, a batch.

    So what a forward pass writes for others to read, or keeps to be faster, is not among them.
    """
    now = {key: value for key, value in kept(net).items() if key in before}
    changed = [key for key, value in now.items() if _content(value) != _content(before[key])]
    if not changed:
        return []
    as_it_is = _answers(net, now, inputs)
    return [
        f"{path}.{name}".removeprefix(".")
        for path, name in changed
        if _answers(net, now | {(path, name): before[path, name]}, inputs) != as_it_is
    ]


def _answers(net: nn.Module, values: Kept, inputs: Tensor) -> list[Any]:
    """In training and in evaluation, with these attributes and equal random numbers."""
    found = []
    with untouched(net), torch.no_grad():
        for (path, name), value in copy.deepcopy(dict(values)).items():
            vars(net.get_submodule(path))[name] = value
        for training in (True, False):
            random.seed(0)
            np.random.seed(0)
            torch.manual_seed(0)
            found.append(_content(net.train(training)(inputs)))
    return found


def _content(value: Any) -> Any:
    """What can be held against another of its kind. Raises `_NotPlain` for whatever else an object may be."""
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return repr(value)
    if isinstance(value, dict):
        return [(repr(key), _content(part)) for key, part in value.items()]
    if isinstance(value, list | tuple | deque):
        return [_content(part) for part in value]
    if isinstance(value, torch.Generator | random.Random | np.random.Generator):
        return _drawn(value)
    return _numbers(value)


def _numbers(value: Any) -> Any:
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return tuple(value.shape), str(value.dtype), flat.numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes()
    raise _NotPlain


def _drawn(value: torch.Generator | random.Random | np.random.Generator) -> Any:
    """How far a generator has come."""
    if isinstance(value, torch.Generator):
        return _numbers(value.get_state())
    return value.getstate() if isinstance(value, random.Random) else repr(value.bit_generator.state)

"""The rounding of int8 as plain layers feel it: for training with it, and for one layer at a time."""

from collections.abc import Iterable, Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from models.compress import pt2e
from models.compress.processor import largest_activation
from models.training.evaluate import evaluating

Ranges = Mapping[nn.Module, tuple[float, float]]
"""smallest and largest input of a layer"""


def simulate(net: nn.Module, inputs: Iterable[Tensor], kept: frozenset[str] = frozenset()) -> None:
    """Let every layer of `net` that becomes int8 round its weights and its input, in place.

    `inputs` are batches (B, *shape), from which each layer's input takes its range; it is rounded to as many
    steps as this processor's kernels can hold. Layers whose names are `kept` stay as they are.
    """
    for module, limits in ranges(net, inputs, kept).items():
        rounded(module, limits)


def rounded(module: nn.Module, limits: tuple[float, float]) -> None:
    """Let one layer round its weights and its input, which lies within `limits`."""
    parametrize.register_parametrization(module, "weight", RoundedWeight())
    vars(module)["rounding"] = module.register_forward_pre_hook(RoundedInput(*limits, largest_activation()))


def settle(net: nn.Module) -> None:
    """Take the simulation off again; weights keep the precision that they were trained in.

    Parametrizations of a person's own, as of torch's weight_norm, stay.
    """
    for module in [module for module in net.modules() if "rounding" in vars(module)]:
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
        vars(module).pop("rounding").remove()


@final
class RoundedWeight(nn.Module):
    """(out, ...) -> the same on a grid of 256 values per output, as int8 keeps it; gradients pass."""

    def forward(self, weight: Tensor) -> Tensor:
        """The weight as it will be read back."""
        largest = weight.detach().abs().flatten(1).amax(1)
        scale = (largest / 127.5).clamp(min=torch.finfo(torch.float32).eps)
        zeros = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -128, 127)


@final
class RoundedInput:
    """A hook that puts a layer's input on `largest` + 1 values from `low` to `high`; gradients pass."""

    def __init__(self, low: float, high: float, largest: int = 255) -> None:
        low, high = min(low, 0.0), max(high, 0.0)
        self.largest = largest
        self.scale = max((high - low) / largest, torch.finfo(torch.float32).eps)
        self.zero = max(0, min(largest, round(-low / self.scale)))

    def __call__(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The input as it will be read back."""
        x, *rest = args
        return (torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero, 0, self.largest), *rest)


def layers(net: nn.Module) -> dict[str, nn.Module]:
    """The layers that become int8, by name."""
    chosen = net.named_modules(remove_duplicate=True)
    return {name: module for name, module in chosen if type(module) is nn.Linear or pt2e.convolves(module)}


def ranges(net: nn.Module, inputs: Iterable[Tensor], kept: frozenset[str] = frozenset()) -> Ranges:
    """Of each layer that becomes int8 and is reached, those that are `kept` left out."""
    found: dict[nn.Module, tuple[float, float]] = {}

    def look(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        low, high = (float(value) for value in args[0].aminmax())
        before = found.get(module, (low, high))
        found[module] = (min(before[0], low), max(before[1], high))

    chosen = [module for name, module in layers(net).items() if name not in kept]
    hooks = [module.register_forward_pre_hook(look) for module in chosen]
    try:
        with evaluating(net), torch.no_grad():
            for batch in inputs:
                net(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return found

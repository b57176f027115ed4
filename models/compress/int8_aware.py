"""Training that feels the rounding of int8: for networks that static quantization alone costs accuracy."""

from collections.abc import Iterable, Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from models.compress import int8_static, pt2e
from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.processor import largest_activation
from models.training.evaluate import evaluating
from refusal import Refusal


@final
class Int8Aware(Compression):
    """Quantization-aware fine-tuning after the training, then static int8 as `Int8Static` makes it.

    For `finetune_steps` each linear layer and convolution rounds its weights (per output) and its input (per
    tensor, range of `batches` training batches) as int8 will, and passes gradients straight through.
    Source: Jacob et al. (2017), arXiv 1712.05877, section 3. Not by PT2E's own preparation, which needs an
    exported graph: that has no dropout, no layer-wise learning rates and no vmap. Facts: as `Int8Static`, and
    `finetune_steps`. Raises `Refusal` as `Int8Static` does.
    """

    def __init__(self, finetune_steps: int = 200, lr_factor: float = 0.1, batches: int = 16) -> None:
        super().__init__()
        if finetune_steps < 1 or batches < 1:
            raise Refusal("compress.int8_aware needs at least one step and one batch of examples.")
        self.steps, self.lr_factor, self.batches = finetune_steps, lr_factor, batches

    def check(self, net: nn.Module, context: Context) -> None:
        """Look for CPU and compiler, and try the int8 form of the untrained network."""
        int8_static.check(net, context, "int8_aware")

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The fine-tuned, compiled int8 network."""
        simulate(net, context.calibration(self.batches))
        net = context.finetune(net, self.steps, self.lr_factor)
        settle(net)
        self.facts |= {"finetune_steps": self.steps}
        return int8_static.compiled(net, context, self.batches, self.facts)

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """The int8 graph of a fresh network, with the saved activation scales."""
        largest = pt2e.largest_in(state)
        graph = pt2e.quantized(net, [example], "int8_aware", dynamic=False, largest=largest)
        return pt2e.with_activations(graph, state)


def simulate(net: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Let every layer of `net` that becomes int8 round its weights and its input, in place.

    `inputs` are batches (B, *shape), from which each layer's input takes its range; it is rounded to as many
    steps as this processor's kernels can hold.
    """
    largest = largest_activation()
    for module, (low, high) in _ranges(net, inputs).items():
        parametrize.register_parametrization(module, "weight", RoundedWeight())
        hook = module.register_forward_pre_hook(RoundedInput(low, high, largest))
        vars(module)["rounding"] = hook


def settle(net: nn.Module) -> None:
    """Take the simulation off again; weights keep the precision that they were trained in."""
    for module in [module for module in net.modules() if parametrize.is_parametrized(module, "weight")]:
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


def _ranges(net: nn.Module, inputs: Iterable[Tensor]) -> dict[nn.Module, tuple[float, float]]:
    """Smallest and largest input of each layer that becomes int8 and is reached."""
    found: dict[nn.Module, tuple[float, float]] = {}

    def look(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        low, high = (float(value) for value in args[0].aminmax())
        before = found.get(module, (low, high))
        found[module] = (min(before[0], low), max(before[1], high))

    chosen = [module for module in net.modules() if type(module) is nn.Linear or pt2e.convolves(module)]
    hooks = [module.register_forward_pre_hook(look) for module in chosen]
    try:
        with evaluating(net), torch.no_grad():
            for batch in inputs:
                net(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return found

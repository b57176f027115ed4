"""Weights of 8 bits, arithmetic in 16 or 32: a quarter of the bytes, and no compiler needed."""

import copy
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.compress import processor
from models.compress.attempt import Attempt
from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.number_format import one_format
from models.compress.own_precision import OwnPrecision
from refusal import Refusal

_FEW_ROWS = 8
"""up to which torch's int8 kernel, which reads a quarter of the bytes, beats a product of unpacked weights"""
_VECTOR = 16
"""inputs that the kernel takes at a time, 8 with AVX2; a remainder ends the process (torch 2.13)"""


@final
class Int8Weights(Compression):
    """Each linear layer keeps int8 weights and a scale per output; products are in bfloat16, or in 32 bits.

    In 32 bits for many rows on a processor without products of bfloat16, where those take 5 to 15 times as
    long. Symmetric, rounded to nearest: Jacob et al. (2017), arXiv 1712.05877, section 2.1. Layers of fewer
    than `smallest` weights stay as they are. Facts: `layers` and `kept` layers by name, `products` of many
    rows. Raises `Refusal` for a network without such layers, and where it is neither smaller nor faster.
    """

    def __init__(self, smallest: int = 256) -> None:
        super().__init__()
        self.smallest = smallest

    def check(self, net: nn.Module, context: Context) -> None:
        """Look for layers, and try them."""
        one_format(context)
        if not any(_eligible(module, self.smallest) for module in net.modules()):
            raise Refusal(
                f"{type(net).__name__} has no linear layer of {self.smallest} weights or more for "
                "int8_weights: choose compress=[bf16], or compress=[int8_static] for convolutions."
            )
        attempt = Attempt("int8_weights", net, context, "compress=[bf16]")
        attempt.run(lambda: self._replaced(copy.deepcopy(net)), must_gain=True)

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The same network, its linear layers replaced in place."""
        self.facts["products"] = str(_product(torch.device(context.device))).removeprefix("torch.")
        return self._replaced(net)

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """The same layers replaced in a fresh network."""
        return self._replaced(net)

    def _replaced(self, net: nn.Module) -> nn.Module:
        linears = [
            (name, module)
            for name, module in net.named_modules(remove_duplicate=False)
            if type(module) is nn.Linear
        ]
        chosen = [(name, module) for name, module in linears if _eligible(module, self.smallest)]
        made: dict[int, Int8Linear] = {}
        for name, module in chosen:
            parent, _, last = name.rpartition(".")
            # A layer that several places share stays shared.
            setattr(net.get_submodule(parent), last, made.setdefault(id(module), Int8Linear(module)))
        names = [name for name, _ in chosen]
        self.facts |= {"layers": names, "kept": [name for name, _ in linears if name not in names]}
        return OwnPrecision(net.requires_grad_(False))


@final
class Int8Linear(nn.Module):
    """`linear` with int8 weights: (..., in) -> (..., out) in the input's type, as exact as bfloat16."""

    weight: Tensor
    weight_scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        with torch.no_grad():
            largest = linear.weight.float().abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny)
            scale = largest / 127  # (out,)
            rounded = (linear.weight.float() / scale[:, None]).round().to(torch.int8)
        self.register_buffer("weight", rounded)  # (out, in)
        self.register_buffer("weight_scale", scale)
        self.bias = linear.bias
        self.plain = False
        """whether it is to do without kernels and types that this processor alone may have"""

    def forward(self, x: Tensor) -> Tensor:
        """Affine map of the last dimension."""
        rows = x.reshape(-1, x.shape[-1])
        if not self.plain and len(rows) <= _FEW_ROWS and self._has_kernel(x.device):
            out = torch._weight_int8pack_mm(rows.bfloat16(), self.weight, self.weight_scale.bfloat16())
        else:
            dtype = torch.float32 if self.plain else _product(x.device)
            out = functional.linear(rows.to(dtype), self.weight.to(dtype)) * self.weight_scale.to(dtype)
        out = out.to(x.dtype).unflatten(0, x.shape[:-1])
        return out if self.bias is None else out + self.bias

    def _has_kernel(self, device: torch.device) -> bool:
        whole = self.weight.shape[1] % _VECTOR == 0
        return device.type == "cpu" and whole and processor.unpacks_by_vectors()


def _product(device: torch.device) -> torch.dtype:
    """Of what type products of unpacked weights are, of the two that are exact to bfloat16's precision."""
    fast = device.type != "cpu" or processor.multiplies_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def _eligible(module: nn.Module, smallest: int) -> bool:
    return type(module) is nn.Linear and module.weight.numel() >= smallest

"""Weights of 16 bits: half the bytes, and faster where the processor multiplies them itself."""

import copy
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from models.compress import processor
from models.compress.attempt import Attempt
from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.number_format import one_format
from models.compress.own_precision import OwnPrecision
from refusal import Refusal

_TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""options of this kind and their types"""


@final
class Half(Compression):
    """Rounds all weights to `dtype` after training; inputs are rounded inside, logits come out in 32 bits.

    Source: bfloat16: Kalamkar et al. (2019), arXiv 1905.12322; float16: Micikevicius et al. (2017),
    arXiv 1710.03740. Facts: `largest_error` of a weight relative to the largest of its tensor, `overflowed`
    weights (beyond 65,504 in float16). Raises `Refusal` for an unknown type, for a network with an operation
    that torch lacks in it, and for more than one number format.
    """

    def __init__(self, dtype: str) -> None:
        super().__init__()
        if dtype not in _TYPES:
            raise Refusal(f"a half's dtype '{dtype}' is unknown: choose float16 or bfloat16.")
        self.name, self.dtype = dtype, _TYPES[dtype]

    def check(self, net: nn.Module, context: Context) -> None:
        """Let the untrained network answer in 16 bits."""
        one_format(context)
        own, other = sorted(HALVES, key=lambda option: HALVES[option] != self.dtype)
        attempt = Attempt(own, net, context, f"compress=[{other}] or compress=[int8_weights]")
        attempt.run(lambda: OwnPrecision(copy.deepcopy(net).to(context.device, self.dtype)))

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The same network with rounded weights."""
        weights = list(net.parameters())
        self.facts |= {
            "dtype": self.name,
            "largest_error": max((_error(weight, self.dtype) for weight in weights), default=0.0),
            "overflowed": sum(int(weight.to(self.dtype).isinf().sum()) for weight in weights),
        }
        if torch.device(context.device).type == "cpu":
            self.facts |= _slowness(self.dtype)
        return OwnPrecision(net.to(self.dtype))

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """The same wrapping around a fresh network."""
        return OwnPrecision(net.to(self.dtype))


def _slowness(dtype: torch.dtype) -> dict[str, str]:
    """What is known of products on this CPU before they are timed."""
    if not processor.multiplies_bfloat16():
        cpu = f"this CPU ({processor.instructions()})"
        return {"slow": f"{cpu} multiplies no 16-bit numbers: products take longer than in 32"}
    if dtype == torch.float16:
        return {"slow": "most CPUs multiply no float16: bf16 has the same size and is faster there"}
    return {}


def _error(weight: Tensor, dtype: torch.dtype) -> float:
    if not weight.numel() or not weight.is_floating_point():
        return 0.0
    largest = weight.abs().amax().clamp(min=torch.finfo(torch.float32).tiny)
    return float(((weight - weight.to(dtype).to(weight.dtype)).abs().amax() / largest).detach())

"""2:4 sparsity: two of every four weights in a row are zeros, in the form that GPUs multiply faster.

Source: Mishra et al. (2021), arXiv 2104.08378; kernels: torch.sparse.to_sparse_semi_structured.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.deltas import refuse_deltas
from models.compress.masks import apply, mark, one_of
from refusal import Refusal

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_CAPABILITY = (8, 0)
_ROWS, _COLUMNS = 32, 64
"""what both sides of a half-precision weight must be multiples of"""


def two_four_mask(weight: Tensor) -> Tensor:
    """True where `weight` (out, in) stays: of each four along a row, the two of largest magnitude."""
    groups = weight.detach().abs().unflatten(-1, (-1, 4))
    places = groups.topk(2, dim=-1, sorted=False).indices
    return torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, places, True).flatten(-2)


def fitting(net: nn.Module, skip: Sequence[str] = ()) -> tuple[dict[str, nn.Linear], dict[str, str]]:
    """Linear layers that the kernels take, by name, and why the others are left."""
    layers = {name: module for name, module in net.named_modules() if isinstance(module, nn.Linear)}
    left = {name: "named in skip" for name in layers if any(fnmatch(name, pattern) for pattern in skip)}
    for name, layer in layers.items():
        if layer.out_features % _ROWS or layer.in_features % _COLUMNS:
            left[name] = (
                f"{layer.out_features} x {layer.in_features} are no multiples of {_ROWS} and {_COLUMNS}"
            )
    return {name: layer for name, layer in layers.items() if name not in left}, left


@final
class TwoFourLinear(nn.Module):
    """A linear layer of a 2:4 sparse weight in half precision: (..., in) -> (..., out) of the same type.

    With `packed` the weight takes the kernels' form; on the CPU it stays plain.
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, *, packed: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        weight = layer.weight.detach().to(dtype)
        if packed:
            weight = torch.sparse.to_sparse_semi_structured(weight)
        self.weight = nn.Parameter(weight, requires_grad=False)
        bias = layer.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach().to(dtype), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """The product, computed in the weight's type."""
        with torch.autocast(x.device.type, enabled=False):
            return linear(x.to(self.weight.dtype), self.weight, self.bias).to(x.dtype)


@final
class TwoFour(Compression):
    """Prunes linear layers 2:4 after the training, fine-tunes, and puts them into the GPU's sparse form.

    Raises:
        Refusal: the device has no sparse tensor cores, or no layer has sides that fit them.
    """

    def __init__(
        self,
        dtype: str = "float16",
        skip: Sequence[str] = (),
        finetune_steps: int = 200,
        lr_factor: float = 0.3,
    ) -> None:
        super().__init__()
        self.dtype, self.skip = DTYPES[one_of("dtype", dtype, DTYPES)], tuple(skip)
        self.finetune_steps, self.lr_factor = finetune_steps, lr_factor

    def check(self, net: nn.Module, context: Context) -> None:
        """Refuse a device or a network that 2:4 kernels do not take."""
        device = torch.device(context.device)
        if device.type != "cuda" or torch.cuda.get_device_capability(device) < _CAPABILITY:
            raise Refusal(
                "compress=two_four needs an NVIDIA GPU of compute capability 8.0 or more (Ampere and later): "
                "set trainer=gpu on such a machine, or choose compress=prune50."
            )
        refuse_deltas(net, "two_four")
        layers, left = fitting(net, self.skip)
        if not layers:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in list(left.items())[:3])
            raise Refusal(
                f"compress=two_four finds no linear layer that fits ({reasons or 'there is none'}): set "
                f"model.width to a multiple of {_COLUMNS}."
            )

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The network with sparse layers in half precision, the rest as it was."""
        layers, left = fitting(net, self.skip)
        names = [f"{name}.weight" for name in layers]
        weights = {name: net.get_parameter(name) for name in names}
        masks = {name: two_four_mask(weight) for name, weight in weights.items()}
        apply(weights, masks)
        mark(net, masks)
        net = context.finetune(net, self.finetune_steps, self.lr_factor)
        apply({name: net.get_parameter(name) for name in names}, masks)
        self.facts |= {"layers": sorted(layers), "left": left}
        return sparse(net, layers, self.dtype, packed=True)

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """Half-precision layers in plain form, to be loaded; they run anywhere, no faster than dense."""
        return sparse(net, fitting(net, self.skip)[0], self.dtype, packed=False)


def sparse(net: nn.Module, names: Iterable[str], dtype: torch.dtype, *, packed: bool) -> nn.Module:
    """Put `TwoFourLinear` in place of the layers called `names`."""
    for name in names:
        layer = net.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        net.set_submodule(name, TwoFourLinear(layer, dtype, packed=packed))
    return net

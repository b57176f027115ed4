"""How the inputs of linear layers spread, so that what a layer loses can be judged by its outputs."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.training.evaluate import evaluating

_RIDGE = 1e-4
"""of the mean variance, added to each, since inputs of a layer often leave directions empty"""


def roots(net: nn.Module, layers: Mapping[str, nn.Linear], batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """Lower Cholesky factors (in, in), float64, of the mean of x x^T over each layer's inputs x on `batches`.

    A layer whose inputs are all zero, or that is not called, has none; no batches, no factors.
    """
    sums: dict[str, Tensor] = {}
    hooks = [layer.register_forward_pre_hook(_adder(sums, name)) for name, layer in layers.items()]
    try:
        with evaluating(net), torch.inference_mode():
            for inputs in batches:
                net(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _root(total) for name, total in sums.items() if total.diagonal().sum() > 0}


def _adder(sums: dict[str, Tensor], name: str) -> Any:
    def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0].flatten(0, -2).float()
        sums[name] = sums.get(name, 0.0) + (rows.T @ rows).double()

    return add


def _root(total: Tensor) -> Tensor:
    ridge = _RIDGE * total.diagonal().mean()
    return torch.linalg.cholesky(
        total + ridge * torch.eye(len(total), dtype=total.dtype, device=total.device)
    )

"""Magnitude pruning at once, after training: the smallest weights become zeros and stay zeros.

Source: Han et al. (2015), arXiv 1506.02626.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.masks import NO_FASTER, SCOPES, apply, mark, one_of, prunable, share


def magnitude_mask(weight: Tensor, sparsity: float) -> Tensor:
    """True where `weight` stays: all but the round(sparsity x count) entries of least magnitude.

    Exactly that many are left out, ties or not, and zeros go first: pruning again prunes the same.
    """
    kept = weight.numel() - round(sparsity * weight.numel())
    mask = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    mask[weight.detach().abs().flatten().topk(kept, sorted=False).indices] = True
    return mask.view_as(weight)


def magnitude_masks(weights: Mapping[str, Tensor], sparsity: float, scope: str) -> dict[str, Tensor]:
    """Masks by name: `layer` prunes each weight to `sparsity`, `global` all of them together."""
    if scope == "layer":
        return {name: magnitude_mask(weight, sparsity) for name, weight in weights.items()}
    flat = torch.cat([weight.detach().flatten() for weight in weights.values()])
    parts = magnitude_mask(flat, sparsity).split([weight.numel() for weight in weights.values()])
    return {name: part.view_as(weight) for part, (name, weight) in zip(parts, weights.items(), strict=True)}


def sparsity_facts(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Shares of zeros, of all prunable weights together and of each."""
    zeros = {name: int((weight == 0).sum()) for name, weight in weights.items()}
    total = sum(weight.numel() for weight in weights.values())
    return {
        "sparsity": sum(zeros.values()) / total,
        "layers": {name: zeros[name] / weight.numel() for name, weight in weights.items()},
        "speed": NO_FASTER,
    }


@final
class Magnitude(Compression):
    """Prunes the trained network to `sparsity`, then fine-tunes what is left for `finetune_steps`.

    Raises:
        Refusal: a knob is out of range, or the network has nothing to prune.
    """

    def __init__(
        self,
        sparsity: float = 0.5,
        scope: str = "layer",
        skip: Sequence[str] = (),
        finetune_steps: int = 0,
        lr_factor: float = 0.1,
    ) -> None:
        super().__init__()
        self.sparsity, self.scope = share("sparsity", sparsity), one_of("scope", scope, SCOPES)
        self.skip, self.finetune_steps, self.lr_factor = tuple(skip), finetune_steps, lr_factor

    def check(self, net: nn.Module, context: Context) -> None:
        """Refuse a network with nothing to prune."""
        prunable(net, self.skip)

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The pruned network."""
        weights = prunable(net, self.skip)
        masks = magnitude_masks(weights, self.sparsity, self.scope)
        apply(weights, masks)
        mark(net, masks)
        net = context.finetune(net, self.finetune_steps, self.lr_factor)
        weights = prunable(net, self.skip)
        # An optimizer that averages its weights ends with others than those of its last step.
        apply(weights, masks)
        self.facts |= sparsity_facts(weights)
        return net

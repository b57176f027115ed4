"""Gives a fresh network the sizes of weights that were pruned."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.nets.mixers.mixer import Mixer
from models.nets.structured import LowRank


def resize(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Make each parameter of `net` that `state` has in another shape that large, and its module say so."""
    for path, module in net.named_modules():
        if isinstance(module, Mixer):
            _count_heads(module, state, f"{path}.qkv")
    for path, module in net.named_modules():
        changed = False
        for name, parameter in list(module.named_parameters(recurse=False)):
            saved = state.get(f"{path}.{name}" if path else name)
            if saved is not None and saved.shape != parameter.shape:
                # Zeros: what comes next may run it before it has its weights, as int8 does.
                zeros = torch.zeros(saved.shape, dtype=parameter.dtype, device=parameter.device)
                setattr(module, name, nn.Parameter(zeros, parameter.requires_grad))
                changed = True
        if changed:
            describe(module)
    restate(net)
    return net


def restate(net: nn.Module) -> None:
    """Make layers of two factors state the sizes of their factors."""
    for module in net.modules():
        if isinstance(module, LowRank):
            down, up = module.down, module.up
            module.in_features, module.rank, module.out_features = (
                down.in_features,
                up.in_features,
                up.out_features,
            )


def describe(module: nn.Module) -> None:
    """Make the sizes that a layer states those of its weights."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        return
    shape = weight.shape
    told: dict[str, Any] = {}
    match module:
        case nn.Linear():
            told = {"out_features": shape[0], "in_features": shape[1]}
        case nn.Conv1d() | nn.Conv2d():
            # Depthwise: as many groups as channels, before and after.
            groups = shape[0] if module.groups == module.in_channels > 1 else module.groups
            told = {"out_channels": shape[0], "in_channels": shape[1] * groups, "groups": groups}
        case nn.LayerNorm():
            told = {"normalized_shape": tuple(shape)}
        case nn.GroupNorm():
            told = {"num_channels": shape[0]}
        case nn.modules.batchnorm._BatchNorm():
            told = {"num_features": shape[0]}
    for name, value in told.items():
        setattr(module, name, value)


def _count_heads(mixer: Mixer, state: Mapping[str, Tensor], path: str) -> None:
    saved = state.get(f"{path}.weight", state.get(f"{path}.up.weight"))
    if saved is not None:
        # Queries, and keys and values of one head for each group of them.
        shared = len(saved) // (mixer.head_width * (mixer.groups + 2))
        mixer.heads = shared * mixer.groups

"""Gives a fresh network the sizes of weights that were pruned."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.nets.mixers.mixer import Mixer
from models.nets.structured import LowRank
from models.training.evaluate import evaluating


def resize(net: nn.Module, state: Mapping[str, Tensor], example: Tensor | None = None) -> nn.Module:
    """Make each weight of `net` that `state` has in another shape that large, and its module say so.

    Statistics of a normalisation too; of a layer whose factors are saved, its weight is as large as theirs.
    With an `example` (1, *shape) also batch normalisations that `state` lacks, since int8 took them into the
    layer before.
    """
    for path, module in net.named_modules():
        if isinstance(module, Mixer):
            _count_heads(module, state, f"{path}.qkv")
    for path, module in net.named_modules():
        changed = False
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            saved = _saved(state, module, f"{path}.{name}" if path else name)
            if saved is not None and saved != tensor.shape:
                _put(module, name, tensor, saved)
                changed = True
        if changed:
            describe(module)
    restate(net)
    if example is not None:
        _fit_folded(net, state, example)
    return net


def _put(module: nn.Module, name: str, old: Tensor, shape: tuple[int, ...]) -> None:
    # Zeros: what comes next may run it before it has its weights, as int8 does.
    zeros = torch.zeros(shape, dtype=old.dtype, device=old.device)
    setattr(module, name, nn.Parameter(zeros, old.requires_grad) if isinstance(old, nn.Parameter) else zeros)


def _fit_folded(net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> None:
    """Make batch normalisations that `state` lacks as wide as what they read."""
    named = net.named_modules()
    norms = {name: one for name, one in named if isinstance(one, nn.modules.batchnorm._BatchNorm)}
    folded = [one for name, one in norms.items() if not any(key.startswith(f"{name}.") for key in state)]

    def fit(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        width = args[0].shape[1]
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.dim() and len(tensor) != width:
                _put(module, name, tensor, (width,))
        vars(module)["num_features"] = width

    hooks = [module.register_forward_pre_hook(fit) for module in folded]
    try:
        if folded:
            with evaluating(net), torch.no_grad():
                net(example)
    finally:
        for hook in hooks:
            hook.remove()


def _saved(state: Mapping[str, Tensor], module: nn.Module, name: str) -> tuple[int, ...] | None:
    """The shape of a tensor in `state`: by its name, or by those of the factors that a later step made."""
    path, _, last = name.rpartition(".")
    up, down = state.get(f"{path}.up.{last}"), state.get(f"{path}.down.{last}")
    if name in state:
        shape = tuple(state[name].shape)
        # Int8 keeps the weights of a convolution over signals as of one over pictures of one row.
        one_row = isinstance(module, nn.Conv1d) and len(shape) == 4
        return (*shape[:2], shape[3]) if one_row else shape
    if up is None or not isinstance(module, nn.Linear):
        return None
    return (len(up),) if down is None else (len(up), down.shape[1])


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
        case nn.modules.batchnorm._NormBase():
            told = {"num_features": shape[0]}
    for name, value in told.items():
        setattr(module, name, value)


def _count_heads(mixer: Mixer, state: Mapping[str, Tensor], path: str) -> None:
    saved = state.get(f"{path}.weight", state.get(f"{path}.up.weight"))
    if saved is not None:
        # Queries, and keys and values of one head for each group of them.
        shared = len(saved) // (mixer.head_width * (mixer.groups + 2))
        mixer.heads = shared * mixer.groups

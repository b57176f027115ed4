"""Removes units and channels from perceptrons and convolutional networks, through torch-pruning.

Source: Fang et al. (2023), DepGraph, arXiv 2301.12900: what one layer loses, all that depend on it lose too.
"""

import warnings
from typing import Any, final

import torch
from torch import Tensor, nn

from models.nets.convolutions import Norm
from refusal import Refusal

_FOLLOWED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.modules.batchnorm._BatchNorm,
    nn.PReLU,
)


def prune_channels(net: nn.Module, example: Tensor, kept: float, round_to: int) -> None:
    """Keep about a share `kept` of each layer's channels, in place, the strongest; logits stay as many.

    `example` (1, *shape). Counts are rounded to `round_to`; with group normalisation each group loses as many
    as the others. Weights with gradients are judged by both, others by their size.

    Raises:
        Refusal: torch-pruning cannot follow the channels of this network.
    """
    # Imported here: it loads most of torch's compiler, which no other option needs.
    import torch_pruning

    _scales(net)
    graded = any(weight.grad is not None for weight in net.parameters())
    importance = (
        torch_pruning.importance.GroupTaylorImportance()
        if graded
        else torch_pruning.importance.GroupMagnitudeImportance(p=2)
    )
    shape = net(example).shape
    try:
        with warnings.catch_warnings():
            # Of parameters that it finds no layer for; whether that matters shows below.
            warnings.simplefilter("ignore")
            pruner = torch_pruning.pruner.BasePruner(
                net,
                example,
                importance=importance,
                pruning_ratio=1.0 - kept,
                ignored_layers=[_read_out(net, example)],
                customized_pruners={Norm: _norm_pruner(torch_pruning)},
                unwrapped_parameters=_scales(net),
                round_to=max(1, round_to // _groups(net)),
            )
            pruner.step()
        answered = net(example).shape
    except Exception as error:  # torch-pruning raises whatever its graph runs into
        raise _refused(net, str(error)) from error
    if answered != shape:
        raise _refused(net, f"its answers would be {list(answered)}, not {list(shape)}")


def _refused(net: nn.Module, why: str) -> Refusal:
    reason = " ".join(why.split())[:160]
    return Refusal(
        f"compress=structured cannot remove channels of {type(net).__name__} ({reason}): choose model=mlp, "
        "cnn or transformer, or compress=prune50."
    )


def _scales(net: nn.Module) -> list[tuple[nn.Parameter, int]]:
    """Weights outside of torch's layers, with their dimension of channels: of one, since it can only be that.

    Raises `Refusal` for those of more: torch-pruning guesses, or follows a recurrence for ever.
    """
    found = []
    for path, module in net.named_modules():
        if not isinstance(module, (*_FOLLOWED, Norm)):
            for parameter in module.parameters(recurse=False):
                if parameter.ndim > 1:
                    raise _refused(net, f"its {path or 'own'} weights are of {type(module).__name__}")
                found.append((parameter, 0))
    return found


def _norm_pruner(torch_pruning: Any) -> Any:
    """How torch-pruning takes channels from the norm of points."""

    @final
    class NormPruner(torch_pruning.function.BasePruningFunc):
        def prune_out_channels(self, layer: Norm, idxs: Any) -> Norm:
            kept = sorted(set(range(len(layer.weight))) - set(idxs))
            layer.weight = self._prune_parameter_and_grad(layer.weight, kept, 0)
            layer.bias = self._prune_parameter_and_grad(layer.bias, kept, 0)
            return layer

        prune_in_channels = prune_out_channels

        def get_out_channels(self, layer: Norm) -> int:
            return len(layer.weight)

        get_in_channels = get_out_channels

    return NormPruner()


def _read_out(net: nn.Module, example: Tensor) -> nn.Module:
    """The layer that answers: the last with weights that a forward pass calls."""
    called: list[nn.Module] = []

    def note(module: nn.Module, *_: Any) -> None:
        called.append(module)

    layers = [module for module in net.modules() if isinstance(module, _FOLLOWED[:3])]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        with torch.no_grad():
            net(example)
    finally:
        for hook in hooks:
            hook.remove()
    if not called:
        raise _refused(net, "it has no linear or convolutional layer")
    return called[-1]


def _groups(net: nn.Module) -> int:
    """Groups of the finest group normalisation, whose channels come in multiples of it."""
    return max((m.num_groups for m in net.modules() if isinstance(m, nn.GroupNorm)), default=1)

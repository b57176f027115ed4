"""Which weights are pruned, and what keeps them pruned while the others train."""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatch
from functools import partial
from typing import Any, final

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from models.training.lit import Lit
from refusal import Refusal

SCOPES = ("layer", "global")
"""where magnitudes are compared: within each weight, or across all of them"""
NO_FASTER = "zeros are multiplied like other numbers: only the file shrinks, the clock does not"
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm, nn.RMSNorm)
_KEPT = ("bias", "positions")


def prunable(net: nn.Module, skip: Iterable[str] = ()) -> dict[str, nn.Parameter]:
    """Weights of two and more dimensions by name, but embeddings, positions, norms, biases and `skip`.

    `skip` holds patterns of names as a shell's, for example `head.*`. A weight of several places comes once,
    by its first name, and not at all where one of its places is left out.

    Raises:
        Refusal: nothing is left to prune.
    """
    patterns, found, left = tuple(skip), dict[int, tuple[str, nn.Parameter]](), set[int]()
    for path, module in net.named_modules():
        whole = isinstance(module, (nn.Embedding, nn.EmbeddingBag, *_NORMS))
        for name, weight in module.named_parameters(recurse=False):
            full = _joined(path, name)
            if whole or weight.ndim < 2 or name in _KEPT or any(fnmatch(full, one) for one in patterns):
                left.add(id(weight))
            found.setdefault(id(weight), (full, weight))
    kept = {name: weight for place, (name, weight) in found.items() if place not in left}
    if not kept:
        raise Refusal("There is no weight to prune: leave out compress, or skip less of the network.")
    return kept


def mark(net: nn.Module, names: Iterable[str]) -> None:
    """Note on each module which of its weights are pruned, for whatever trains the network later."""
    for path, name in (full.rpartition(".")[::2] for full in names):
        module = net.get_submodule(path)
        vars(module)["pruned"] = tuple(sorted({*getattr(module, "pruned", ()), name}))


def keep(net: nn.Module) -> dict[str, Callback]:
    """The callback that keeps zeros of pruned weights at zero in a fine-tuning; none if none is pruned."""
    weights = {
        _joined(path, place): module.get_parameter(place)
        for path, module in net.named_modules()
        for place in map(partial(_place, module), getattr(module, "pruned", ()))
    }
    return {"masks": KeepMasks({name: weight != 0 for name, weight in weights.items()})} if weights else {}


def _place(module: nn.Module, name: str) -> str:
    """Where a weight is trained: one that is computed anew, as int8-aware training does, has an original."""
    return f"parametrizations.{name}.original" if parametrize.is_parametrized(module, name) else name


def apply(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Set to 0, in place, what the masks (True where a weight stays) leave out."""
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0.0)


def after_each_step(
    optimizer: Optimizer, weights: Mapping[str, Tensor], masks: Callable[[], Mapping[str, Tensor]]
) -> None:
    """Zero the pruned weights after every step of `optimizer`, exactly; costs one pass over them a step.

    With what they are averaged from, where the optimizer averages (schedule-free), or they would come back.

    A hook of torch's own optimizers, not of Lightning: steps stay on the engine's shortest path.
    """

    def zero(*_: Any) -> None:
        pruned = masks()
        apply(weights, pruned)
        # Asked so, since a look would give a weight that is held a state, which no checkpoint can have.
        points = {name: optimizer.state.get(weights[name], {}).get("z") for name in pruned}
        apply(points, {name: mask for name, mask in pruned.items() if points[name] is not None})

    optimizer.register_step_post_hook(zero)


@final
class KeepMasks(Callback):
    """Holds `masks` (True where a weight stays) in force in one training."""

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        self.masks = dict(masks)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Hook into the optimizer."""
        # A module with a training step of its own is the network itself.
        net: nn.Module = pl_module.net if isinstance(pl_module, Lit) else pl_module
        weights = dict(net.named_parameters())
        masks = {name: mask.to(weights[name].device) for name, mask in self.masks.items()}
        apply(weights, masks)
        for optimizer in trainer.optimizers:
            after_each_step(optimizer, weights, lambda: masks)


def share(name: str, value: float) -> float:
    """`value`, if it lies in (0, 1); raises `Refusal` naming the knob otherwise."""
    if not (isinstance(value, int | float) and 0 < value < 1):
        raise Refusal(f"compress: {name} {value} is no share: set it above 0 and below 1.")
    return float(value)


def one_of(name: str, value: str, options: Iterable[str]) -> str:
    """`value`, if it is one of `options`; raises `Refusal` naming the knob otherwise."""
    if value not in options:
        raise Refusal(f"compress: {name} '{value}' is unknown: choose one of {', '.join(options)}.")
    return value


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

"""Gradient checkpointing: chosen modules forget what is inside them and compute it again for the gradient."""

import fnmatch
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MethodType
from typing import Any, final

import torch
from torch import nn
from torch.utils.checkpoint import (
    SAC_IGNORED_OPS,
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from models.training.untouched import copies_of, on_copies
from refusal import Refusal

KEEPS = ("nothing", "matmuls")
_SHOWN = 12
_MATMULS = {
    *("mm", "addmm", "bmm", "baddbmm", "convolution", "mkldnn_rnn_layer", "_cudnn_rnn"),
    *("_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu"),
    *("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"),
}

# Autocast keeps the casts of weights, so the second pass may cast where the first found the cast done.
SAC_IGNORED_OPS.add(torch.ops.aten._to_copy.default)


@contextmanager
def recompute(net: nn.Module, patterns: Sequence[str] | None, keep: str = "nothing") -> Iterator[list[str]]:
    """Inside, each module that a pattern names keeps only its inputs; yields the names of those modules.

    Its forward pass runs again when the gradient needs what is inside, with the random numbers, the autocast
    and the buffers of the first time, so gradients are those of the plain network bit for bit. Weights, their
    names and answers are untouched; without gradients nothing changes at all. `keep="matmuls"` keeps the
    results of matrix products, convolutions and attention too, and computes again only what is cheap.

    A pattern is a name as in `named_modules()`, where `*` and `?` stand for parts of one component between
    dots: `blocks.*` is every block and nothing inside them. Of modules that lie inside each other the
    outermost is taken. None or no pattern does nothing.

    Source: Chen et al. (2016), Training Deep Nets with Sublinear Memory Cost, arXiv 1604.06174; keeping what
    is dear: Korthikanti et al. (2022), arXiv 2205.05198. Costs one more forward pass of these modules.

    Raises:
        Refusal: a pattern names no module, or `keep` is unknown.
    """
    if keep not in KEEPS:
        raise Refusal(f"trainer.recompute_keep '{keep}' is unknown: choose {' or '.join(KEEPS)}.")
    chosen = _outermost(matched(net, patterns or ()))
    if chosen:
        # Torch reads a setting of its compiler in each checkpoint; loading that takes a second.
        importlib.import_module("torch._dynamo.config")
    kept = [(module, vars(module).get("forward")) for module in chosen.values()]
    try:
        for module, own in kept:
            forward = _Recomputed(own, keep)
            # A method is bound anew when the network is copied.
            vars(module)["forward"] = MethodType(forward, module)
        yield list(chosen)
    finally:
        for module, own in kept:
            del vars(module)["forward"]
            if own is not None:
                vars(module)["forward"] = own


def matched(net: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Module]:
    """The modules of `net` whose names fit a pattern; `Refusal` when a pattern fits none."""
    names = {name: module for name, module in net.named_modules(remove_duplicate=False) if name}
    found: dict[str, nn.Module] = {}
    for pattern in patterns:
        fitting = {name: module for name, module in names.items() if _fits(name, pattern)}
        if not fitting:
            raise Refusal(
                f"trainer.recompute '{pattern}' names no module of this network: choose among "
                f"{_shown(names)}, where * stands for any part between dots."
            )
        found |= fitting
    return found


@final
class _Recomputed:
    """The forward pass of one module, under a checkpoint."""

    def __init__(self, own: Callable[..., Any] | None, keep: str) -> None:
        self._own, self._keep = own, keep

    def __call__(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        forward = self._own or MethodType(type(module).forward, module)
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        contexts = self._contexts(module)
        return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)

    def _contexts(self, module: nn.Module) -> Callable[[], tuple[Any, Any]]:
        modules = list(module.modules())
        before = copies_of(modules)

        def make() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
            first, again = nullcontext(), nullcontext()
            if self._keep == "matmuls":
                first, again = create_selective_checkpoint_contexts(_policy)
            return first, _both(on_copies(modules, before), again)

        return make


@contextmanager
def _both(outer: AbstractContextManager[Any], inner: AbstractContextManager[Any]) -> Iterator[None]:
    with outer, inner:
        yield


def _policy(_: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    dear = operation._overloadpacket.__name__ in _MATMULS
    return CheckpointPolicy.MUST_SAVE if dear else CheckpointPolicy.PREFER_RECOMPUTE


def _outermost(found: dict[str, nn.Module]) -> dict[str, nn.Module]:
    inside = {id(part) for module in found.values() for part in module.modules() if part is not module}
    # A module that the network uses under several names is wrapped once.
    outer = [(name, module) for name, module in reversed(found.items()) if id(module) not in inside]
    once = {id(module): (name, module) for name, module in outer}
    return dict(reversed(once.values()))


def _fits(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _shown(names: dict[str, nn.Module]) -> str:
    """The outer modules first; all of a large network would fill a page."""
    ordered = sorted(names, key=lambda name: name.count("."))
    more = f" and {len(ordered) - _SHOWN} more inside them" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more if ordered else "none, as it has no parts"

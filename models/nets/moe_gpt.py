"""The causal decoder with a mixture of experts in place of each block's perceptron."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.random import fork_rng

from models.nets.balancing import Load, Pool
from models.nets.gpt import GPT
from models.nets.moe import MixtureOfExperts, Routing
from models.nets.shapes import positive
from models.nets.unseen import unseen

_ROUTING = {field.name for field in fields(Routing)}


@final
class MoEGPT(nn.Module):
    """`GPT` with experts: (B, T) int64 -> (B, T, classes), T up to `shape[0]`.

    `expansion` is the hidden width of one expert in widths, so a token's arithmetic is that of a dense
    network of expansion `(chosen + shared) * expansion`, and the router's. `options` are those of `Routing`
    and of `GPT`. Raises `Refusal` as they do.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        task: str = "language",
        *,
        width: int = 64,
        depth: int = 2,
        expansion: int = 4,
        activation: str = "gelu",
        **options: Any,
    ) -> None:
        super().__init__()
        positive(expansion=expansion, width=width, depth=depth)
        routing = Routing(**{name: value for name, value in options.items() if name in _ROUTING})
        trunk = {name: value for name, value in options.items() if name not in _ROUTING}

        def experts(layer: int) -> nn.Module:
            return MixtureOfExperts(width, expansion * width, activation, routing, depth)

        made = GPT(shape, classes, task, width=width, depth=depth, feedforward=experts, **trunk)
        # Its parts under its names, so that what names parts of one decoder finds those of the other.
        self.embedding, self.positions, self.scale = made.embedding, made.positions, made.scale
        self.blocks, self.head, self.length = made.blocks, made.head, made.length

    @property
    def mixtures(self) -> list[MixtureOfExperts]:
        """The layers of experts, the first block's first."""
        return [module for module in self.modules() if isinstance(module, MixtureOfExperts)]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every position."""
        return GPT.forward(self, x)

    def state_bytes(self, length: int) -> int:
        """As the dense decoder's: experts keep nothing."""
        return GPT.state_bytes(self, length)

    @contextmanager
    def pooled(self, passes: Sequence[Callable[[], Any]]) -> Iterator[None]:
        """Inside, the balancing losses of each of `passes` are of the choices of all of them together.

        `passes` are the forward passes of the pieces of one batch. Each is run once without a gradient, with
        the random numbers that come next anyway, to count the choices: a third more arithmetic, for networks
        with a `balance_loss` only. All else here is of one sequence or one token, so pieces change nothing.
        """
        layers = [layer for layer in self.mixtures if layer.options.balance_loss and self.training]
        device = self.embedding.weight.device
        pools = [Pool(layer.options.experts, device) for layer in layers]
        for layer, pool in zip(layers, pools, strict=True):
            layer.pool = pool
        try:
            if layers:
                with torch.no_grad(), fork_rng([device] if device.type == "cuda" else []):
                    for run in passes:
                        run()
            for pool in pools:
                pool.close()
            yield
        finally:
            for layer in layers:
                layer.pool = None

    def forget(self) -> None:
        """Drop what is kept of forward passes since the optimizer's last step, as when a batch is retried."""
        for layer in self.mixtures:
            layer.forget()

    def auxiliary_loss(self) -> Tensor:
        """The sum over layers of the weighted balancing losses of the latest forward pass in training mode.

        Given once for each forward pass; 0 where there is none, as in evaluation mode.
        """
        losses = [loss for layer in self.mixtures if (loss := layer.take_loss()) is not None]
        return torch.stack(losses).sum() if losses else self.embedding.weight.new_zeros(())

    def metrics(self) -> dict[str, float]:
        """What is active, and the load of all forward passes since the last switch to evaluation mode.

        `moe/load_entropy` (0 to 1) and `moe/max_violation` are means over the layers (as in the loss-free
        paper), `moe/max_violation_worst` is the most of a layer. `moe/dropped_share` is of tokens that no
        expert took, `moe/choices_per_token` counts the routed experts of a token. `moe/active_parameters` and
        `moe/active_flops` are what a token uses, the latter in a forward pass of the full length, counted as
        `compute/flops_forward` is. Without any such pass there is no load, and `chosen` experts are active.
        """
        loads = [layer.load for layer in self.mixtures if layer.load.tokens]
        served = [load.served / load.tokens for load in loads] or self._chosen
        found = GPT.metrics(self) | {
            "moe/choices_per_token": _mean(served),
            "moe/active_parameters": self._active(served),
            "moe/active_flops": active_flops(self, self.mixtures, served, self.length),
        }
        return found | (_balance(loads) if loads else {})

    @property
    def _chosen(self) -> list[float]:
        return [float(layer.options.chosen) for layer in self.mixtures]

    def _active(self, served: Sequence[float]) -> float:
        """Parameters without those of the experts that a token does not use."""
        layers = zip(self.mixtures, served, strict=True)
        idle = sum((len(layer.experts) - choices) * layer.expert_parameters for layer, choices in layers)
        return float(sum(weight.numel() for weight in self.parameters()) - idle)


def _balance(loads: Sequence[Load]) -> dict[str, float]:
    violations = [load.violation for load in loads]
    return {
        "moe/load_entropy": _mean([load.entropy for load in loads]),
        "moe/max_violation": _mean(violations),
        "moe/max_violation_worst": max(violations),
        "moe/dropped_share": _mean([load.idle / load.tokens for load in loads]),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def active_flops(
    net: nn.Module, layers: Sequence[MixtureOfExperts], served: Sequence[float], length: int
) -> float:
    """Operations per token of a forward pass on `length` tokens that take `served` experts in each layer.

    Counted by torch's formulas, as `compute/flops_forward` is, on tokens of 0, and corrected from
    the experts that these take to those asked for. Loads and modes stay as they are.
    """
    from torch.utils.flop_counter import FlopCounterMode

    tokens = torch.zeros(1, length, dtype=torch.int64, device=next(net.parameters()).device)
    counter = FlopCounterMode(display=False)
    plain = sdpa_kernel(SDPBackend.MATH)
    with _apart(net, layers) as loads, unseen(net) as besides, torch.inference_mode(), plain, counter:
        net(tokens)
    found = (counter.get_total_flops() + besides.forward) / length
    for layer, load, choices in zip(layers, loads, served, strict=True):
        # A layer that several blocks share is run, and counted, as often.
        runs = load.tokens / length
        found += 2 * layer.expert_parameters * runs * (choices - load.served / load.tokens)
    return found


@contextmanager
def _apart(net: nn.Module, layers: Sequence[MixtureOfExperts]) -> Iterator[list[Load]]:
    """In evaluation mode and with new loads inside; everything as before afterwards."""
    modes, loads = [(module, module.training) for module in net.modules()], [layer.load for layer in layers]
    for layer in layers:
        layer.load = Load(len(layer.experts))
    try:
        net.eval()
        yield [layer.load for layer in layers]
    finally:
        for layer, load in zip(layers, loads, strict=True):
            layer.load = load
        for module, mode in modes:
            module.training = mode

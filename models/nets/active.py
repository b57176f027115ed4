"""What a token costs in a network whose layers leave most of their experts alone, by counting."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.nets.balancing import Load
from models.nets.moe import MixtureOfExperts
from models.nets.unseen import unseen


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

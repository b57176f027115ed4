"""Removes heads and hidden units from transformer blocks.

Not by torch-pruning: it follows channels by what a graph of shapes tells it, and a projection whose output
is unflattened into (query, key, value), heads and pairs that turn tells it nothing of heads; `heads` of the
mixer has to follow too.
"""

import torch
from torch import Tensor, nn

from models.compress.deltas import refuse_deltas
from models.nets.block import Block
from models.nets.mixers.mixer import Mixer
from models.nets.structured import LowRank
from refusal import Refusal

Layer = nn.Linear | LowRank


def blocks(net: nn.Module) -> list[Block]:
    """The transformer blocks of `net`, each once."""
    return [module for module in net.modules() if isinstance(module, Block)]


def prune_blocks(net: nn.Module, kept: float, round_to: int) -> None:
    """Keep the strongest share `kept` of each block's heads and hidden units, in place.

    At least one head stays, or one group of them where queries share keys.

    Hidden units are rounded up to a multiple of `round_to`, which kernels like. Weights with gradients are
    judged by both, others by their size (`strength`).

    Raises:
        Refusal: a block mixes or transforms in a way whose units cannot be told apart.
    """
    refuse_deltas(net, "structured")
    for block in blocks(net):
        _prune_heads(_mixer(block), kept)
        _prune_hidden(*_perceptron(block), kept, round_to)


def strength(weight: Tensor) -> Tensor:
    """Of each entry: (weight x gradient)^2 where there is a gradient, else weight^2.

    The first is the squared change of the loss when the entry goes: Molchanov et al. (2019), arXiv
    1906.10771, equation 8.
    """
    if weight.grad is None:
        return weight.detach().square()
    return (weight.detach() * weight.grad).square()


def take_outputs(layer: Layer, rows: Tensor) -> None:
    """Keep these outputs of a linear layer, in place."""
    last = layer.up if isinstance(layer, LowRank) else layer
    last.weight = _cut(last.weight, rows, 0)
    if last.bias is not None:
        last.bias = _cut(last.bias, rows, 0)
    last.out_features = layer.out_features = len(rows)


def take_inputs(layer: Layer, columns: Tensor) -> None:
    """Keep these inputs of a linear layer, in place."""
    first = layer.down if isinstance(layer, LowRank) else layer
    first.weight = _cut(first.weight, columns, 1)
    first.in_features = layer.in_features = len(columns)


def _prune_heads(mixer: Mixer, kept: float) -> None:
    shared, width, groups = mixer.kv_heads, mixer.head_width, mixer.groups
    # Queries that read one head of keys and values go with it.
    spans = [groups * width, width, width]
    parts = _by_output(mixer.qkv).split([shared * span for span in spans])
    reads = sum(part.view(shared, -1).sum(1) for part in parts)
    writes = _by_input(mixer.out).view(shared, -1).sum(1)
    chosen = _strongest(reads * writes, max(1, round(kept * shared)))
    rows = [_rows(chosen, span) for span in spans]
    starts = (0, shared * spans[0], shared * (spans[0] + spans[1]))
    take_outputs(mixer.qkv, torch.cat([part + start for part, start in zip(rows, starts, strict=True)]))
    take_inputs(mixer.out, rows[0])
    mixer.heads = len(chosen) * groups


def _rows(chosen: Tensor, span: int) -> Tensor:
    """Places of the features of `chosen`, each of which has `span` in a row."""
    return (chosen[:, None] * span + torch.arange(span, device=chosen.device)).flatten()


def _prune_hidden(up: Layer, down: Layer, kept: float, round_to: int) -> None:
    hidden = down.in_features
    count = min(hidden, max(1, -(-round(kept * hidden) // round_to)) * round_to)
    rows = _strongest(_by_output(up) * _by_input(down), count)
    take_outputs(up, rows)
    take_inputs(down, rows)


def _strongest(scores: Tensor, count: int) -> Tensor:
    """Places of the `count` largest, in order."""
    return scores.topk(count).indices.sort().values


def _by_output(layer: Layer) -> Tensor:
    return strength((layer.up if isinstance(layer, LowRank) else layer).weight).sum(1)


def _by_input(layer: Layer) -> Tensor:
    return strength((layer.down if isinstance(layer, LowRank) else layer).weight).sum(0)


def _cut(parameter: Tensor, places: Tensor, dim: int) -> nn.Parameter:
    return nn.Parameter(parameter.detach().index_select(dim, places), parameter.requires_grad)


def _mixer(block: Block) -> Mixer:
    mixer = block.mixer
    weights = {name.partition(".")[0] for name, _ in mixer.named_parameters()}
    if weights != {"qkv", "out"} or not all(isinstance(part, Layer) for part in (mixer.qkv, mixer.out)):
        raise Refusal(
            f"compress=structured cannot tell the heads of {type(mixer).__name__} apart, which has more than "
            "projections: set model.pattern to softmax, window or linear without a convolution, or choose "
            "compress=prune50."
        )
    return mixer


def _perceptron(block: Block) -> tuple[Layer, Layer]:
    mlp = block.feedforward
    if isinstance(mlp, nn.Sequential):
        first, last = mlp[0], mlp[-1]
        if isinstance(first, Layer) and isinstance(last, Layer):
            return first, last
    raise Refusal(
        f"compress=structured removes hidden units between two linear layers, and a block has "
        f"{type(mlp).__name__}: choose compress=prune50."
    )

"""FLOPs of a network by what its layers are: from the shapes that go in and out, without torch's formulas.

Two operations for each multiply-add. A product of two tensors costs its forward pass once more for each of
the two that needs a gradient, so a layer trains at three times its forward pass, less the gradient of a first
input.
"""

import math

import torch
from torch import nn

from models.nets.gpt import GPT
from models.nets.gru import Scan
from models.nets.mixers.convolution import ShortConvolution
from models.nets.mixers.delta import DeltaRule
from models.nets.mixers.gated import GatedRetention
from models.nets.mixers.linear import LinearAttention
from models.nets.mixers.softmax import Attention
from models.nets.mixers.window import WindowAttention
from models.nets.moe import MixtureOfExperts
from models.nets.moe_gpt import MoEGPT
from models.nets.sharing import Relaxed
from models.nets.structured import Grouped, Monarch
from models.training.evaluate import evaluating

CHUNK = 64


def by_hand(net, example):
    """(forward, forward and backward) of one pass in evaluation mode."""
    forward, train = 0, 0

    def hear(layer, given, out):
        nonlocal forward, train
        for operations, times in COUNTS[type(layer)](layer, given[0], out):
            forward += operations
            train += operations * times

    hooks = [layer.register_forward_hook(hear) for layer in net.modules() if type(layer) in COUNTS]
    with evaluating(net), torch.enable_grad():
        net(example)
    for hook in hooks:
        hook.remove()
    return forward, train


def _times(*operands):
    """The forward pass, and a gradient for each operand that needs one."""
    return 1 + sum(operand.requires_grad for operand in operands)


def _linear(layer, x, out):
    rows = x.numel() // layer.in_features
    yield 2 * rows * layer.in_features * layer.out_features, _times(x, layer.weight)


def _convolution(layer, x, out):
    # Each output is a sum over the kernel and over the inputs of its own group.
    summed = math.prod(layer.kernel_size) * layer.in_channels // layer.groups
    yield 2 * out.numel() * summed, _times(x, layer.weight)


def _transposed(layer, x, out):
    # Each input is spread over the kernel and over the outputs of its own group.
    spread = math.prod(layer.kernel_size) * layer.out_channels // layer.groups
    yield 2 * x.numel() * spread, _times(x, layer.weight)


def _short(layer, x, out):
    yield 2 * out.numel() * len(layer.weight), _times(x, layer.weight)


def _grouped(layer, x, out):
    rows = x.numel() // layer.in_features
    yield 2 * rows * layer.in_features * layer.out_features // layer.blocks, _times(x, layer.weight)


def _monarch(layer, x, out):
    rows, middle = x.numel() // layer.in_features, min(layer.in_features, layer.out_features)
    yield 2 * rows * layer.in_features * middle // layer.blocks, _times(x, layer.first)
    yield 2 * rows * middle * layer.out_features // layer.blocks, 3


def _scan(layer, x, out):
    batch, steps, _ = x.shape
    ways, width, gates = layer.weight.shape
    each = 2 * batch * ways * width * gates
    # The first state is nothing that learns.
    yield each, 2
    yield (steps - 1) * each, 3


def _fused(layer, x, out):
    batch, steps, features = x.shape
    ways = 2 if layer.bidirectional else 1
    yield 2 * batch * steps * ways * features * 3 * layer.hidden_size, _times(x, layer.weight_ih_l0)
    each = 2 * batch * ways * layer.hidden_size * 3 * layer.hidden_size
    yield each, 2
    yield (steps - 1) * each, 3


def _softmax(layer, x, out):
    # Scores, and what they weight; whole, as if nothing were masked.
    batch, length, _ = x.shape
    yield 2 * 2 * batch * layer.heads * length * length * layer.head_width, 3


def _window(layer, x, out):
    batch, length, _ = x.shape
    if length <= layer.window:
        yield from _softmax(layer, x, out)
        return
    blocks, seen = math.ceil(length / layer.window), (2 if layer.causal else 3) * layer.window
    yield 2 * 2 * batch * layer.heads * blocks * layer.window * seen * layer.head_width, 3


def _chunks(layer, x):
    """Heads of all examples, chunks, positions of one, features of a head."""
    batch, length, _ = x.shape
    size = min(CHUNK, length)
    return batch * layer.heads, math.ceil(length / size), size, layer.head_width


def _sums(layer, x, out):
    heads, chunks, size, width = _chunks(layer, x)
    if not layer.causal:
        yield 2 * 2 * heads * x.shape[1] * width * (width + 1), 3
        return
    states = 2 * heads * chunks * size * width * (width + 1)
    yield states + states, 3  # made, and read
    yield 2 * heads * chunks * size * size * (width + width + 1), 3


def _gated(layer, x, out):
    heads, chunks, size, width = _chunks(layer, x)
    states = 2 * heads * chunks * size * width * width
    # Of a single chunk nobody reads the state, and what it reads itself is empty.
    yield states, 3 if chunks > 1 else 1
    yield states, 3 if chunks > 1 else 2
    yield 2 * 2 * heads * chunks * size * size * width, 3


def _delta(layer, x, out):
    heads, chunks, size, width = _chunks(layer, x)
    inside, step = 2 * heads * size * size * width, 2 * heads * size * width * width
    yield 3 * chunks * inside, 3  # how writes depend on each other, what queries see, what they read
    # By substitution, for values and keys; backwards the same again and the gradient of a whole matrix.
    yield chunks * 2 * inside // 2, 4
    yield step, 2  # the first chunk finds an empty state
    yield (chunks - 1) * step, 3
    yield (chunks - 1) * step, 3
    yield step, 1  # the last chunk's state is read by nobody
    yield chunks * step, 3 if chunks > 1 else 2


def _router(layer, x, out):
    yield 2 * x.numel() * layer.options.experts, 3


def _tied(layer, x, out):
    if layer.head is None:
        yield 2 * x.numel() * layer.embedding.weight.numel(), 3


def _relaxed(layer, x, out):
    for name, down in layer.down.items():
        up = layer.up[name]
        yield 2 * layer.depth * down.shape[1] * down.shape[2] * up.shape[1], 3


COUNTS = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.ConvTranspose1d: _transposed,
    nn.ConvTranspose2d: _transposed,
    nn.GRU: _fused,
    ShortConvolution: _short,
    Grouped: _grouped,
    Monarch: _monarch,
    Scan: _scan,
    Attention: _softmax,
    WindowAttention: _window,
    LinearAttention: _sums,
    GatedRetention: _gated,
    DeltaRule: _delta,
    MixtureOfExperts: _router,
    GPT: _tied,
    MoEGPT: _tied,
    Relaxed: _relaxed,
}

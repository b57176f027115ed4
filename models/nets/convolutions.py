"""What the convolutional networks on points share: where blocks stand, convolutions, and the read-out.

They keep data as points (B, H, W, channels), a signal being an image of height 1. A mixture of channels is
then a plain `nn.Linear`, which is what quantisers and low-rank factors know, and depthwise convolutions get
the layout that the CPU's kernels want: MobileNet ran 1.1 to 1.8 times as fast as with Conv1d and Conv2d on
(B, channels, ...), and trained 1.5 to 2.8 times as fast (one thread).
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from models.nets.shapes import sizes
from refusal import Refusal


@final
class Place(NamedTuple):
    """Where a block stands: channels in and out, and how far it steps."""

    inputs: int
    outputs: int
    stride: int


def places(width: int, depth: int, blocks: int, growth: int) -> list[Place]:
    """The blocks of `depth` stages of `1 + blocks` each; every stage but the first halves the resolution.

    Raises `Refusal` when there are fewer than no blocks.
    """
    if blocks < 0:
        raise Refusal(f"model.blocks {blocks} is below nothing: set it to 0 or more.")
    wide = [width * growth**stage for stage in range(depth)]
    firsts = [Place(width, width, 1), *(Place(a, b, 2) for a, b in pairwise(wide))]
    return [at for first, w in zip(firsts, wide, strict=True) for at in (first, *[Place(w, w, 1)] * blocks)]


def space(name: str, shape: Sequence[int], kernel: int) -> tuple[int, ...]:
    """`shape` as (C, L) or (C, H, W).

    Raises `Refusal` when there is nothing to convolve over, or the kernel is even.
    """
    found = sizes(shape)
    if len(found) == 1:
        raise Refusal(
            f"model={name} convolves over (C, L) or (C, H, W) and the data's shape is {list(found)}: "
            "choose model=mlp, or data with channels."
        )
    if kernel % 2 == 0:
        raise Refusal(
            f"model.kernel {kernel} has no middle: set it to an odd number, for example {kernel + 1}."
        )
    return found


@final
class Points(nn.Module):
    """(B, C, L) -> (B, 1, L, C), and (B, C, H, W) -> (B, H, W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """The same values, one point after another."""
        return (x.unsqueeze(2) if x.ndim == 3 else x).movedim(1, -1)


@final
class Convolution(nn.Module):
    """Points (B, H, W, inputs) -> (B, H / stride, W / stride, outputs), rounded up.

    `kernel` is along each of `dims` dimensions; a kernel as long as its stride cuts patches, padded where
    `odd` says that a size does not divide. kernel^dims x inputs x outputs / groups weights.
    """

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        odd: Sequence[bool] = (),
    ) -> None:
        super().__init__()
        kernels, strides = ((side if dims == 2 else 1, side) for side in (kernel, stride))
        pads = [int(side) for side in odd] if odd else [kernel // 2] * dims
        padding = (pads[0] if dims == 2 else 0, pads[-1])
        self.conv = nn.Conv2d(inputs, outputs, kernels, strides, padding, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """The filtered points."""
        return self.conv(x.movedim(-1, 1)).movedim(1, -1)


@final
class Norm(nn.Module):
    """Group norm with one group, on points: each example by itself, over all its points and channels.

    Then a gain and an offset for each channel. Not batch norm: its running statistics are hidden state, which
    vmap over networks forbids, and it differs between training and evaluation and between sizes of batches.
    The price is that it cannot be folded into a convolution afterwards. Not a layer norm of each point: that
    forgets how strong a signal is where, and cost 20 points and more on MNIST-1D. Not several groups: torch's
    kernel for them takes no points under vmap. Source: Wu and He (2018), arXiv 1803.08494.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, channels) -> the same shape."""
        # One kernel for norm, gain and offset: apart, the backward pass takes twice as long.
        own = x.shape[1:]
        return layer_norm(x, own, self.weight.expand(own), self.bias.expand(own))


@final
class Readout(nn.Module):
    """Points (B, H, W, channels) -> (B, classes).

    `flatten` keeps where a feature was, `mean` does not and needs fewer weights. Raises `Refusal` for
    another name.
    """

    def __init__(self, name: str, channels: int, space: Sequence[int], classes: int, dropout: float) -> None:
        super().__init__()
        if name not in ("flatten", "mean"):
            raise Refusal(f"model.readout '{name}' is unknown: choose one of flatten, mean.")
        self.mean = name == "mean"
        features = channels * (1 if self.mean else math.prod(space))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        # Channels first, since that is the order in which what removes channels looks for them.
        return self.head(x.mean((1, 2)) if self.mean else x.movedim(-1, 1).flatten(1))


def halved(space: Sequence[int], times: int = 1) -> list[int]:
    """Sizes after so many steps of stride 2."""
    return [math.ceil(size / 2**times) for size in space]

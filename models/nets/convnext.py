"""A ConvNeXt for signals (C, L) and images (C, H, W): wide depthwise filters and a perceptron per point."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from models.nets.activations import activation as make_activation
from models.nets.convolutions import Convolution, Place, Points, Readout, halved, places, space
from models.nets.shapes import one_answer, positive, probability
from models.nets.structured import linear as make_linear
from refusal import Refusal


@final
class ConvNeXt(nn.Module):
    """Patches of `patch` points, then `depth` stages of `1 + blocks` blocks, halved and grown in between.

    `linear` names the kind of the perceptrons' layers (models.nets.structured). `scale` is where layer scale
    starts: the paper's 1e-6 is for tens of blocks and 300 epochs, and would leave the blocks of a short
    training unused. (B, *shape) float -> (B, classes). Source: Liu et al. (2022), arXiv 2201.03545.
    Raises `Refusal` for a patch that does not divide the input, inputs without a space to convolve over, a
    task with one answer per token, unknown names and sizes below one.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        task: str = "classification",
        *,
        width: int = 32,
        depth: int = 2,
        blocks: int = 1,
        growth: int = 2,
        kernel: int = 7,
        patch: int = 2,
        expansion: int = 4,
        scale: float = 0.1,
        readout: str = "flatten",
        activation: str = "gelu",
        dropout: float = 0.0,
        linear: str = "dense",
        linear_share: float = 0.5,
        linear_blocks: int = 4,
    ) -> None:
        super().__init__()
        one_answer("convnext", task)
        positive(classes=classes, width=width, depth=depth, growth=growth, kernel=kernel, patch=patch)
        positive(expansion=expansion)
        probability(dropout=dropout)
        channels, *size = space("convnext", shape, kernel)
        dims, size = len(size), _patches(size, patch)
        layer = partial(make_linear, linear, share=linear_share, blocks=linear_blocks)
        cut = Convolution(dims, channels, width, patch, patch, bias=True, odd=[False] * dims)
        layers: list[nn.Module] = [Points(), cut, nn.LayerNorm(width)]
        for at in places(width, depth, blocks, growth):
            if at.stride > 1:
                layers += _halving(dims, at, size)
                size = halved(size)
            layers.append(ConvNeXtBlock(dims, at.outputs, kernel, expansion, scale, activation, layer))
        self.features = nn.Sequential(*layers, nn.LayerNorm(at.outputs))
        self.readout = Readout(readout, at.outputs, size, classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        return self.readout(self.features(x))


@final
class ConvNeXtBlock(nn.Module):
    """x + scale * perceptron(norm(depthwise(x))) on points (B, H, W, width) -> the same shape.

    `layer` makes a linear layer of the perceptron from inputs and outputs. width x (kernel^dims + 2 x
    expansion x width) weights with dense ones.
    """

    def __init__(
        self,
        dims: int,
        width: int,
        kernel: int,
        expansion: int,
        scale: float,
        activation: str,
        layer: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        inner = width * expansion
        self.branch = nn.Sequential(
            Convolution(dims, width, width, kernel, groups=width, bias=True),
            nn.LayerNorm(width),
            layer(width, inner),
            make_activation(activation),
            layer(inner, width),
        )
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """The input and what the block adds."""
        return x + self.scale * self.branch(x)


def _halving(dims: int, at: Place, size: Sequence[int]) -> list[nn.Module]:
    """Patches of two points, padded where a size is odd, so that no point is left out."""
    odd = [points % 2 == 1 for points in size]
    return [nn.LayerNorm(at.inputs), Convolution(dims, at.inputs, at.outputs, 2, 2, bias=True, odd=odd)]


def _patches(size: Sequence[int], patch: int) -> list[int]:
    if any(points % patch for points in size):
        raise Refusal(f"model.patch {patch} does not divide an input of {list(size)}: choose one that does.")
    return [points // patch for points in size]

"""Blocks of depthwise convolutions, MobileNet's: separable (V1), inverted residual (V2), squeezed (V3)."""

from typing import final

from torch import Tensor, nn

from models.nets.activations import activation as make_activation
from models.nets.convolutions import Convolution, Norm, Place
from refusal import Refusal

BLOCKS = ("separable", "inverted")
"""what `model.block` may name"""


def block(
    kind: str, dims: int, place: Place, kernel: int, expansion: int, squeeze: float, activation: str
) -> nn.Module:
    """A block on points (B, H, W, inputs) -> (B, H / stride, W / stride, outputs).

    Raises `Refusal` for an unknown kind.
    """
    if kind == "inverted":
        return InvertedResidual(dims, place, kernel, expansion, squeeze, activation)
    if kind == "separable":
        return separable(dims, place, kernel, squeeze, activation)
    raise Refusal(f"model.block '{kind}' is unknown: choose one of {', '.join(BLOCKS)}.")


def mixture(inputs: int, outputs: int, activation: str) -> nn.Sequential:
    """A 1 x 1 convolution, which on points is a linear layer, with norm and activation."""
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), Norm(outputs), make_activation(activation))


def filters(
    dims: int, channels: int, kernel: int, stride: int, squeeze: float, activation: str
) -> nn.Sequential:
    """One filter per channel with norm and activation, and squeeze-excite where `squeeze` is above 0."""
    gate = [SqueezeExcite(channels, squeeze, activation)] if squeeze else []
    depthwise = Convolution(dims, channels, channels, kernel, stride, groups=channels)
    return nn.Sequential(depthwise, Norm(channels), make_activation(activation), *gate)


def separable(dims: int, place: Place, kernel: int, squeeze: float, activation: str) -> nn.Module:
    """One filter per channel, then a mixture of channels: inputs x (kernel^dims + outputs) weights.

    A full convolution has inputs x kernel^dims x outputs. Source: Howard et al. (2017), arXiv 1704.04861;
    with squeeze-excite in between where `squeeze` is above 0.
    """
    inputs, outputs, stride = place
    depthwise = filters(dims, inputs, kernel, stride, squeeze, activation)
    return nn.Sequential(depthwise, mixture(inputs, outputs, activation))


@final
class InvertedResidual(nn.Module):
    """Expand the channels, filter each by itself, squeeze-excite, project down without activation, and add.

    The sum is left out where channels or resolution change, and the expansion where `expansion` is 1. With
    E = inputs x expansion it has E x (inputs + kernel^dims + outputs) weights, and 2 x squeeze x E^2 more for
    the squeeze. Source: Sandler et al. (2018), arXiv 1801.04381; Howard et al. (2019), arXiv 1905.02244.
    """

    def __init__(
        self, dims: int, place: Place, kernel: int, expansion: int, squeeze: float, activation: str
    ) -> None:
        super().__init__()
        inputs, outputs, stride = place
        wide = inputs * expansion
        expand = [mixture(inputs, wide, activation)] if expansion > 1 else []
        depthwise = filters(dims, wide, kernel, stride, squeeze, activation)
        project = nn.Linear(wide, outputs, bias=False), Norm(outputs)
        self.branch = nn.Sequential(*expand, depthwise, *project)
        self.adds = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, inputs) -> (B, H / stride, W / stride, outputs)."""
        return x + self.branch(x) if self.adds else self.branch(x)


@final
class SqueezeExcite(nn.Module):
    """Scale each channel by a gate in (0, 1) that reads the mean over all points.

    2 x squeeze x channels^2 weights; next to no arithmetic, but six more calls, which small networks feel.
    Source: Hu et al. (2018), arXiv 1709.01507.
    """

    def __init__(self, channels: int, squeeze: float, activation: str) -> None:
        super().__init__()
        hidden = max(1, round(channels * squeeze))
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden),
            make_activation(activation),
            nn.Linear(hidden, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, channels) -> the same shape."""
        return x * self.gate(x.mean((1, 2), keepdim=True))

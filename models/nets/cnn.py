"""A convolutional classifier for signals (C, L) and images (C, H, W): the data's shape decides which."""

import math
from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from models.nets import convolutions
from models.nets.activations import activation as make_activation
from models.nets.shapes import one_answer, positive, probability
from refusal import Refusal


@final
class CNN(nn.Module):
    """`depth` stages, each of which halves the resolution and multiplies the width by `growth`.

    A stage is one convolution of stride 2 and `blocks` residual ones of stride 1. `readout` is `flatten`,
    which keeps where a feature was (small inputs), or `mean`, which does not (large images, fewer weights).
    (B, *shape) float -> (B, classes). Raises `Refusal` for inputs without a space to convolve over, and for a
    task with one answer per token.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        task: str = "classification",
        *,
        width: int = 32,
        depth: int = 3,
        blocks: int = 0,
        growth: int = 1,
        kernel: int = 3,
        norm: bool = True,
        readout: str = "flatten",
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        one_answer("cnn", task)
        positive(classes=classes, width=width, depth=depth, growth=growth, kernel=kernel)
        probability(dropout=dropout)
        channels, *space = convolutions.space("cnn", shape, kernel)
        layers: list[nn.Module] = []
        for stage in range(depth):
            wide = width * growth**stage
            layers.append(_convolution(len(space), channels, wide, kernel, 2, norm, activation))
            residuals = (
                _convolution(len(space), wide, wide, kernel, 1, norm, activation) for _ in range(blocks)
            )
            layers += [_Residual(branch) for branch in residuals]
            channels, space = wide, [math.ceil(size / 2) for size in space]
        self.features = nn.Sequential(*layers)
        self.readout = _readout(readout, channels, space, classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        return self.readout(self.features(x))


@final
class _Residual(nn.Module):
    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def _convolution(
    dims: int, channels: int, width: int, kernel: int, stride: int, norm: bool, activation: str
) -> nn.Module:
    convolution = nn.Conv1d if dims == 1 else nn.Conv2d
    layers: list[nn.Module] = [
        convolution(channels, width, kernel, stride=stride, padding=kernel // 2, bias=not norm)
    ]
    if norm:
        # Not BatchNorm: its running statistics are hidden state, which vmap over networks forbids. Groups of
        # eight channels and no fewer: where one pixel is left, a group of one channel is always zero.
        layers.append(nn.GroupNorm(width // 8 if width % 8 == 0 else 1, width))
    return nn.Sequential(*layers, make_activation(activation))


def _readout(name: str, channels: int, space: list[int], classes: int, dropout: float) -> nn.Module:
    pools = {
        "flatten": nn.Identity,
        "mean": nn.AdaptiveAvgPool1d if len(space) == 1 else nn.AdaptiveAvgPool2d,
    }
    if name not in pools:
        raise Refusal(f"model.readout '{name}' is unknown: choose one of {', '.join(pools)}.")
    features = channels * (math.prod(space) if name == "flatten" else 1)
    drop = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(pools[name](1), nn.Flatten(), *drop, nn.Linear(features, classes))

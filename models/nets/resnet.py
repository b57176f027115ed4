"""A residual network for signals (C, L) and images (C, H, W), with the norm before the convolution."""

from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from models.nets.activations import activation as make_activation
from models.nets.convolutions import Convolution, Norm, Place, Points, Readout, halved, places, space
from models.nets.shapes import one_answer, positive, probability


@final
class ResNet(nn.Module):
    """A stem of stride 2, then `depth` stages of `1 + blocks` blocks; every stage but the first halves again.

    (B, *shape) float -> (B, classes). Source: He et al. (2016), Identity mappings, arXiv 1603.05027, figure
    4(e), with group norm and a stem that halves. Raises `Refusal` for inputs without a space to
    convolve over, a task with one answer per token, unknown names and sizes below one.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        task: str = "classification",
        *,
        width: int = 32,
        depth: int = 3,
        blocks: int = 1,
        growth: int = 2,
        kernel: int = 3,
        readout: str = "flatten",
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        one_answer("resnet", task)
        positive(classes=classes, width=width, depth=depth, growth=growth, kernel=kernel)
        probability(dropout=dropout)
        channels, *size = space("resnet", shape, kernel)
        dims, plan = len(size), places(width, depth, blocks, growth)
        stem = Points(), Convolution(dims, channels, width, kernel, 2)
        body = [PreActivation(dims, at, kernel, activation) for at in plan]
        channels = plan[-1].outputs
        last = Norm(channels), make_activation(activation)
        self.features = nn.Sequential(*stem, *body, *last)
        self.readout = Readout(readout, channels, halved(size, depth), classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        return self.readout(self.features(x))


@final
class PreActivation(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))), with x mixed by a 1 x 1 convolution where its shape changes.

    Points (B, H, W, inputs) -> (B, H / stride, W / stride, outputs). kernel^dims x outputs x (inputs +
    outputs) weights, and inputs x outputs more for the mixture.
    """

    def __init__(self, dims: int, place: Place, kernel: int, activation: str) -> None:
        super().__init__()
        inputs, outputs, stride = place
        self.begin = nn.Sequential(Norm(inputs), make_activation(activation))
        self.branch = nn.Sequential(
            Convolution(dims, inputs, outputs, kernel, stride),
            Norm(outputs),
            make_activation(activation),
            Convolution(dims, outputs, outputs, kernel),
        )
        moves = inputs != outputs or stride != 1
        self.shortcut = Convolution(dims, inputs, outputs, 1, stride) if moves else None

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways."""
        begun = self.begin(x)
        # As in the paper's code, a shortcut that has to convolve reads the normalised input.
        return (x if self.shortcut is None else self.shortcut(begun)) + self.branch(begun)

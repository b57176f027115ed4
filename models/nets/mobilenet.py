"""A MobileNet for signals (C, L) and images (C, H, W): depthwise convolutions in place of full ones."""

from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from models.nets.activations import activation as make_activation
from models.nets.convolutions import Convolution, Norm, Points, Readout, halved, places, space
from models.nets.separable import block as make_block
from models.nets.separable import mixture
from models.nets.shapes import one_answer, positive, probability


@final
class MobileNet(nn.Module):
    """A stem of stride 2, then `depth` stages of `1 + blocks` blocks; every stage but the first halves again.

    `block` is `separable` (V1, which has no `expansion`) or `inverted` (V2; V3 with `squeeze` above 0). Since
    inverted blocks end in few channels, a last mixture widens theirs by `expansion` for the read-out.
    (B, *shape) float -> (B, classes). Raises `Refusal` for inputs without a space to convolve over, a task
    with one answer per token, unknown names and sizes below one.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        task: str = "classification",
        *,
        width: int = 16,
        depth: int = 3,
        blocks: int = 1,
        growth: int = 2,
        kernel: int = 3,
        block: str = "inverted",
        expansion: int = 4,
        squeeze: float = 0.25,
        readout: str = "flatten",
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        one_answer("mobilenet", task)
        positive(classes=classes, width=width, depth=depth, growth=growth, kernel=kernel, expansion=expansion)
        probability(squeeze=squeeze, dropout=dropout)
        channels, *size = space("mobilenet", shape, kernel)
        dims, plan = len(size), places(width, depth, blocks, growth)
        stem = Points(), Convolution(dims, channels, width, kernel, 2), Norm(width)
        body = [make_block(block, dims, at, kernel, expansion, squeeze, activation) for at in plan]
        channels = plan[-1].outputs
        if block == "inverted":
            body.append(mixture(channels, expansion * channels, activation))
            channels *= expansion
        self.features = nn.Sequential(*stem, make_activation(activation), *body)
        self.readout = Readout(readout, channels, halved(size, depth), classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        return self.readout(self.features(x))

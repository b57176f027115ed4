"""The block that both transformers stack: a mixer, then a feed-forward network, each added to its input."""

import math
from collections.abc import Callable, Sequence
from typing import Any, final

from torch import Tensor, nn

from models.nets.activations import activation as make_activation
from models.nets.mixers.choice import mixer as make_mixer
from models.nets.mixers.choice import names
from models.nets.mixers.mixer import Mixer
from models.nets.shapes import positive, probability


@final
class Block(nn.Module):
    """Pre-norm transformer block: (B, T, width) -> (B, T, width).

    `mixer` exchanges between positions, `feedforward` acts on each: both map (B, T, width) to itself.
    Source: Xiong et al. (2020), arXiv 2002.04745.
    """

    def __init__(self, width: int, mixer: Mixer, feedforward: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.mixer_norm = nn.LayerNorm(width, bias=False)
        self.mixer = mixer
        self.feedforward_norm = nn.LayerNorm(width, bias=False)
        self.feedforward = feedforward
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The stream after this block."""
        x = x + self.drop(self.mixer(self.mixer_norm(x)))
        return x + self.drop(self.feedforward(self.feedforward_norm(x)))


def stack(
    depth: int,
    width: int,
    heads: int,
    length: int,
    *,
    feedforward: Callable[[int], nn.Module] | None = None,
    pattern: str | Sequence[str] = "softmax",
    expansion: int = 4,
    activation: str = "gelu",
    dropout: float = 0.0,
    **options: Any,
) -> nn.Sequential:
    """`depth` blocks and a last norm; weights that write to the stream shrink with the depth.

    `feedforward(layer)` gives the module of a layer (0 is the first), which then starts as it was made; by
    default it is a two-layer perceptron. `options` are the mixers'. Source of the scale: Radford et al.
    (2019), GPT-2, section 2.3. Raises `Refusal` for sizes below one, and as the mixers do.
    """
    positive(depth=depth, width=width, heads=heads, expansion=expansion)
    probability(dropout=dropout)
    blocks = []
    for layer, name in enumerate(names(pattern, depth)):
        mixer = make_mixer(name, width, heads, length, **options)
        own = feedforward(layer) if feedforward else perceptron(width, expansion * width, activation)
        blocks.append(Block(width, mixer, own, dropout))
    for block in blocks:
        _start(block, depth, whole=feedforward is None)
    return nn.Sequential(*blocks, nn.LayerNorm(width, bias=False))


def perceptron(width: int, hidden: int, activation: str) -> nn.Sequential:
    """Two layers without biases: (..., width) -> (..., hidden) -> (..., width)."""
    return nn.Sequential(
        nn.Linear(width, hidden, bias=False),
        make_activation(activation),
        nn.Linear(hidden, width, bias=False),
    )


def _start(block: Block, depth: int, *, whole: bool) -> None:
    """Draw the weights of the mixer, and of the perceptron where `whole`."""
    writers = [block.mixer.out]
    drawn = [block.mixer.qkv, block.mixer.out]
    if whole:
        drawn += [block.feedforward[0], block.feedforward[2]]
        writers += [block.feedforward[2]]
    for linear in drawn:
        nn.init.normal_(linear.weight, std=1 / math.sqrt(linear.in_features))
    for linear in writers:
        linear.weight.data /= math.sqrt(2 * depth)

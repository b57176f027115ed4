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
from models.nets.sharing import arranged, distinct
from models.nets.structured import linear as make_linear


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

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """The stream after this block; `there` (B, T) says which positions are none of padding."""
        x = x + self.drop(self.mixer(self.mixer_norm(x), there))
        return x + self.drop(self.feedforward(self.feedforward_norm(x)))


def stack(
    depth: int,
    width: int,
    heads: int,
    length: int,
    *,
    feedforward: Callable[[int], nn.Module] | None = None,
    expansion: int = 4,
    activation: str = "gelu",
    dropout: float = 0.0,
    pattern: str | Sequence[str] = "softmax",
    sharing: str = "none",
    shared_blocks: int = 2,
    delta_rank: int = 4,
    linear: str = "dense",
    linear_share: float = 0.5,
    linear_blocks: int = 4,
    **options: Any,
) -> nn.Sequential:
    """`depth` blocks and a last norm; weights that write to the stream shrink with the depth.

    `feedforward(layer)` gives the module of a layer (0 is the first), which then starts as it was made; by
    default it is a two-layer perceptron of `linear` layers. `sharing` says which layers are one. `options`
    are the mixers'. Source of the scale: Radford et al. (2019), GPT-2, section 2.3. Raises `Refusal` for
    sizes below one, and as mixers, sharing and linear layers do.
    """
    positive(depth=depth, width=width, heads=heads, expansion=expansion)
    probability(dropout=dropout)
    structure = {"share": linear_share, "blocks": linear_blocks}
    blocks = []
    for layer, name in enumerate(names(pattern, depth)[: distinct(sharing, depth, shared_blocks, pattern)]):
        mixer = make_mixer(name, width, heads, length, **options)
        own = (
            feedforward(layer)
            if feedforward
            else perceptron(width, expansion * width, activation, linear, **structure)
        )
        blocks.append(Block(width, mixer, own, dropout))
    for block in blocks:
        _start(block, depth, whole=feedforward is None)
    return nn.Sequential(*arranged(blocks, depth, sharing, delta_rank), nn.LayerNorm(width, bias=False))


def perceptron(
    width: int, hidden: int, activation: str, linear: str = "dense", **structure: Any
) -> nn.Sequential:
    """Two layers without biases: (..., width) -> (..., hidden) -> (..., width); raises as `linear` does."""
    return nn.Sequential(
        make_linear(linear, width, hidden, False, **structure),
        make_activation(activation),
        make_linear(linear, hidden, width, False, **structure),
    )


def _start(block: Block, depth: int, *, whole: bool) -> None:
    """Draw the weights of the mixer, and of the perceptron where `whole`."""
    reads: list[nn.Module] = [block.mixer.qkv]
    writes: list[nn.Module] = [block.mixer.out]
    if whole:
        up, _, down = block.feedforward.children()
        reads, writes = [*reads, up], [*writes, down]
    for pair in zip(reads, writes, strict=True):
        for layer in pair:
            _unit(layer)
    for layer in writes:
        _last(layer).data /= math.sqrt(2 * depth)


def _unit(layer: nn.Module) -> None:
    """Outputs as large as inputs."""
    if isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
    else:
        # A structured layer starts with the variance of a fresh `nn.Linear`, a third of its inputs'.
        _last(layer).data *= math.sqrt(3)


def _last(layer: nn.Module) -> nn.Parameter:
    """The matrix that the outputs come from."""
    return [weight for weight in layer.parameters() if weight.ndim > 1][-1]

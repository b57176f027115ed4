"""The block that both transformers stack: attention, then a two-layer perceptron, each added to its input."""

import math
from typing import Any, final

from torch import Tensor, nn

from models.nets.activations import activation as make_activation
from models.nets.attention import Attention
from models.nets.shapes import positive, probability


@final
class Block(nn.Module):
    """Pre-norm transformer block: (B, T, width) -> (B, T, width).

    Source: Xiong et al. (2020), arXiv 2002.04745.
    Raises `Refusal` as `Attention` does, and for sizes below one.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        length: int,
        *,
        expansion: int = 4,
        causal: bool = False,
        rotary: bool = False,
        activation: str = "gelu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        positive(width=width, heads=heads, expansion=expansion)
        probability(dropout=dropout)
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, heads, length, causal=causal, rotary=rotary)
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, expansion * width, bias=False),
            make_activation(activation),
            nn.Linear(expansion * width, width, bias=False),
        )
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The stream after this block."""
        x = x + self.drop(self.attention(self.attention_norm(x)))
        return x + self.drop(self.mlp(self.mlp_norm(x)))


def stack(depth: int, width: int, heads: int, length: int, **options: Any) -> nn.Sequential:
    """`depth` blocks with `options` and a last norm; weights that write to the stream shrink with the depth.

    Source of the scale: Radford et al. (2019), GPT-2, section 2.3. Raises `Refusal` as `Block` does.
    """
    positive(depth=depth)
    blocks = [Block(width, heads, length, **options) for _ in range(depth)]
    for block in blocks:
        for linear in (block.attention.qkv, block.attention.out, block.mlp[0], block.mlp[2]):
            nn.init.normal_(linear.weight, std=1 / math.sqrt(linear.in_features))
        for linear in (block.attention.out, block.mlp[2]):
            linear.weight.data /= math.sqrt(2 * depth)
    return nn.Sequential(*blocks, nn.LayerNorm(width, bias=False))

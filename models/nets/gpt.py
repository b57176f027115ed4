"""A causal decoder: each position predicts from itself and those before it."""

import math
from collections.abc import Sequence
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from models.nets.block import stack
from models.nets.shapes import TOKEN_TASKS, positive, sizes
from models.nets.sharing import layers
from refusal import Refusal


class Decoder(Protocol):
    """The parts that the dense decoder and the one with experts have under the same names."""

    embedding: nn.Embedding
    positions: nn.Parameter | None
    scale: float
    blocks: nn.Sequential
    head: nn.Linear | None
    length: int

    def state_bytes(self, length: int) -> int:
        """What inference keeps of `length` tokens read."""
        ...


@final
class GPT(nn.Module):
    """Pre-norm decoder on tokens: (B, T) int64 -> (B, T, classes), T up to `shape[0]`.

    `positions` are `rotary` or `learned`; `tied` reads out with the embedding's own weights (Press and Wolf
    2016, arXiv 1608.05859). `blocks` are the options of `stack`: mixers, sharing, the feed-forward networks.
    Source: Radford et al. (2019), GPT-2. Raises `Refusal` for data that is not tokens, and as `stack` does.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        task: str = "language",
        *,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        positions: str = "rotary",
        tied: bool = False,
        **blocks: Any,
    ) -> None:
        super().__init__()
        positive(classes=classes, width=width)
        length = _length(sizes(shape), task, positions)
        self.embedding = nn.Embedding(classes, width)
        # Of deviation 1 in the stream, where the blocks add about as much, and small where it is read out.
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.scale = math.sqrt(width)
        learned = positions == "learned"
        self.positions = nn.Parameter(torch.randn(length, width) * 0.1) if learned else None
        self.length = length
        self.blocks = stack(depth, width, heads, length, causal=True, rotary=not learned, **blocks)
        self.head = None if tied else nn.Linear(width, classes, bias=False)

    def forward(self: Decoder, x: Tensor) -> Tensor:
        """Logits of every position."""
        stream = self.scale * self.embedding(x)  # (B, T, width)
        if self.positions is not None:
            stream = stream + self.positions[: x.shape[1]]
        stream = self.blocks(stream)
        return linear(stream, self.embedding.weight) if self.head is None else self.head(stream)

    def state_bytes(self: Decoder, length: int) -> int:
        """What inference keeps of `length` tokens read, per sequence, over all layers."""
        return sum(block.mixer.state_bytes(length) for block in layers(self.blocks))

    def metrics(self: Decoder) -> dict[str, float]:
        """`state/bytes` at the full length, in the type of the weights."""
        return {"state/bytes": float(self.state_bytes(self.length))}


def _length(shape: tuple[int, ...], task: str, positions: str) -> int:
    if task not in TOKEN_TASKS or len(shape) != 1:
        raise Refusal(
            "model=gpt predicts tokens: choose data=pytext or data=mqar, or model=transformer to classify."
        )
    if positions not in ("rotary", "learned"):
        raise Refusal(f"model.positions '{positions}' is unknown: choose rotary or learned.")
    return shape[0]

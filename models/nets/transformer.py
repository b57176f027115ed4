"""A transformer encoder that classifies signals and images cut into patches, or tokens."""

import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from models.nets.block import stack
from models.nets.padding import PADDING, mean_of, present
from models.nets.shapes import one_answer, positive, sizes
from refusal import Refusal


@final
class Transformer(nn.Module):
    """Patches of `patch` points or `patch` x `patch` pixels, learned positions, blocks, mean, read-out.

    (B, C, L) or (B, C, H, W) float -> (B, classes). With shape (T,) and a `vocabulary` it reads (B, T) int64
    tokens instead, of which 0 is padding: nobody sees it and the mean leaves it out, so that an answer does
    not depend on how far a text was padded. `blocks` are the options of `stack`: mixers that see both ways,
    sharing, linear layers.
    Source: Dosovitskiy et al. (2020), ViT, arXiv 2010.11929, with the mean over patches in place of a class
    token. Raises `Refusal` when the patch does not divide the input, the task wants one answer per token, and
    as `stack` does.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        task: str = "classification",
        *,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        patch: int = 4,
        vocabulary: int | None = None,
        **blocks: Any,
    ) -> None:
        super().__init__()
        one_answer("transformer", task)
        positive(classes=classes, patch=patch, width=width)
        self.patch, self.dims = patch, len(sizes(shape)) - 1
        length, features = _patches(sizes(shape), patch)
        self.embedding = _embedding(self.dims, features, vocabulary, width)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
        self.blocks = stack(depth, width, heads, length, causal=False, rotary=False, **blocks)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        stream = self.embedding(self._cut(x)) + self.positions  # (B, T, width)
        if self.dims:
            return self.head(self.blocks(stream).mean(1))
        there = present(x)
        *layers, norm = self.blocks
        for layer in layers:
            stream = layer(stream, there)
        return self.head(mean_of(norm(stream), there))

    def _cut(self, x: Tensor) -> Tensor:
        """(B, patches, values per patch), patches in reading order."""
        if self.dims == 0:
            return x
        for dim in range(2, 2 + self.dims):
            # Each cut leaves its patches in place and moves the points inside to the end.
            x = x.unflatten(dim, (-1, self.patch)).movedim(dim + 1, -1)
        return x.movedim(1, 1 + self.dims).flatten(1, self.dims).flatten(2)


def _patches(shape: tuple[int, ...], patch: int) -> tuple[int, int]:
    """How many patches, and values in each."""
    if len(shape) == 1:
        return shape[0], 1
    channels, *space = shape
    if any(size % patch for size in space):
        raise Refusal(f"model.patch {patch} does not divide an input of {space}: choose one that does.")
    return math.prod(size // patch for size in space), channels * patch ** len(space)


def _embedding(dims: int, features: int, vocabulary: int | None, width: int) -> nn.Module:
    if dims:
        return nn.Linear(features, width)
    if vocabulary is None:
        raise Refusal(
            "model=transformer reads data with one axis as tokens: choose data=text, or set "
            "model.vocabulary to how many there are, or choose model=mlp for plain features."
        )
    return nn.Embedding(vocabulary, width, padding_idx=PADDING)

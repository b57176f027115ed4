"""Attention without softmax: a state of fixed size that sums keys times values."""

import math
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import elu, pad

from models.nets.mixers.chunks import CHUNK, cut, in_float32, joined
from models.nets.mixers.mixer import Mixer

_SMALLEST = 1e-6


@final
class LinearAttention(Mixer):
    """f(q) S / f(q) z with S = sum f(k) v^T, z = sum f(k), f = elu + 1: O(T) time, a state of D x (D + 1).

    The sums run over all positions, or over those up to each where `causal`. Positions have no rotation.
    Source: Katharopoulos et al. (2020), arXiv 2006.16236, equations 5 to 12. Raises `Refusal` as `Mixer`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        length: int,
        *,
        causal: bool,
        kv_heads: int | None = None,
        convolution: int = 0,
    ) -> None:
        super().__init__(width, heads, length, rotary=False, kv_heads=kv_heads, convolution=convolution)
        self.causal = causal

    def mix(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, there: Tensor | None = None) -> Tensor:
        """Values weighted by f(q) f(k)."""
        if there is not None:
            # elu + 1 of it is 0: a key that weighs nothing.
            k = k.masked_fill(~there[:, None, :, None], -math.inf)
        return (causal_sums if self.causal else whole_sums)(q, self.spread(k), self.spread(v))

    def state_bytes(self, length: int) -> int:
        """The sums, whatever the length."""
        width = self.head_width
        return self.bytes_of(self.kv_heads * width * (width + 1) + self.convolved())


@in_float32
def causal_sums(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The chunked form for q, k, v (B, H, T, D)."""
    length = q.shape[2]
    size = min(CHUNK, length)
    # A value of 1 beside the others sums up the weights.
    q, k, v = (cut(part, size) for part in (elu(q) + 1, elu(k) + 1, pad(v, (0, 1), value=1.0)))
    states = k.transpose(-1, -2) @ v  # (B, H, N, D, D + 1), of each chunk
    before = pad(states[:, :, :-1], (0, 0, 0, 0, 1, 0)).cumsum(2)
    sums = (q @ k.transpose(-1, -2)).tril() @ v + q @ before
    return joined(_mean(sums), length)


@in_float32
def whole_sums(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every position sees all, (B, H, T, D)."""
    state = (elu(k) + 1).transpose(-1, -2) @ pad(v, (0, 1), value=1.0)
    return _mean((elu(q) + 1) @ state)


def _mean(sums: Tensor) -> Tensor:
    return sums[..., :-1] / torch.clamp(sums[..., -1:], min=_SMALLEST)

"""Retention with a gate: a state that sums keys times values and forgets at a rate that the input sets."""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from models.nets.mixers.chunks import CHUNK, cut, in_float32, joined
from models.nets.mixers.mixer import Mixer

SLOWNESS = 16
"""the root that is taken of the gate, so that states fade over tens of positions and not over one"""


@final
class GatedRetention(Mixer):
    """S_t = a_t S_{t-1} + k_t v_t^T, read as norm(q_t S_t / sqrt(D)): O(T) time, a state of D x D per head.

    a_t = sigmoid(x_t W + b) ^ (1/16), one number per head; b starts as RetNet's fixed rates
    1 - 2^(-5 - head). Source: Sun et al. (2023), RetNet, arXiv 2307.08621, equations 5 to 7, with the gate of
    Sun et al. (2024), arXiv 2405.05254, section 3.1. Left out: rotations, and the gate on what is read out.
    Raises `Refusal` as `Mixer` does.
    """

    def __init__(
        self, width: int, heads: int, length: int, *, kv_heads: int | None = None, convolution: int = 0
    ) -> None:
        super().__init__(width, heads, length, rotary=False, kv_heads=kv_heads, convolution=convolution)
        self.gate = nn.Linear(width, self.kv_heads)
        nn.init.normal_(self.gate.weight, std=1 / math.sqrt(width))
        kept = (1 - 2.0 ** -(5 + torch.arange(self.kv_heads) % 8)) ** SLOWNESS
        self.gate.bias.data = torch.logit(kept)
        self.norm = nn.RMSNorm(self.head_width, eps=1e-5)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, there: Tensor | None = None) -> Tensor:
        """Values weighted by q k and by what was kept since."""
        fading = logsigmoid(self.gate(x).float()).transpose(1, 2) / SLOWNESS  # (B, kv heads, T)
        mixed = retain(q, self.spread(k), self.spread(v), self.spread(fading))
        return self.norm(mixed.to(self.norm.weight.dtype)).to(v.dtype)

    def state_bytes(self, length: int) -> int:
        """The state, whatever the length."""
        return self.bytes_of(self.kv_heads * self.head_width**2 + self.convolved())


@in_float32
def retain(q: Tensor, k: Tensor, v: Tensor, fading: Tensor) -> Tensor:
    """The chunked form for q, k, v (B, H, T, D) and log rates `fading` (B, H, T), at most 0."""
    length = q.shape[2]
    size = min(CHUNK, length)
    q, k, v = (cut(part, size) for part in (q / math.sqrt(q.shape[-1]), k, v))
    faded = cut(fading[..., None], size).cumsum(3)  # (B, H, N, size, 1), since the chunk began
    last = faded[..., -1:, :]
    states = (k * (last - faded).exp()).transpose(-1, -2) @ v  # (B, H, N, D, D), of each chunk
    before = _carried(states, last.exp())
    since = torch.ones(size, size, dtype=torch.bool, device=q.device).tril()
    kept = (faded - faded.transpose(-1, -2)).masked_fill(~since, -math.inf).exp()
    mixed = (q @ k.transpose(-1, -2) * kept) @ v + (q * faded.exp()) @ before
    return joined(mixed, length)


def _carried(states: Tensor, rates: Tensor) -> Tensor:
    """What each chunk finds: the states of all before, faded."""
    state, before = torch.zeros_like(states[:, :, 0]), []
    for own, rate in zip(states.unbind(2), rates.unbind(2), strict=True):
        before.append(state)
        state = state * rate + own
    return torch.stack(before, 2)

"""The delta rule: a state that replaces what it held for a key, where linear attention only adds."""

import math
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, silu
from torch.utils.flop_counter import register_flop_formula

from models.nets.mixers.chunks import CHUNK, cut, in_float32, joined
from models.nets.mixers.mixer import Mixer


@final
class DeltaRule(Mixer):
    """S_t = S_{t-1} + b_t k_t (v_t - k_t S_{t-1})^T, read as norm(q_t S_t): O(T) time, D x D numbers a head.

    b_t = sigmoid(x_t W), one number per head; k and q are silu(.) of length 1. Source: Yang et al. (2024),
    DeltaNet, arXiv 2406.06484, section 3; the rule: Schlag et al. (2021), arXiv 2102.11174.
    Raises `Refusal` as `Mixer` does.
    """

    def __init__(
        self, width: int, heads: int, length: int, *, kv_heads: int | None = None, convolution: int = 0
    ) -> None:
        super().__init__(width, heads, length, rotary=False, kv_heads=kv_heads, convolution=convolution)
        self.rate = nn.Linear(width, self.kv_heads, bias=False)
        nn.init.normal_(self.rate.weight, std=1 / math.sqrt(width))
        self.norm = nn.RMSNorm(self.head_width, eps=1e-5)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, there: Tensor | None = None) -> Tensor:
        """What the state holds for each query."""
        rates = self.rate(x).sigmoid().transpose(1, 2)  # (B, kv heads, T)
        q, k = (normalize(silu(part.float()), dim=-1) for part in (q, k))
        mixed = replace(q, self.spread(k), self.spread(v), self.spread(rates))
        return self.norm(mixed.to(self.norm.weight.dtype)).to(v.dtype)

    def state_bytes(self, length: int) -> int:
        """The state, whatever the length."""
        return self.bytes_of(self.kv_heads * self.head_width**2 + self.convolved())


@in_float32
def replace(q: Tensor, k: Tensor, v: Tensor, rates: Tensor) -> Tensor:
    """The chunked form for q, k, v (B, H, T, D) and rates (B, H, T).

    Within a chunk the writes depend on each other linearly: (I + tril(b k k^T, -1)) u = b (v - k S). That is
    solved for b v and b k at once, before S is known (the WY form, section 3.2, equations 10 and 11).
    """
    length = q.shape[2]
    size = min(CHUNK, length)
    q, k, v, rates = (cut(part, size) for part in (q, k, v, rates[..., None]))
    scaled = k * rates
    mixing = (scaled @ k.transpose(-1, -2)).tril(-1)
    # By substitution: the inverse as a product of powers takes 8 times as long and, for one key again and
    # again, is off by 4e11 where this is off by 1e-6.
    right = torch.cat([v * rates, scaled], -1)
    solved = torch.linalg.solve_triangular(mixing, right, upper=False, unitriangular=True)
    new, old = solved.split((v.shape[-1], k.shape[-1]), -1)
    before, writes = _carried(k, new, old)
    return joined(q @ before + (q @ k.transpose(-1, -2)).tril() @ writes, length)


def _carried(k: Tensor, new: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
    """The state that each chunk finds, (B, H, N, D, D), and what it writes, (B, H, N, size, D)."""
    state, before, writes = k.new_zeros(*k.shape[:2], k.shape[-1], new.shape[-1]), [], []
    for keys, fresh, held in zip(k.unbind(2), new.unbind(2), old.unbind(2), strict=True):
        before.append(state)
        writes.append(fresh - held @ state)
        state = state + keys.transpose(-1, -2) @ writes[-1]
    return torch.stack(before, 2), torch.stack(writes, 2)


@register_flop_formula(torch.ops.aten.linalg_solve_triangular)
def _flops(matrix: Any, right: Any, *args: Any, out_shape: Any = None, **options: Any) -> int:
    """Two operations for each multiply-add of the substitution, which torch has no formula for."""
    return math.prod(right) * right[-2]

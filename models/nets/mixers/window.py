"""Softmax attention to the nearest positions, cut into blocks so that what is masked is not computed."""

from typing import final

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from models.nets.mixers.chunks import cut, joined
from models.nets.mixers.mixer import Mixer
from models.nets.shapes import positive


@final
class WindowAttention(Mixer):
    """Each position attends to the `window` last ones, itself among them: O(T x window) time and memory.

    Without `causal` it sees window - 1 positions to either side. Source: Child et al. (2019), arXiv
    1904.10509; Beltagy et al. (2020), Longformer, arXiv 2004.05150, section 3.1. Raises `Refusal` as `Mixer`
    does, and for a window below one.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        length: int,
        *,
        causal: bool,
        rotary: bool,
        window: int,
        kv_heads: int | None = None,
        convolution: int = 0,
    ) -> None:
        super().__init__(width, heads, length, rotary=rotary, kv_heads=kv_heads, convolution=convolution)
        positive(window=window)
        self.causal, self.window = causal, window

    def mix(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, there: Tensor | None = None) -> Tensor:
        """Softmax attention within the band."""
        k, v = self.spread(k), self.spread(v)
        if q.shape[2] <= self.window:
            seen = None if there is None else there[:, None, None]
            return scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=self.causal)
        return banded(q, k, v, self.window, causal=self.causal, there=there)

    def state_bytes(self, length: int) -> int:
        """The cache of the last keys and values."""
        kept = min(length, self.window) * self.kv_heads * self.head_width
        return self.bytes_of(2 * kept + self.convolved())


def banded(
    q: Tensor, k: Tensor, v: Tensor, window: int, *, causal: bool, there: Tensor | None = None
) -> Tensor:
    """Attention (B, H, T, D) within a band, by blocks of `window` queries.

    Each block of queries sees its own block of keys and the one before, and the one after unless `causal`;
    the mask takes from those what is too far, and what is not `there` (B, T).
    """
    length, sides = q.shape[2], 1 if causal else 2
    q, k, v = (cut(part, window) for part in (q, k, v))  # (B, H, N, window, D)
    near = [_neighbours(part, sides) for part in (k, v)]  # (B, H, N, (1 + sides) * window, D)
    mask = _band(q.shape[2], window, sides, length, q.device)
    if there is not None:
        mask = _with_padding(mask, there, window, sides).repeat_interleave(q.shape[1], 0)
    # Batch and heads are one dimension, blocks the other, over which the mask differs.
    query, key, value = (part.flatten(0, 1) for part in (q, *near))
    mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return joined(mixed.unflatten(0, q.shape[:2]), length)


def _with_padding(mask: Tensor, there: Tensor, window: int, sides: int) -> Tensor:
    """(B, N, window, keys) of (N, window, keys): without keys of padding, which see themselves alone."""
    keys = _neighbours(cut(there[:, None, :, None], window), sides).squeeze(-1).squeeze(1).unsqueeze(2)
    itself = (
        torch.arange(mask.shape[-1], device=mask.device)
        == torch.arange(window, device=mask.device)[:, None] + window
    )
    return (mask & keys) | itself


def _neighbours(blocks: Tensor, sides: int) -> Tensor:
    """Each block between the one before and, for two sides, the one after."""
    count = blocks.shape[2]
    wide = pad(blocks, (0, 0, 0, 0, 1, sides - 1))
    return torch.cat([wide[:, :, start : start + count] for start in range(1 + sides)], 3)


def _band(count: int, window: int, sides: int, length: int, device: torch.device) -> Tensor:
    """(N, window, (1 + sides) * window), true where a query sees a key."""
    first = torch.arange(count, device=device)[:, None, None] * window
    query = first + torch.arange(window, device=device)[:, None]
    key = first - window + torch.arange((1 + sides) * window, device=device)
    behind = query - key
    near = (behind < window) & (behind >= (0 if sides == 1 else 1 - window))
    # A query that only fills the last block sees itself: a row without any key would be not a number.
    return near & (key >= 0) & ((key < length) | (behind == 0))

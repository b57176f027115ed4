"""Multi-head attention through PyTorch's fused kernel, with rotary positions where asked."""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from refusal import Refusal


@final
class Attention(nn.Module):
    """Self-attention: (B, T, width) -> (B, T, width), T up to `length`.

    Source: Vaswani et al. (2017), arXiv 1706.03762; rotary positions: Su et al. (2021), arXiv 2104.09864.
    Raises `Refusal` when `heads` does not divide `width`, or leaves an odd width per head to rotate.
    Under vmap the CPU's flash kernel has no batching rule: wrap the call in
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`, or each network is run on its own, with a warning.
    """

    def __init__(self, width: int, heads: int, length: int, *, causal: bool, rotary: bool) -> None:
        super().__init__()
        if width % heads:
            raise Refusal(
                f"model.heads {heads} does not divide model.width {width}: choose heads that divide it."
            )
        if rotary and width // heads % 2:
            raise Refusal(
                f"model.width {width} over model.heads {heads} is odd, and rotary positions turn pairs: "
                "choose an even quotient, or model.positions=learned."
            )
        self.heads, self.causal, self.rotary = heads, causal, rotary
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        if rotary:
            cosine, sine = _angles(width // heads, length)
            self.register_buffer("cosine", cosine, persistent=False)
            self.register_buffer("sine", sine, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Each position's mixture of what it may see."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, heads, T, D)
        # Split and unbind, not indices: the gradient of an index fills a tensor of zeros each time.
        qk, v = qkv.split((2, 1))
        q, k = (self._turn(qk) if self.rotary else qk).unbind()
        mixed = scaled_dot_product_attention(q, k, v.squeeze(0), is_causal=self.causal)  # (B, heads, T, D)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _turn(self, qk: Tensor) -> Tensor:
        steps = qk.shape[-2]
        left, right = qk.chunk(2, -1)
        cosine, sine = self.cosine[:steps].to(qk.dtype), self.sine[:steps].to(qk.dtype)
        return torch.cat([left * cosine - right * sine, left * sine + right * cosine], -1)


def _angles(width: int, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine (length, width / 2) of position * 10000 ** (-2 i / width)."""
    speeds = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.outer(torch.arange(length).float(), speeds)
    return angles.cos(), angles.sin()

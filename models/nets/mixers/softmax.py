"""Multi-head attention through PyTorch's fused kernel, with rotary positions where asked."""

from typing import final

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.nets.mixers.mixer import Mixer


@final
class Attention(Mixer):
    """Softmax attention: (B, T, width) -> (B, T, width), T up to `length`, in O(T^2) time.

    Source: Vaswani et al. (2017), arXiv 1706.03762. Raises `Refusal` as `Mixer` does.
    Under vmap the CPU's flash kernel has no batching rule: wrap the call in
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`, or each network is run on its own, with a warning.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        length: int,
        *,
        causal: bool,
        rotary: bool,
        kv_heads: int | None = None,
        convolution: int = 0,
    ) -> None:
        super().__init__(width, heads, length, rotary=rotary, kv_heads=kv_heads, convolution=convolution)
        self.causal = causal

    def mix(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, there: Tensor | None = None) -> Tensor:
        """softmax(q k / sqrt(D)) v over all positions, or those up to each."""
        grouped = self.groups > 1
        seen = None if there is None else there[:, None, None]
        return scaled_dot_product_attention(
            q, k, v, attn_mask=seen, is_causal=self.causal, enable_gqa=grouped
        )

    def state_bytes(self, length: int) -> int:
        """The cache of all keys and values."""
        return self.bytes_of(2 * length * self.kv_heads * self.head_width + self.convolved())

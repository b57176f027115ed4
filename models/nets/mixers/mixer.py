"""What every sequence mixer is: queries, keys and values of each head in, a mixture of values out."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from models.nets.mixers.convolution import ShortConvolution
from refusal import Refusal


class Mixer(nn.Module, ABC):
    """Mixes positions, (B, T, width) -> (B, T, width), T up to `length`; one fused projection, one read-out.

    Keys and values have `kv_heads` heads, each read by heads / kv_heads queries (Ainslie et al. 2023,
    arXiv 2305.13245). With `rotary`, queries and keys turn with their position (Su et al. 2021,
    arXiv 2104.09864). With a `convolution` of so many taps all three are mixed with their last neighbours
    first, for mixers that are causal. Raises `Refusal` when `heads` does not divide `width`, `kv_heads` does
    not divide `heads`, or an odd width per head is left to rotate.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(
        self,
        width: int,
        heads: int,
        length: int,
        *,
        rotary: bool,
        kv_heads: int | None = None,
        convolution: int = 0,
    ) -> None:
        super().__init__()
        kv_heads = _fitting(width, heads, kv_heads, rotary)
        self.heads, self.groups, self.rotary = heads, heads // kv_heads, rotary
        # D, the width of each head, which pruned heads leave as it is. Not read off the layers: a compression
        # puts others in their place.
        self.head_width = width // heads
        self.qkv = nn.Linear(width, width + 2 * kv_heads * (width // heads), bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.convolution = ShortConvolution(self.qkv.out_features, convolution) if convolution else None
        if rotary:
            cosine, sine = _angles(width // heads, length)
            self.register_buffer("cosine", cosine, persistent=False)
            self.register_buffer("sine", sine, persistent=False)

    @abstractmethod
    def mix(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, there: Tensor | None = None) -> Tensor:
        """Mixture for each position, (B, heads, T, D), of q (B, heads, T, D), k and v (B, kv heads, T, D).

        `x` (B, T, width) is what they were made of, for gates. `there` (B, T) bool says which positions are
        none of padding, which nobody sees then; mixers that read forwards only are never given it.
        """

    @abstractmethod
    def state_bytes(self, length: int) -> int:
        """What inference keeps of `length` positions read, per sequence, in the type of the weights."""

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """Each position's mixture of what it may see."""
        qkv = self.qkv(x)
        if self.convolution is not None:
            qkv = self.convolution(qkv)
        mixed = self.mix(*self._heads(qkv), x, there)  # (B, heads, T, D)
        return self.out(mixed.transpose(1, 2).flatten(2))

    @property
    def kv_heads(self) -> int:
        """How many heads keys and values have."""
        return self.heads // self.groups

    def bytes_of(self, numbers: int) -> int:
        """Bytes of so many numbers in the type of the weights, float32 where those are no floats."""
        sizes = [weight.element_size() for weight in self.parameters() if weight.is_floating_point()]
        return numbers * (sizes[0] if sizes else 4)

    def convolved(self) -> int:
        """How many numbers the short convolution keeps."""
        if self.convolution is None:
            return 0
        return (len(self.convolution.weight) - 1) * (self.heads + 2 * self.kv_heads) * self.head_width

    def spread(self, shared: Tensor) -> Tensor:
        """(B, kv heads, ...) -> (B, heads, ...), each head of keys or values for all queries that read it."""
        return shared if self.groups == 1 else shared.repeat_interleave(self.groups, 1)

    def _heads(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.groups == 1:
            qkv = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, heads, T, D)
            # Split and unbind, not indices: the gradient of an index fills a tensor of zeros each time.
            qk, v = qkv.split((2, 1))
            q, k = (self._turn(qk) if self.rotary else qk).unbind()
            return q, k, v.squeeze(0)
        heads = qkv.unflatten(-1, (self.heads + 2 * self.kv_heads, -1)).transpose(1, 2)
        q, k, v = heads.split((self.heads, self.kv_heads, self.kv_heads), 1)
        return (self._turn(q), self._turn(k), v) if self.rotary else (q, k, v)

    def _turn(self, qk: Tensor) -> Tensor:
        steps = qk.shape[-2]
        left, right = qk.chunk(2, -1)
        cosine, sine = self.cosine[:steps].to(qk.dtype), self.sine[:steps].to(qk.dtype)
        return torch.cat([left * cosine - right * sine, left * sine + right * cosine], -1)


def _fitting(width: int, heads: int, kv_heads: int | None, rotary: bool) -> int:
    """`kv_heads`, which default to `heads`, when all divide; else a `Refusal` with what would fit."""
    kv_heads = heads if kv_heads is None else kv_heads
    if width % heads:
        raise Refusal(
            f"model.heads {heads} does not divide model.width {width}: choose one of {_divisors(width)}."
        )
    if kv_heads < 1 or heads % kv_heads:
        raise Refusal(
            f"model.kv_heads {kv_heads} does not divide model.heads {heads}: choose one of "
            f"{_divisors(heads)}, or null for all."
        )
    if rotary and width // heads % 2:
        raise Refusal(
            f"model.width {width} over model.heads {heads} is odd, and rotary positions turn pairs: "
            "choose an even quotient, or model.positions=learned."
        )
    return kv_heads


def _divisors(number: int) -> str:
    return ", ".join(str(part) for part in range(1, min(number, 64) + 1) if number % part == 0)


def _angles(width: int, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine (length, width / 2) of position * 10000 ** (-2 i / width)."""
    speeds = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.outer(torch.arange(length).float(), speeds)
    return angles.cos(), angles.sin()

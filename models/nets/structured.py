"""Linear layers of fewer weights than a dense one, to put in place of `nn.Linear`."""

import math
from typing import final

import torch
from torch import Tensor, nn

from refusal import Refusal

KINDS = ("dense", "low_rank", "grouped", "monarch")
"""what `linear` can build, and what `model.linear` may name"""


def linear(
    kind: str, in_features: int, out_features: int, bias: bool = True, *, share: float = 0.5, blocks: int = 4
) -> nn.Module:
    """A layer (..., in_features) -> (..., out_features) whose outputs vary as those of a fresh `nn.Linear`.

    `dense` has in x out weights. `low_rank` has at most `share` of them, its rank is what fits. `grouped` has
    in x out / `blocks` of them. `monarch` has min(in, out) x (in + out) / `blocks`, of square layers twice as
    many as `grouped`, and mixes all inputs into each output. Multiply-adds per position are as many as
    weights, but the clock gains later. With half the weights, 64 rows and one thread of a CPU, `monarch` ran
    at 0.3 and `low_rank` at 0.5 of the dense layer's speed at 64 features, at 0.8 and 1.4 at 256, at 1.3 and
    1.7 at 512, at 3.1 and 2.8 at 2,048; a single row gains from 1,024 features on.

    Raises:
        Refusal: the kind is unknown, or its setting does not fit the sizes.
    """
    match kind:
        case "dense":
            return nn.Linear(in_features, out_features, bias)
        case "low_rank":
            return LowRank(in_features, out_features, rank_of(share, in_features, out_features), bias)
        case "grouped":
            return Grouped(in_features, out_features, blocks, bias)
        case "monarch":
            return Monarch(in_features, out_features, blocks, bias)
        case _:
            raise Refusal(f"model.linear '{kind}' is unknown: choose one of {', '.join(KINDS)}.")


def rank_of(share: float, in_features: int, out_features: int) -> int:
    """The largest rank with at most `share` of the dense layer's weights, and at least 1."""
    if not 0 < share <= 1:
        raise Refusal(f"model.linear_share {share} is no share of weights: set it above 0 and at most 1.")
    return max(1, int(share * in_features * out_features / (in_features + out_features)))


@final
class LowRank(nn.Module):
    """y = U V x + bias with V (rank, in) and U (out, rank): rank x (in + out) weights and multiply-adds.

    Fewer than a dense layer's below a rank of in x out / (in + out), half the width of a square layer. Two
    plain `nn.Linear`, so what prunes or quantises those works here. V gives its outputs the variance of the
    inputs, so that the whole is a fresh dense layer's in variance.
    Source: Sainath et al. (2013), ICASSP; Khodak et al. (2021), arXiv 2105.01029, for the start.
    Raises `Refusal` for a rank below 1 or above min(in, out).
    """

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool = True) -> None:
        super().__init__()
        if not 1 <= rank <= min(in_features, out_features):
            raise Refusal(
                f"Rank {rank} does not fit a layer of {in_features} to {out_features}: "
                f"choose 1 to {min(in_features, out_features)}."
            )
        self.in_features, self.out_features, self.rank = in_features, out_features, rank
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = nn.Linear(rank, out_features, bias)
        nn.init.uniform_(self.down.weight, -math.sqrt(3 / in_features), math.sqrt(3 / in_features))
        if bias:
            _like_dense(self.up.bias, in_features)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        return self.up(self.down(x))


@final
class Grouped(nn.Module):
    """Block-diagonal: `blocks` layers side by side, then a shuffle so that the next layer's groups mix.

    in x out / blocks weights and multiply-adds. An output sees in / blocks inputs, so one such layer alone is
    weak and two in a row see everything. Each block is initialised as a dense layer of its own inputs.
    Source: Zhang et al. (2018), ShuffleNet, arXiv 1707.01083, figure 1.
    Raises `Refusal` unless `blocks` divides both sides.
    """

    def __init__(self, in_features: int, out_features: int, blocks: int, bias: bool = True) -> None:
        super().__init__()
        _divides(blocks, in_features, out_features)
        self.in_features, self.out_features, self.blocks = in_features, out_features, blocks
        fan = in_features // blocks
        self.weight = _weight(blocks, fan, out_features // blocks, 1 / math.sqrt(fan))
        self.bias = _bias(bias, in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        rows = x.reshape(-1, self.in_features)
        return _finish(_shuffled(rows, self.weight), self.bias, x)


@final
class Monarch(nn.Module):
    """Two block-diagonal factors with a shuffle between and after: every output sees every input.

    y = P L P R x + bias: R has `blocks` blocks of (in / blocks, m / blocks), L of (m / blocks, out / blocks),
    with m = min(in, out), so m x (in + out) / blocks weights and multiply-adds. R keeps the variance of its
    inputs and L is initialised as a dense layer.
    Source: Dao et al. (2022), Monarch, arXiv 2204.00595, section 3.1; rectangular as in their code, without
    its padding. Raises `Refusal` unless `blocks` divides both sides and its square is at most m: above that
    an output would not see every input.
    """

    def __init__(self, in_features: int, out_features: int, blocks: int, bias: bool = True) -> None:
        super().__init__()
        _divides(blocks, in_features, out_features)
        middle = min(in_features, out_features)
        if blocks * blocks > middle:
            raise Refusal(
                f"model.linear_blocks {blocks} is too many for a monarch layer of {in_features} to "
                f"{out_features}: choose at most {math.isqrt(middle)}."
            )
        self.in_features, self.out_features, self.blocks = in_features, out_features, blocks
        fans = in_features // blocks, middle // blocks
        self.first = _weight(blocks, fans[0], fans[1], math.sqrt(3 / fans[0]))
        self.second = _weight(blocks, fans[1], out_features // blocks, 1 / math.sqrt(fans[1]))
        self.bias = _bias(bias, in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        rows = x.reshape(-1, self.in_features)
        return _finish(_shuffled(_shuffled(rows, self.first), self.second), self.bias, x)


def _shuffled(rows: Tensor, weight: Tensor) -> Tensor:
    """Each block's product, then one feature of every block in turn: (N, in) -> (N, out)."""
    parts = rows.unflatten(1, (len(weight), -1)).transpose(0, 1)  # (blocks, N, in / blocks)
    return torch.bmm(parts, weight).permute(1, 2, 0).reshape(len(rows), -1)


def _finish(rows: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    out = rows if bias is None else rows + bias
    return out.reshape(*x.shape[:-1], out.shape[-1])


def _weight(blocks: int, fan_in: int, fan_out: int, bound: float) -> nn.Parameter:
    return nn.Parameter(torch.empty(blocks, fan_in, fan_out).uniform_(-bound, bound))


def _bias(wanted: bool, in_features: int, out_features: int) -> nn.Parameter | None:
    return _like_dense(nn.Parameter(torch.empty(out_features)), in_features) if wanted else None


def _like_dense(bias: nn.Parameter, in_features: int) -> nn.Parameter:
    nn.init.uniform_(bias, -1 / math.sqrt(in_features), 1 / math.sqrt(in_features))
    return bias


def _divides(blocks: int, in_features: int, out_features: int) -> None:
    if blocks < 1 or in_features % blocks or out_features % blocks:
        fitting = [n for n in (2, 4, 8, 16) if in_features % n == 0 and out_features % n == 0]
        advice = f"one of {', '.join(map(str, fitting))}" if fitting else "model.linear=low_rank"
        raise Refusal(
            f"model.linear_blocks {blocks} does not divide {in_features} inputs and {out_features} outputs: "
            f"choose {advice}."
        )

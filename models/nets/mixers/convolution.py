"""The short convolution that lets a mixer without positions see a token's neighbours."""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


@final
class ShortConvolution(nn.Module):
    """Each feature's weighted sum over the last `taps` positions: (B, T, features) -> (B, T, features).

    Source: Fu et al. (2023), H3, arXiv 2212.14052 (the shift); Arora et al. (2023), Zoology, arXiv
    2312.04927. As a sum of shifted products: as fast on a CPU as a grouped convolution, without its
    transposes.
    """

    def __init__(self, features: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(taps, features).uniform_(-1, 1) / math.sqrt(taps))

    def forward(self, x: Tensor) -> Tensor:
        """The sum; positions before the first are zero."""
        taps, length = len(self.weight), x.shape[1]
        padded = pad(x, (0, 0, taps - 1, 0))
        products = [
            padded[:, taps - 1 - tap : taps - 1 - tap + length] * self.weight[tap] for tap in range(taps)
        ]
        return sum(products[1:], products[0])

"""Sequences cut into chunks: quadratic inside a chunk, a state from one to the next, so linear in length."""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor
from torch.nn.functional import pad

CHUNK = 64
"""positions; of 16 to 256 the best or within 1.3 of it: training on a CPU, heads of 16 and of 64"""


def cut(x: Tensor, size: int) -> Tensor:
    """(B, H, T, D) -> (B, H, N, size, D), the last chunk filled with zeros."""
    missing = -x.shape[2] % size
    return (pad(x, (0, 0, 0, missing)) if missing else x).unflatten(2, (-1, size))


def joined(x: Tensor, length: int) -> Tensor:
    """(B, H, N, size, D) -> (B, H, length, D), without what `cut` filled in."""
    return x.flatten(2, 3)[:, :, :length]


def in_float32(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`kernel` in float32, for sums over thousands of positions; its result has its first input's type."""

    @wraps(kernel)
    def run(*inputs: Tensor) -> Tensor:
        given, device = inputs[0].dtype, inputs[0].device.type
        wide = [tensor.float() for tensor in inputs]
        if not torch.is_autocast_enabled(device):
            return kernel(*wide).to(given)
        with torch.autocast(device, enabled=False):
            return kernel(*wide).to(given)

    return run

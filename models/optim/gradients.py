"""The norm of all gradients together, and clipping to it, without a look from the host."""

import torch
from torch import Tensor


def norm_of(gradients: list[Tensor]) -> Tensor:
    """The 2-norm of all gradients as one vector, a scalar on their device; not finite if one is not."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def clip(gradients: list[Tensor], norm: Tensor, largest: float) -> None:
    """Scale gradients in place so that `norm`, which is theirs, becomes at most `largest`.

    Source: Pascanu et al. 2013, arXiv 1211.5063, algorithm 1; the 1e-6 is torch.nn.utils.clip_grad_norm_'s.
    """
    torch._foreach_mul_(gradients, (largest / (norm + 1e-6)).clamp(max=1.0))

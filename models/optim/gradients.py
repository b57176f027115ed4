"""Gradients of many parameters together: their norm, clipping to it, and who asks for curvature too."""

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class WantsCurvature(Protocol):
    """An optimizer that looks at the curvature of the loss now and then, before a step."""

    def curvature_due(self) -> bool:
        """Whether `curvature` is to be called before the next step."""
        ...

    def curvature(self, *passes: Callable[[], Tensor]) -> None:
        """Take in an estimate from the logits that `passes` compute, one for each piece of a batch."""
        ...


def gradients_of(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradients of those parameters that have one."""
    return [gradient for parameter in parameters if (gradient := parameter.grad) is not None]


def norm_of(gradients: list[Tensor]) -> Tensor:
    """The 2-norm of all gradients as one vector, a scalar on their device; not finite if one is not."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def clip(gradients: list[Tensor], norm: Tensor, largest: float) -> None:
    """Scale gradients in place so that `norm`, which is theirs, becomes at most `largest`.

    Source: Pascanu et al. 2013, arXiv 1211.5063, algorithm 1; the 1e-6 is torch.nn.utils.clip_grad_norm_'s.
    """
    torch._foreach_mul_(gradients, (largest / (norm + 1e-6)).clamp(max=1.0))

"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner, from pytorch_optimizer."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from torch.optim import Optimizer

from refusal import Refusal


def soap(
    params: Iterable[Any],
    lr: float = 0.01,
    betas: Sequence[float] = (0.95, 0.95),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    precondition_frequency: int = 10,
    max_precondition_dim: int = 1024,
) -> Optimizer:
    """pytorch_optimizer's SOAP; its first step moves nothing, since it only begins the preconditioner.

    Source: Vyas et al. 2024, arXiv 2409.11321, algorithm 3. The import costs 1.5 CPU seconds, which only the
    processes that use it pay.

    Raises:
        Refusal: a number is out of range.
    """
    if lr < 0.0 or weight_decay < 0.0:
        raise Refusal(f"optimizer.lr {lr} and optimizer.weight_decay {weight_decay} must be 0 or larger.")
    if not all(0.0 <= beta < 1.0 for beta in betas):
        raise Refusal(f"optimizer.betas {list(betas)} must lie in [0, 1).")
    if precondition_frequency < 1 or max_precondition_dim < 1:
        raise Refusal("optimizer.precondition_frequency and max_precondition_dim must be 1 or larger.")
    with warnings.catch_warnings():
        # It imports torch.distributed.tensor, which registers a kernel of torch's own twice, with a warning.
        warnings.filterwarnings("ignore", message="Warning only once for all operators")
        from pytorch_optimizer import SOAP
    rates: Any = tuple(betas)  # it takes two or three
    return SOAP(
        params,
        lr=lr,
        betas=rates,
        eps=eps,
        weight_decay=weight_decay,
        precondition_frequency=precondition_frequency,
        max_precondition_dim=max_precondition_dim,
    )

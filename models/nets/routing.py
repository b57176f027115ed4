"""Which tokens go to which experts: from scores (experts, B, T) to choices (experts, B, T), True where taken.

Experts come first, since a CPU reduces over a leading axis of 16 several times faster than over a last one.
Every rule treats each sequence by itself, so that an answer does not depend on what it is batched with.
"""

import math

import torch
from torch import Tensor


def token_choice(ranking: Tensor, chosen: int) -> Tensor:
    """Each token takes the `chosen` experts that rank highest for it.

    Source: Shazeer et al. (2017), arXiv 1701.06538; with one expert Fedus et al. (2021), arXiv 2101.03961.
    """
    taken = torch.zeros_like(ranking, dtype=torch.bool)
    for _ in range(chosen):
        # A CPU takes several times as long for argmax, and for topk of so few.
        best = ranking.max(0, keepdim=True).indices
        taken = taken.scatter(0, best, torch.ones_like(best, dtype=torch.bool))
        ranking = ranking.scatter(0, best, torch.full_like(ranking[:1], -math.inf))
    return taken


def within_capacity(taken: Tensor, capacity: float, chosen: int) -> Tensor:
    """Of each sequence an expert keeps the first tokens, `capacity` times its equal share, rounded up.

    First come, first served along the sequence, so that no token is dropped for the sake of a later one.
    Source: Fedus et al. (2021), eq. 3, with the sequence as the group.
    """
    most = math.ceil(capacity * chosen * taken.shape[2] / taken.shape[0])
    return taken & (taken.cumsum(2) <= most)


def expert_choice(ranking: Tensor, chosen: int) -> Tensor:
    """Each expert takes its equal share of each sequence, the tokens that rank highest for it.

    A token is taken by `chosen` experts in the mean, by none or by all as it comes. Whether it is taken
    depends on later tokens: in a causal model for training only. Source: Zhou et al. (2022), arXiv
    2202.09368.
    """
    experts, _, length = ranking.shape
    most = max(1, round(chosen * length / experts))
    best = ranking.topk(most, 2).indices
    return torch.zeros_like(ranking, dtype=torch.bool).scatter(
        2, best, torch.ones_like(best, dtype=torch.bool)
    )


def causal_expert_choice(ranking: Tensor, chosen: int) -> Tensor:
    """Each expert takes a token that ranks within its share of the sequence so far: what evaluation may see.

    An expert's load is its share in the mean if the order of tokens is exchangeable. Memory is B x T x T
    bytes, one expert at a time.
    """
    experts, _, length = ranking.shape
    seen = torch.arange(1, length + 1, device=ranking.device)
    room = (chosen * seen / experts).round()
    return torch.stack([_ahead(own) < room for own in ranking])


def _ahead(ranking: Tensor) -> Tensor:
    """How many earlier tokens of its sequence rank above each token of (B, T)."""
    above = ranking.unsqueeze(1) > ranking.unsqueeze(2)  # (B, T, T): [token, other]
    return above.tril().sum(2)

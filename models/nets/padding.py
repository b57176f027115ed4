"""Texts of several lengths in one batch: which places hold a token, and means over those alone."""

import torch
from torch import Tensor

PADDING = 0
"""token of a place behind the end of a text"""


def present(tokens: Tensor) -> Tensor:
    """(B, T) bool of (B, T) tokens; the first place counts in any case, so that no text is without one."""
    return (tokens != PADDING) | (torch.arange(tokens.shape[1], device=tokens.device) == 0)


def mean_of(states: Tensor, there: Tensor) -> Tensor:
    """(B, width), the mean of (B, T, width) over the places that are `there` (B, T)."""
    weights = there.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1)

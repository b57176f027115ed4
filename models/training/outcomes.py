"""What a network answered to each example of a test set, packed: what the examples add to a mean's variance.

The right answers of a classifier are kept one by one, a bit each (10,000 examples: 1.3 kB). Losses, and the
right tokens of a sequence, are kept as means of at most 128 groups of neighbouring examples: blocks of one
text are alike, and batch means of neighbours do not take them for so many draws of their own (Law and Kelton
2000, Simulation Modeling and Analysis, section 9.5.3). `research.stats.draws` reads them.
"""

import base64
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.data.dataset import UNSCORED

_GROUPS = 128
_MOST_BITS = 2**16
"""examples beyond which right answers too are kept as means of groups: a row must stay small"""


def each(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, 3) float64 from logits (B, ..., C) and targets (B, ...): loss in nats, right, scored.

    They are sums over the positions of each example. An answer that is not finite is wrong.
    """
    flat, wanted = logits.flatten(0, -2), targets.flatten()
    loss = functional.cross_entropy(flat.float(), wanted, ignore_index=UNSCORED, reduction="none").double()
    right = (flat.argmax(-1) == wanted) & torch.isfinite(flat).all(-1)
    told = torch.stack([loss, right.double(), (wanted != UNSCORED).double()], dim=-1)
    return told.unflatten(0, (len(targets), -1)).sum(1)


def packed(sums: Tensor) -> dict[str, Any]:
    """The rows of `each` of a whole split, (N, 3), as what JSON takes.

    `accuracy` and `loss` have `bits` (N, most significant first) or `means` (float32, little-endian) in
    base64, `count` of them; the mean of either is the split's score of that name.
    """
    values = sums.cpu().numpy()
    loss, right, scored = values.T
    exact = bool((scored == 1).all()) and len(values) <= _MOST_BITS
    bits = {"bits": _text(np.packbits(right.astype(bool))), "count": len(values)}
    return {"accuracy": bits if exact else _means(right, scored), "loss": _means(loss, scored)}


def means(values: Tensor) -> dict[str, Any]:
    """(N,) values of a whole split, as means of groups; their mean is the split's own."""
    own = values.double().cpu().numpy()
    return _means(own, np.ones(len(own)))


def _means(sums: np.ndarray, scored: np.ndarray) -> dict[str, Any]:
    """Group sums over the mean number that a group scores, so that their mean is the split's own score."""
    size = math.ceil(len(sums) / _GROUPS)
    starts = np.arange(0, len(sums), size)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        means = np.add.reduceat(sums, starts) * (len(starts) / scored.sum())
        return {"means": _text(means.astype("<f4")), "count": len(starts)}


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")

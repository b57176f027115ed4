"""Scores of a classifier that need all its answers at once: F1, precision, recall, AUROC, confusion."""

import math
from typing import Any

import torch
from torch import Tensor


def detail(logits: Tensor, targets: Tensor) -> tuple[dict[str, float], dict[str, Any]]:
    """Macro scores, and per-class values with the confusion matrix (rows: truth, columns: answers) as facts.

    Args:
        logits: (N, C), any float type.
        targets: (N,) int64, each in [0, C).

    Macro averages are over the classes that occur in the targets or the answers, and 0/0 is 0, as in
    scikit-learn's `f1_score(..., average="macro")`. AUROC is one class against the rest, exact (no
    thresholds), averaged over all classes; where a class is absent from the targets it has none: `auroc` is
    then left out of the scores, and is None among the facts. With non-finite logits all four are NaN.
    """
    finite = torch.isfinite(logits).all(-1)
    confusion = _confusion(logits[finite], targets[finite])
    per_class, occurs = _per_class(confusion)
    facts: dict[str, Any] = {"confusion": confusion.tolist(), "auroc": None, "auroc_per_class": None}
    facts |= {f"{name}_per_class": values.tolist() for name, values in per_class.items()}
    if not finite.all():
        return dict.fromkeys([*per_class, "auroc"], math.nan), facts
    scores = {name: float(values[occurs].mean()) for name, values in per_class.items()}
    areas = auroc_per_class(logits, targets)
    facts["auroc_per_class"] = areas
    known = [area for area in areas if area is not None]
    if len(known) == len(areas):
        scores["auroc"] = facts["auroc"] = sum(known) / len(known)
    return scores, facts


def auroc_per_class(logits: Tensor, targets: Tensor) -> list[float | None]:
    """Area under the ROC curve of each class against the rest; None for a class that cannot have one.

    The chance that an example of the class ranks above one that is none, a tie being half a chance: Mann and
    Whitney (1947), from sums of mean ranks, of all classes at once.
    """
    # In float64, since float32 rounds confident probabilities to ties that are none.
    ordered, order = logits.double().softmax(-1).T.sort(-1)  # (C, N)
    truth = targets[order] == torch.arange(len(order), device=targets.device)[:, None]
    inside = truth.sum(-1)
    pairs = inside * (truth.shape[1] - inside)
    ranks = (_mean_ranks(ordered) * truth).sum(-1)
    areas = (ranks - inside * (inside + 1) / 2) / pairs
    return [area if some else None for area, some in zip(areas.tolist(), pairs.tolist(), strict=True)]


def _mean_ranks(ordered: Tensor) -> Tensor:
    """Ranks from 1 along the last axis of sorted values (C, N); equals have the mean of theirs."""
    count = ordered.shape[-1]
    place = torch.arange(count, device=ordered.device).expand_as(ordered)
    steps, edge = ordered.diff() != 0, ordered.new_ones((len(ordered), 1), dtype=torch.bool)
    first, last = torch.cat([edge, steps], -1), torch.cat([steps, edge], -1)
    low = place.where(first, 0).cummax(-1).values
    high = place.where(last, count).flip(-1).cummin(-1).values.flip(-1)
    return (low + high).double() / 2 + 1


def _confusion(logits: Tensor, targets: Tensor) -> Tensor:
    """(C, C) int64 counts; rows are the truth."""
    classes = logits.shape[-1]
    pairs = targets * classes + logits.argmax(-1)
    return torch.bincount(pairs, minlength=classes**2).unflatten(0, (classes, classes))


def _per_class(confusion: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """precision, recall and F1, each (C,) float64, and which classes occur at all, (C,) bool."""
    right = confusion.diagonal().double()
    answered, true = confusion.sum(0).double(), confusion.sum(1).double()
    ratio = {
        "precision": right / answered.clamp(min=1),
        "recall": right / true.clamp(min=1),
        "f1": 2 * right / (answered + true).clamp(min=1),
    }
    return ratio, (answered + true) > 0

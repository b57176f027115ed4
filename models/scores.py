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
    """Area under the ROC curve of each class against the rest; None for a class that cannot have one."""
    # torchmetrics brings matplotlib and scipy: 2.7 CPU s, which a process with Lightning has paid already.
    from torchmetrics.functional.classification import binary_auroc

    # In float64, since float32 rounds confident probabilities to ties that are none.
    probabilities = logits.double().softmax(-1)
    areas: list[float | None] = []
    for index, column in enumerate(probabilities.unbind(-1)):
        truth = targets == index
        defined = bool(truth.any()) and not bool(truth.all())
        areas.append(float(binary_auroc(column, truth.long(), validate_args=False)) if defined else None)
    return areas


def _confusion(logits: Tensor, targets: Tensor) -> Tensor:
    """(C, C) int64 counts; rows are the truth."""
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    classes = logits.shape[-1]
    return multiclass_confusion_matrix(logits.argmax(-1), targets, classes, validate_args=False)


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

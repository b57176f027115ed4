"""What a network scores where an example may have several classes, each a question of its own.

A class is answered where its logit is above 0, a chance of a half. Scores as in scikit-learn: `accuracy` is
the share of examples whose classes are all right (`accuracy_score`), macro scores are means over all classes,
0/0 being 0.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def each(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, 3) float64 of (B, K) logits and bool targets: mean loss in nats of a class, all right, 1."""
    loss = functional.binary_cross_entropy_with_logits(
        logits.float(), targets.float(), reduction="none"
    ).mean(-1)
    right = ((logits > 0) == targets).all(-1) & torch.isfinite(logits).all(-1)
    return torch.stack([loss.double(), right.double(), torch.ones_like(loss, dtype=torch.float64)], -1)


def detail(logits: Tensor, targets: Tensor) -> tuple[dict[str, float], dict[str, Any]]:
    """Macro scores, micro F1, and the values of each class as facts, of all (N, K).

    `average_precision` and `auroc` are means over the classes that occur and do not always occur; the facts
    have None for the others. With logits that are not finite all are NaN.
    """
    names = ("f1", "precision", "recall", "f1_micro", "auroc", "average_precision")
    if not torch.isfinite(logits).all():
        return dict.fromkeys(names, math.nan), {}
    answered = logits > 0
    right, said, true = ((part.sum(0).double()) for part in (answered & targets, answered, targets))
    per_class = {
        "precision": right / said.clamp(min=1),
        "recall": right / true.clamp(min=1),
        "f1": 2 * right / (said + true).clamp(min=1),
    }
    scores = {name: float(values.mean()) for name, values in per_class.items()}
    scores["f1_micro"] = float(2 * right.sum() / (said + true).sum().clamp(min=1))
    facts: dict[str, Any] = {f"{name}_per_class": values.tolist() for name, values in per_class.items()}
    asked = (true > 0) & (true < len(targets))
    for name, values in (
        ("auroc", areas(logits.T, targets.T)),
        ("average_precision", precisions(logits, targets)),
    ):
        facts[f"{name}_per_class"] = [
            value if there else None for value, there in zip(values.tolist(), asked.tolist(), strict=True)
        ]
        if asked.any():
            scores[name] = float(values[asked].mean())
    return scores, facts


def areas(scores: Tensor, truth: Tensor) -> Tensor:
    """(C,) areas under the ROC curves of (C, N) scores; truth is bool; not a number where one class is alone.

    The chance that an example of the class ranks above one that is none, a tie being half a chance: Mann and
    Whitney (1947), from sums of mean ranks, of all classes at once.
    """
    # In float64, since float32 rounds confident probabilities to ties that are none.
    ordered, order = scores.double().sort(-1)
    placed = truth.gather(-1, order)
    inside = placed.sum(-1)
    ranks = (_mean_ranks(ordered) * placed).sum(-1)
    return (ranks - inside * (inside + 1) / 2) / (inside * (truth.shape[1] - inside))


def precisions(logits: Tensor, targets: Tensor) -> Tensor:
    """(K,) average precision of each class: precision at each of its examples, ties being one threshold."""
    ordered, order = logits.double().T.sort(-1, descending=True)
    placed = targets.T.gather(-1, order)
    end = _ends(ordered)
    found = placed.cumsum(-1).double().gather(-1, end)
    return (found / (end + 1) * placed).sum(-1) / placed.sum(-1)


def _ends(ordered: Tensor) -> Tensor:
    """(C, N): the last place of the equals that each of the sorted values is among."""
    count = ordered.shape[-1]
    place = torch.arange(count, device=ordered.device).expand_as(ordered)
    edge = ordered.new_ones((len(ordered), 1), dtype=torch.bool)
    last = torch.cat([ordered.diff() != 0, edge], -1)
    return place.where(last, count).flip(-1).cummin(-1).values.flip(-1)


def _mean_ranks(ordered: Tensor) -> Tensor:
    """Ranks from 1 along the last axis of ascending values (C, N); equals have the mean of theirs."""
    high = _ends(ordered)
    count = ordered.shape[-1]
    low = count - 1 - _ends(ordered.flip(-1)).flip(-1)
    return (low + high).double() / 2 + 1

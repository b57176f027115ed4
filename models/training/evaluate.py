"""What a network scores on a split: quickly while it trains, in full detail once it is final.

Targets of -100 (`UNSCORED`) count nowhere. The loss is the plain cross-entropy in nats, without the label
smoothing or the weights that a training loss may have, so that it is the same measure for every loss.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.data.batches import sequential
from models.data.dataset import UNSCORED, Split
from models.training.outcomes import each, packed
from models.training.scores import detail


def evaluate(
    net: nn.Module, split: Split, task: str, batch_size: int, classes: int, detailed: bool = False
) -> tuple[dict[str, float], dict[str, Any]]:
    """Scores and facts of `net` on `split`, in evaluation mode; the mode of each module is put back.

    Scores are `loss` (nats per scored target) and `accuracy`; `bits_per_byte` for task `language`; with
    `detailed`, for task `classification`, also macro `f1`, `precision`, `recall` and `auroc`, with the
    per-class values and the confusion matrix among the facts, and for every task `examples`, what came out of
    each example (`models.training.outcomes`). A non-finite loss stays non-finite, and an example whose logits
    are not all finite is wrong, whatever their argmax.

    `net` maps (B, *shape) to (B, classes), or (B, T) to (B, T, classes). It runs in the caller's autocast.
    """
    kept: list[tuple[Tensor, Tensor]] = []
    outcomes: list[Tensor] = []
    with evaluating(net), torch.inference_mode():
        sums = torch.zeros(4, dtype=torch.float64, device=split.inputs.device)
        for inputs, targets in sequential(split, batch_size):
            logits = net(inputs)
            if logits.shape[-1] != classes:
                raise ValueError(f"the network answers {logits.shape[-1]} classes, the data has {classes}")
            sums += _sums(logits.flatten(0, -2), targets.flatten())
            if detailed:
                outcomes.append(each(logits, targets))
            if detailed and task == "classification":
                kept.append((logits, targets))
    scores, facts = _means(sums.tolist(), task)
    if outcomes:
        facts["examples"] = packed(torch.cat(outcomes))
    if kept:
        logits, targets = (torch.cat(part) for part in zip(*kept, strict=True))
        asked = targets != UNSCORED
        more_scores, more_facts = detail(logits[asked], targets[asked])
        scores, facts = scores | more_scores, facts | more_facts
    return scores, facts


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, each module's own mode afterwards (some may be frozen in evaluation mode)."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _sums(logits: Tensor, targets: Tensor) -> Tensor:
    """(4,) float64 from logits (N, C) and targets (N,): summed loss, right, scored, scored but not finite."""
    scored = targets != UNSCORED
    finite = torch.isfinite(logits).all(-1)
    loss = functional.cross_entropy(logits.float(), targets, ignore_index=UNSCORED, reduction="sum")
    right = (logits.argmax(-1) == targets) & finite
    return torch.stack([loss.double(), right.sum(), scored.sum(), (scored & ~finite).sum()])


def _means(sums: list[float], task: str) -> tuple[dict[str, float], dict[str, Any]]:
    loss, right, scored, broken = sums
    scores = {
        name: total / scored if scored else math.nan for name, total in [("loss", loss), ("accuracy", right)]
    }
    if task == "language":
        scores["bits_per_byte"] = scores["loss"] / math.log(2)
    facts: dict[str, Any] = {"scored": int(scored)}
    if broken:
        facts["nonfinite_logits"] = int(broken)
    return scores, facts

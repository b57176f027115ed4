"""What a network scores on a split: quickly while it trains, in full detail once it is final.

Targets of -100 (`UNSCORED`) count nowhere. The loss is the plain cross-entropy in nats, without the label
smoothing or the weights that a training loss may have, so that it is the same measure for every loss.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.data.batches import sequential
from models.data.dataset import UNSCORED, Split
from models.training import multilabel
from models.training.outcomes import each, means, packed

Scores = Callable[[nn.Module, Split, int], Mapping[str, float]]
"""figures of a network on a split, which it sees in batches of so many"""


def evaluate(
    net: nn.Module, split: Split, task: str, batch_size: int, classes: int, detailed: bool = False
) -> tuple[dict[str, float], dict[str, Any]]:
    """Scores and facts of `net` on `split`, in evaluation mode; the mode of each module is put back.

    Scores are `loss` (nats per scored target) and `accuracy`; `bits_per_byte` for task `language`; with
    `detailed`, for task `classification`, also macro `f1`, `precision`, `recall` and `auroc`, with the
    per-class values and the confusion matrix among the facts, and for every task `examples`, what came out of
    each example (`models.training.outcomes`). Task `regression` has `loss` (the squared error in the training
    part's squared deviations), `rmse` and `mae` in the unit of the answers, and `r2` instead. A non-finite
    loss stays non-finite, and an example whose logits are not all finite is wrong, whatever their argmax.

    `net` maps (B, *shape) to (B, classes), or (B, T) to (B, T, classes). It runs in the caller's autocast.
    """
    if task == "regression":
        return _regressed(net, split, batch_size, detailed)
    if task == "multilabel":
        return _labelled(net, split, batch_size, classes, detailed)
    kept: list[tuple[Tensor, Tensor]] = []
    outcomes: list[Tensor] = []
    with evaluating(net), torch.inference_mode():
        sums = torch.zeros(4, dtype=torch.float64, device=split.device)
        for inputs, targets in sequential(split, batch_size):
            logits = net(inputs)
            _check_answers(logits, classes)
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


def _regressed(
    net: nn.Module, split: Split, batch_size: int, detailed: bool
) -> tuple[dict[str, float], dict[str, Any]]:
    errors, truth = [], []
    with evaluating(net), torch.inference_mode():
        for inputs, targets in sequential(split, batch_size):
            errors.append((net(inputs).double() - targets).flatten())
            truth.append(targets.double().flatten())
    error, value = torch.cat(errors), torch.cat(truth)
    unit = 1.0 if split.values is None else float(split.values.deviation)
    square = float(error.square().mean())
    spread = float((value - value.mean()).square().mean())
    scores = {"loss": square, "rmse": math.sqrt(square) * unit, "mae": float(error.abs().mean()) * unit}
    # Of values that are all the same no share can be explained.
    scores |= {"r2": 1 - square / spread} if spread > 0 else {}
    facts: dict[str, Any] = {"scored": len(error)}
    if detailed:
        facts["examples"] = {"loss": means(error.square()), "mae": means(error.abs() * unit)}
    return scores, facts


def _labelled(
    net: nn.Module, split: Split, batch_size: int, classes: int, detailed: bool
) -> tuple[dict[str, float], dict[str, Any]]:
    kept: list[tuple[Tensor, Tensor]] = []
    outcomes: list[Tensor] = []
    with evaluating(net), torch.inference_mode():
        for inputs, targets in sequential(split, batch_size):
            logits = net(inputs)
            _check_answers(logits, classes)
            outcomes.append(multilabel.each(logits, targets))
            kept += [(logits, targets)] if detailed else []
    told = torch.cat(outcomes)
    loss, right, _ = told.mean(0).tolist()
    scores: dict[str, float] = {"loss": loss, "accuracy": right}
    facts: dict[str, Any] = {"scored": len(told)}
    if detailed:
        more, per_class = multilabel.detail(*(torch.cat(part) for part in zip(*kept, strict=True)))
        scores, facts = scores | more, facts | per_class | {"examples": packed(told)}
    return scores, facts


def _check_answers(logits: Tensor, classes: int) -> None:
    if logits.shape[-1] != classes:
        raise ValueError(f"the network answers {logits.shape[-1]} classes, the data has {classes}")


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
    shares = logits.double().softmax(-1).T
    truth = targets == torch.arange(len(shares), device=targets.device)[:, None]
    return [None if math.isnan(area) else area for area in multilabel.areas(shares, truth).tolist()]


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

"""The baseline of a task: what the best answer scores that is the same for every example."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from models.data.dataset import UNSCORED, Dataset


def constant(data: Dataset) -> dict[str, Any]:
    """Scores on the test split of the constant that the training split suggests, and what that is (`answer`).

    For classes and tokens the most frequent one, with a loss by all frequencies (one more of each, so that
    none is 0); for several classes each by its own majority; for values their mean.
    """
    return _OF[data.task](data, data.train.answers(), data.test.answers())


def _one(data: Dataset, train: Tensor, test: Tensor) -> dict[str, Any]:
    learnt, asked = (
        part.flatten()[part.flatten() != UNSCORED] if part.dtype == torch.int64 else part.flatten()
        for part in (train, test)
    )
    counts = torch.bincount(learnt.long(), minlength=data.classes).double()
    most = int(counts.argmax())
    shares = (counts + 1) / (counts + 1).sum()
    names = data.about.get("names")
    loss = float(-shares.log()[asked.long()].mean())
    told = {"answer": f"always {names[most] if names else most}", "loss": loss}
    told["accuracy"] = float((asked == most).double().mean())
    return told | ({"bits_per_byte": loss / math.log(2)} if data.task == "language" else {})


def _several(data: Dataset, train: Tensor, test: Tensor) -> dict[str, Any]:
    shares = (train.double().sum(0) + 1) / (len(train) + 2)
    loss = -torch.where(test, shares.log(), (1 - shares).log()).mean()
    right = (test == (shares > 0.5)).all(1).double().mean()
    return {"answer": "each class as in most examples", "accuracy": float(right), "loss": float(loss)}


def _value(data: Dataset, train: Tensor, test: Tensor) -> dict[str, Any]:
    error = test.double() - train.double().mean()
    scores = {"rmse": float(error.square().mean().sqrt()), "mae": float(error.abs().mean())}
    return {"answer": "the mean of the training part"} | scores


_OF: dict[str, Callable[[Dataset, Tensor, Tensor], dict[str, Any]]] = {
    "classification": _one,
    "recall": _one,
    "language": _one,
    "multilabel": _several,
    "regression": _value,
}

"""What a column or an array of answers asks for: a class of each example, or a value."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading.labels import classes_of
from refusal import Refusal

_MOST_CLASSES = 64
"""different whole numbers above which answers are values, unless a person says data.task=classification"""


def answers(values: NDArray[Any], task: str | None, where: str) -> tuple[NDArray[Any], dict[str, Any]]:
    """(targets, what is known of them: task, how many classes and their names).

    Words, true and false, and up to 64 different whole numbers are classes; other numbers are values, unless
    `task` says which of the two they are. One row of ones and zeros each is read as the class of its one.
    Values are float32 (N, 1). Raises `Refusal` for an answer that is missing or not finite.
    """
    if task not in (None, "classification", "regression"):
        raise Refusal(f"data.task {task} does not fit {where}: set it to classification or regression.")
    values = _of_one_axis(values, task, where)
    number = values.dtype.kind in "fiu"
    if number and not np.isfinite(values.astype(np.float64)).all():
        row = int(np.flatnonzero(~np.isfinite(values.astype(np.float64)))[0])
        raise Refusal(
            f"{where}: the answer of example {row} is missing or not finite: fill it or leave it out."
        )
    whole = number and bool((values == np.round(values)).all())
    few = whole and len(np.unique(values)) <= _MOST_CLASSES
    if (task or ("classification" if few or not number else "regression")) == "regression":
        if not number:
            raise Refusal(f"{where}: the answers are no numbers, so data.task=regression does not fit them.")
        return values.astype(np.float32)[:, None], {"task": "regression", "classes": 1}
    if number and not whole:
        raise Refusal(f"{where}: the answers are fractions, so data.task=classification does not fit them.")
    names, targets = classes_of([str(int(one)) if number else str(one) for one in values.tolist()], where)
    return targets, {"task": "classification", "classes": len(names), "names": names}


def _of_one_axis(values: NDArray[Any], task: str | None, where: str) -> NDArray[Any]:
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim == 2 and task != "regression" and _one_hot(values):
        return np.asarray(values.argmax(1))
    if values.ndim != 1:
        raise Refusal(
            f"{where}: the answers are {list(values.shape)}: give one class or value of each example."
        )
    return values


def _one_hot(values: NDArray[Any]) -> bool:
    numbers = values.dtype.kind in "fiub"
    return numbers and bool(np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all())

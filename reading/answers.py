"""What a column or an array of answers asks for: a class of each example, several of them, or a value."""

import re
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading.decoded import narrowed, rounded
from reading.frames import ANSWERS, column, plain
from reading.labels import case_alone, classes_in, classes_of, mark, ordered
from reading.written import strange
from refusal import Refusal

_MOST_CLASSES = 64
"""different whole numbers above which answers are values, unless a person says data.task=classification"""
_TASKS = (None, "classification", "multilabel", "regression")
_FRACTION = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_SIGNS = ("|", ";", ",", "/")
"""what often stands between several classes in one cell"""
_SHOWN = 5

Answers = tuple[NDArray[Any], dict[str, Any]]
"""targets, and what is known of them: task, how many classes and their names"""


def answers(
    values: NDArray[Any], task: str | None, where: str, notes: list[str], order: Sequence[str] = ()
) -> Answers:
    """Of an array.

    Words, true and false, and up to 64 different whole numbers are classes, (N,) int64; other numbers are
    values, float32 (N, 1), unless `task` says which of the two they are. Rows of ones and zeros are several
    classes at once, (N, K) bool, unless each has a single one, which is its class then. Raises `Refusal` for
    an answer that is missing or not finite.
    """
    _check(task, where)
    values = _of_kind(values, where)
    if values.ndim == 2 and values.shape[1] > 1 and task != "regression" and _marks(values):
        if task == "multilabel" or not (values.sum(1) == 1).all():
            return _several(values.astype(bool), [str(at) for at in range(values.shape[1])], where, notes)
        order = order or [str(at) for at in range(values.shape[1])]
        values = np.asarray(values.argmax(1))
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim != 1:
        raise Refusal(
            f"{where}: the answers are {list(values.shape)}: give one class or value of each example, or a "
            "column of ones and zeros for each of several classes."
        )
    if task == "multilabel":
        raise Refusal(
            f"{where}: each example has one answer; for several set data.separator to what stands between "
            "them, or data.target to a list of columns of ones and zeros."
        )
    return _one_each(values, task, where, notes, order)


def of_labels(
    labels: Sequence[str | tuple[str, ...]],
    task: str | None,
    where: str,
    notes: list[str],
    order: Sequence[str] = (),
    *,
    written: bool,
) -> Answers:
    """Of words, or several for each example; numbers only where `task` wants values.

    Fractions that a person has `written` down are values too, unlike such names of folders.
    """
    if any(isinstance(one, tuple) for one in labels):
        return _of_sets(
            [own if isinstance(own, tuple) else (own,) for own in labels], task, where, notes, order
        )
    if task is None and written and _fractions(labels):
        return answers(np.array(labels, np.float64), task, where, notes)
    found = answers(_asked_for(np.array(labels, object), task, where), task, where, notes)
    names = found[1].get("names", ())
    if task is None and written and len(names) > _MOST_CLASSES and all(map(str.isdecimal, names)):
        notes.append(
            f"{where}: {len(names)} whole numbers are classes; data.task=regression reads them as values"
        )
    return found


def _fractions(labels: Sequence[Any]) -> bool:
    """Whether all labels are numbers that are written with a point, and not all of them are whole."""
    return all(map(_FRACTION.fullmatch, labels)) and not all(float(one).is_integer() for one in labels)


def of_columns(
    frame: Any,
    target: Any,
    separator: str | None,
    task: str | None,
    where: Any,
    notes: list[str],
    order: Sequence[str] = (),
) -> tuple[NDArray[Any], dict[str, Any], list[str]]:
    """Of a pandas frame, and the columns that they are of.

    `target` names one column, or several with a class each; with a `separator`, or where a cell holds a list,
    an example has as many classes of one column as are there. `order` is that of the names of the classes.
    """
    names = [str(name) for name in frame.columns]
    listed = list(target) if isinstance(target, list | tuple) else [target]
    chosen = [column(where, names, name, ANSWERS, "target") for name in listed or [None]]
    if len(chosen) > 1:
        return *_of_marked(frame, chosen, task, where, notes), chosen
    (answer,) = chosen
    usual = [name for name in names if name != answer and name.strip().lower() in ANSWERS]
    if target is None and usual:
        notes.append(
            f"the answers are those of {answer} and not of {', '.join(usual)}, as data.target is not set"
        )
    values, said = frame[answer], f"{where}, column {answer}"
    cells = values.astype(object).where(values.notna(), None).tolist()
    odd = strange(cells)
    if odd is not None:
        raise Refusal(f"{where}: {answer} holds {odd}, which are no classes: write numbers or words.")
    sets = _as_sets(cells, separator)
    if sets is not None:
        return *_of_sets(sets, task, said, notes, order), [answer]
    return *answers(_asked_for(plain(values, answer, where), task, said), task, said, notes, order), [answer]


def _asked_for(values: NDArray[Any], task: str | None, where: str) -> NDArray[Any]:
    """Words as the numbers that they are, where values are asked for."""
    if task != "regression" or values.dtype != object:
        return values
    try:
        return values.astype(float)
    except ValueError as error:
        raise Refusal(
            f"{where}: the answers are no numbers, so data.task=regression does not fit."
        ) from error


def _of_kind(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Numbers, and words; NumPy's bytes are words too. Raises `Refusal` for others, such as times."""
    if values.dtype.kind == "S":
        try:
            return np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise Refusal(f"{where}: the answers are bytes that are no UTF-8: write words.") from error
    if values.dtype.kind not in "fiubUO":
        raise Refusal(f"{where}: the answers are of the type {values.dtype}: bring numbers or words.")
    return values


def _as_sets(cells: Sequence[Any], separator: str | None) -> list[tuple[str, ...]] | None:
    """The classes of each cell, where there may be several; None where each has one."""
    if separator is None and not any(isinstance(cell, tuple) for cell in cells):
        return None
    return [classes_in(cell, separator) for cell in cells]


def _one_each(
    values: NDArray[Any], task: str | None, where: str, notes: list[str], order: Sequence[str]
) -> Answers:
    number = values.dtype.kind in "fiu"
    if number and not np.isfinite(values.astype(np.float64)).all():
        row = int(np.flatnonzero(~np.isfinite(values.astype(np.float64)))[0])
        raise Refusal(
            f"{where}: the answer of example {row} is missing or not finite: fill it or leave it out."
        )
    whole = number and bool((values == np.round(values)).all())
    few = whole and len(np.unique(values)) <= _MOST_CLASSES
    if (task or ("classification" if few or not number else "regression")) == "regression":
        return _values(values, where, notes, guessed=task is None and whole)
    if number and not whole:
        raise Refusal(f"{where}: the answers are fractions, so data.task=classification does not fit them.")
    if values.dtype.kind == "f" and (np.abs(values) >= 2.0**53).any():
        raise Refusal(
            f"{where}: whole numbers above 9007199254740992 stand beside others such as 1.0, so that some "
            "would become one class: write all without a point."
        )
    labels = [str(int(one)) if number else str(one) for one in values.tolist()]
    names, targets = classes_of(labels, where, order)
    notes += case_alone(names, where) + _made_of_others(names, where)
    absent = [name for name in order if name not in names]
    if absent:
        notes.append(f"no example is of the classes {', '.join(absent[:_SHOWN])}: they are left out")
    return targets, {"task": "classification", "classes": len(names), "names": names}


def _values(values: NDArray[Any], where: str, notes: list[str], *, guessed: bool) -> Answers:
    if values.dtype.kind not in "fiu":
        raise Refusal(f"{where}: the answers are no numbers, so data.task=regression does not fit them.")
    kinds = np.unique(values)
    if len(kinds) < 2:
        raise Refusal(f"{where}: all answers are {', '.join(map(str, kinds)) or 'missing'}: bring others.")
    if guessed:
        notes.append(
            f"{where}: {len(kinds)} different whole numbers are values; data.task=classification makes them "
            "classes"
        )
    found = narrowed(values, where)
    notes += rounded(values, found, where)
    return found[:, None], {"task": "regression", "classes": 1}


def _of_sets(
    sets: Sequence[Collection[str]], task: str | None, where: str, notes: list[str], order: Sequence[str] = ()
) -> Answers:
    _check_several(task, where)
    found = ordered(list(chain.from_iterable(sets)), where, order)
    notes += case_alone(found, where)
    names = list(order) if set(found) <= set(order) else found
    places = {name: at for at, name in enumerate(names)}
    marked = np.zeros((len(sets), len(names)), bool)
    for row, own in zip(marked, sets, strict=True):
        row[[places[name] for name in own]] = True
    return _several(marked, names, where, notes)


def _of_marked(frame: Any, columns: list[str], task: str | None, where: Any, notes: list[str]) -> Answers:
    _check_several(task, str(where))
    marked = np.zeros((len(frame), len(columns)), bool)
    for at, name in enumerate(columns):
        marked[:, at] = [
            mark(str(cell), f"{where}, row {row}: {name}")
            for row, cell in enumerate(frame[name].tolist(), start=1)
        ]
    return _several(marked, columns, str(where), notes)


def _several(marked: NDArray[np.bool_], names: list[str], where: str, notes: list[str]) -> Answers:
    if len(set(names)) < max(2, len(names)):
        raise Refusal(f"{where}: there is one class, '{names[0]}', or one twice: name two or more.")
    without = int((~marked).all(1).sum())
    if without:
        notes.append(f"{without} of {len(marked)} examples have none of the {len(names)} classes")
    flat = [name for name, own in zip(names, marked.T, strict=True) if own.all() or not own.any()]
    if len(flat) == len(names):
        raise Refusal(f"{where}: no class tells one example from another: bring examples that differ in one.")
    if flat:
        notes.append(f"all examples or none have {', '.join(flat[:_SHOWN])}, which tells nothing")
    return marked, {"task": "multilabel", "classes": len(names), "names": names}


def _check(task: str | None, where: str) -> None:
    if task not in _TASKS:
        named = ", ".join(str(one) for one in _TASKS[1:])
        raise Refusal(f"data.task {task} does not fit {where}: set it to one of {named}.")


def _check_several(task: str | None, where: str) -> None:
    _check(task, where)
    if task not in (None, "multilabel"):
        raise Refusal(f"{where}: examples have several classes each, so data.task={task} does not fit them.")


def _marks(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "fiub" and bool(np.isin(values, (0, 1)).all())


def _made_of_others(names: Sequence[str], where: str) -> list[str]:
    """A sentence where a class seems to be several, as 'war|love' beside 'war' and 'love' is, or a list."""
    known = set(names)
    for name in names:
        parts = {sign: {one.strip() for one in name.split(sign)} for sign in _SIGNS if sign in name}
        sign = next((sign for sign, own in parts.items() if known >= own), "")
        if sign or (name.startswith("[") and name.endswith("]")):
            todo = f"data.separator='{sign}'" if sign else "lists in JSON lines"
            return [f"{where}: '{name}' is one class as it is written; several in one cell need {todo}"]
    return []

"""Tables: CSV, parquet or JSON lines with a column of answers; numbers, words and gaps become columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading.answers import of_columns
from reading.decoded import TRAIN, UNSPLIT, Decoded, narrowed, rounded
from reading.frames import joined, odd_in, refuse_dressed, strays, tables
from reading.labels import check_parts, lookalikes
from reading.layout import SHOWN
from reading.written import check_alike, spelt
from refusal import Refusal

_MISSING = "?"
"""category of a word that is not there"""


def read(
    path: Path,
    folder: Path,
    *,
    target: Any = None,
    separator: str | None = None,
    task: str | None = None,
    leave_out: Sequence[str] = (),
    most_categories: int = 64,
) -> Decoded:
    """Inputs (N, F, 1) float32: a number is a column, a word one column for each that occurs.

    What is missing of a number stays not a number here, which is the training part's mean once it is on the
    scale, and has a column that says so; what is missing of a word is a word of its own. `target` is one
    column, or several with a class each; `separator` stands between the classes of one. Raises `Refusal` for
    a column that is neither, has too many words, or values that are not finite.
    """
    notes: list[str] = []
    found = of_parts(tables(path, target, notes), target, separator, task, leave_out, most_categories)
    return replace(found, about=found.about | {"notes": notes + found.about["notes"]})


def of_parts(
    parts: Mapping[int, tuple[Any, Any]],
    target: Any,
    separator: str | None,
    task: str | None,
    leave_out: Sequence[str],
    most_categories: int,
    order: Sequence[str] = (),
) -> Decoded:
    """The same of part -> (what a sentence calls it, pandas frame); `order` is that of the classes."""
    where, whole, numbers = joined(parts)
    names = [str(name) for name in whole.columns]
    leave_out = list(map(str, [leave_out] if isinstance(leave_out, str | int) else leave_out))
    unknown = [name for name in leave_out if name not in names]
    if unknown:
        raise Refusal(f"data.leave_out names '{unknown[0]}', and {where} has the columns {', '.join(names)}.")
    notes: list[str] = []
    targets, about, answers = of_columns(whole, target, separator, task, where, notes, order)
    rest = [name for name in names if name not in answers and name not in leave_out]
    # By such a column pandas numbers rows, and tells the answers of a table that is sorted by them.
    numbering = [name for name in rest if name.startswith("Unnamed: ") and whole[name].dtype.kind == "i"]
    notes += [f"{name} has no name and numbers the rows: left out" for name in numbering]
    kept = [name for name in rest if name not in numbering]
    if not kept:
        raise Refusal(f"{where} has no column beside {answers[0]}: bring what it is to be told from.")
    columns: list[NDArray[np.float32]] = []
    told: list[dict[str, Any]] = []
    for name in kept:
        values, known = _numbers(whole[name], name, where, most_categories, notes)
        columns.append(values)
        told.append(known)
    check_parts(about, targets, numbers, notes)
    for values, one in zip(columns, told, strict=True):
        notes += _unlearnt(values[(numbers == TRAIN) | (numbers == UNSPLIT)], one)
    same = [
        one["name"]
        for values, one in zip(columns, told, strict=True)
        if np.array_equal(values, np.tile(values[:1], (len(values), 1)), equal_nan=True)
    ]
    notes += [f"the columns {', '.join(same)} never change"] if same else []
    inputs = np.concatenate(columns, 1)[:, :, None]
    return Decoded(inputs, targets, numbers, about | {"notes": notes, "columns": told, "answer": answers[0]})


def _numbers(
    values: Any, name: str, where: Any, most: int, notes: list[str]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """((N, columns) float32, what a new row needs to become the same) of one column."""
    missing = values.isna().to_numpy()
    if values.dtype.kind in "fiu":
        plain = values.to_numpy(np.float64, na_value=np.nan)
        if np.isinf(plain).any():
            row = int(np.flatnonzero(np.isinf(plain))[0]) + 1
            raise Refusal(f"{where}: {name} is not finite in row {row}: mend it or leave the row empty.")
        own = [plain, missing.astype(np.float64)] if missing.any() else [plain]
        both = np.stack(own, 1)
        narrow = narrowed(both, f"{where}: {name}")
        whole = values.to_numpy() if values.dtype.kind != "f" and not missing.any() else plain
        notes += rounded(whole, narrow[:, 0], name)
        return narrow, {"name": name, "gaps": bool(missing.any())}
    odd = odd_in(values)
    if odd is not None:
        raise Refusal(
            f"{where}: {name} holds {odd} and neither numbers nor words: data.leave_out=[{name}] leaves it "
            "out."
        )
    refuse_dressed(values.dropna().unique(), f"{where}: {name}")
    check_alike(values.dropna(), f"{where}: {name}")
    words = values.astype(object).map(spelt, na_action="ignore")
    gap = _gap(set(words.dropna()), name, notes) if missing.any() else _MISSING
    words = words.where(~missing, gap).to_numpy(object)
    strange = strays(values)
    if strange is not None:
        what = (
            f"words beside numbers, such as '{strange[0]}'"
            if strange
            else "numbers that are written as words"
        )
        notes.append(f"{name} holds {what}: each is a category of its own")
    categories, found = np.unique(words.astype(str), return_inverse=True)
    if len(categories) > most:
        todo = "leave the cells empty that hold no number, or " if strange else ""
        raise Refusal(
            f"{where}: {name} has {len(categories)} different words such as '{(strange or categories)[0]}', "
            f"more than data.most_categories={most}: {todo}data.leave_out=[{name}] leaves it out, data=text "
            "reads sentences."
        )
    notes += lookalikes(categories.tolist(), f"{where}: {name}")
    one_hot = (found[:, None] == np.arange(len(categories))).astype(np.float32)
    return one_hot, {"name": name, "categories": categories.tolist()}


def _gap(words: set[str], name: str, notes: list[str]) -> str:
    """The category of what is missing, which is no word of the column."""
    gap = _MISSING
    while gap in words:
        gap += _MISSING
    if gap != _MISSING:
        notes.append(f"{name} holds the word '{_MISSING}' beside empty cells, whose category is '{gap}'")
    return gap


def _unlearnt(learnt: NDArray[np.float32], about: Mapping[str, Any]) -> list[str]:
    """A sentence where a word, or a gap, of val or test is in no row of train, as nothing is learnt of it."""
    name, words = about["name"], about.get("categories")
    if words is None:
        never = about["gaps"] and not learnt[:, 1].any()
        return [f"{name} has empty cells in val or test and none in train"] if never else []
    strange = [word for word, seen in zip(words, np.atleast_1d(learnt.any(0)), strict=True) if not seen]
    more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
    return [f"{name} has words in no row of train: {', '.join(strange[:SHOWN])}{more}"] if strange else []

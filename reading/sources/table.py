"""Tables: CSV, parquet or JSON lines with a column of answers; numbers, words and gaps become columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading.answers import answers
from reading.decoded import Decoded
from reading.frames import column, plain, tables
from reading.labels import ANSWERS, check_parts
from refusal import Refusal

_MISSING = "?"
"""category of a word that is not there"""


def read(
    path: Path,
    folder: Path,
    *,
    target: str | None = None,
    task: str | None = None,
    leave_out: Sequence[str] = (),
    most_categories: int = 64,
) -> Decoded:
    """Inputs (N, F, 1) float32: a number is a column, a word one column for each that occurs.

    What is missing of a number stays not a number here, which is the training part's mean once it is on the
    scale, and has a column that says so; what is missing of a word is a word of its own. Raises `Refusal`
    for a column that is neither, has too many words, or values that are not finite.
    """
    parts = tables(path)
    where, first = next(iter(parts.values()))
    names = [str(name) for name in first.columns]
    answer = column(where, names, target, ANSWERS, "target")
    unknown = [name for name in leave_out if name not in names]
    if unknown:
        raise Refusal(f"data.leave_out names '{unknown[0]}', and {where} has the columns {', '.join(names)}.")
    kept = [name for name in names if name != answer and name not in leave_out]
    if not kept:
        raise Refusal(f"{where} has no column beside {answer}: bring what it is to be told from.")
    import pandas

    whole = pandas.concat([own for _, own in parts.values()], ignore_index=True)
    numbers = np.repeat(np.array(list(parts), np.int8), [len(own) for _, own in parts.values()])
    columns: list[NDArray[np.float32]] = []
    told: list[dict[str, Any]] = []
    for name in kept:
        values, about = _numbers(whole[name], name, where, most_categories)
        columns.append(values)
        told.append(about)
    targets, about = answers(plain(whole[answer], answer, where), task, f"{where}, column {answer}")
    notes: list[str] = []
    if about["task"] == "classification":
        check_parts(about["names"], targets, numbers, notes)
    same = [one["name"] for values, one in zip(columns, told, strict=True) if (values == values[0]).all()]
    notes += [f"the columns {', '.join(same)} never change"] if same else []
    inputs = np.concatenate(columns, 1)[:, :, None]
    return Decoded(inputs, targets, numbers, about | {"notes": notes, "columns": told, "answer": answer})


def _numbers(values: Any, name: str, where: Path, most: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """((N, columns) float32, what a new row needs to become the same) of one column."""
    missing = values.isna().to_numpy()
    if values.dtype.kind in "fiu":
        plain = values.to_numpy(np.float64, na_value=np.nan)
        if np.isinf(plain).any():
            row = int(np.flatnonzero(np.isinf(plain))[0]) + 1
            raise Refusal(f"{where}: {name} is not finite in row {row}: mend it or leave the row empty.")
        own = [plain, missing.astype(np.float64)] if missing.any() else [plain]
        return np.stack(own, 1).astype(np.float32), {"name": name, "gaps": bool(missing.any())}
    words = values.astype(object).where(~missing, _MISSING).map(str).to_numpy(object)
    categories, found = np.unique(words.astype(str), return_inverse=True)
    if len(categories) > most:
        raise Refusal(
            f"{where}: {name} has {len(categories)} different words such as '{categories[0]}', more than "
            f"data.most_categories={most}: data.leave_out=[{name}] leaves it out, data=text reads sentences."
        )
    one_hot = (found[:, None] == np.arange(len(categories))).astype(np.float32)
    return one_hot, {"name": name, "categories": categories.tolist()}

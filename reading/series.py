"""Series in the `.ts` format of sktime and the UEA and UCR archives: a line is a series, its answer last."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refusal import Refusal


def series(place: Path) -> dict[str, NDArray[Any]]:
    """Of a file, or of NAME_TRAIN.ts and NAME_TEST.ts in a folder: `x_train` (N, C, L), `y_train` (N,), ...

    Answers are names of classes, or numbers where the file has a `@targetLabel`. Raises `Refusal` for what is
    no such file, has time stamps, no answers, or series of several lengths; gaps (`?`) are not numbers.
    """
    found: dict[str, NDArray[Any]] = {}
    for file in [place] if place.is_file() else sorted(place.glob("*.ts")):
        part = file.stem.lower().rpartition("_")[2]
        end = f"_{part}" if part in ("train", "val", "test") else ""
        if f"x{end}" in found:
            raise Refusal(f"{place} holds several sets of series, such as {file.name}: set data.path to one.")
        found[f"x{end}"], found[f"y{end}"] = _read(file)
    return found


def _read(file: Path) -> tuple[NDArray[np.float64], NDArray[Any]]:
    head: dict[str, str] = {}
    rows: list[NDArray[np.float64]] = []
    said: list[str] = []
    for number, line in _lines(file):
        if line.startswith("@"):
            name, _, value = line[1:].partition(" ")
            head[name.lower()] = value.strip().lower()
            _check(file, head)
            continue
        if "data" not in head:
            raise Refusal(f"{file}, line {number}: a series before @data, so it is no file of series.")
        *dimensions, answer = line.split(":")
        try:
            values = [one.replace("?", "nan").split(",") for one in dimensions]
            rows.append(np.array(values, np.float64))
        except ValueError as error:
            raise Refusal(
                f"{file}, line {number}: {error}; all of a series are numbers, of one length."
            ) from error
        if rows[-1].ndim != 2 or rows[-1].shape != rows[0].shape:
            raise Refusal(f"{file}, line {number}: not as long as the first series: bring all to one length.")
        if answer.strip() in ("", "?"):
            raise Refusal(f"{file}, line {number} has no answer: give it one or take it out.")
        said.append(answer.strip())
    if not rows:
        raise Refusal(f"{file} holds no series under @data.")
    values_of = head.get("targetlabel", "").startswith("true")
    return np.stack(rows), np.array(said, np.float64 if values_of else np.str_)


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip() and not line.startswith(("#", "%")):
                    yield number, line.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{file} is no text that can be read ({error}).") from error


def _check(file: Path, head: dict[str, str]) -> None:
    if head.get("timestamps", "false") != "false":
        raise Refusal(f"{file} has time stamps: save it with equal steps and @timeStamps false.")
    labelled = any(head.get(name, "").startswith("true") for name in ("classlabel", "targetlabel"))
    if "data" in head and not labelled:
        raise Refusal(f"{file} has neither a @classLabel nor a @targetLabel: there is nothing to learn from.")

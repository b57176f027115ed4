"""Names of classes, and the answers that a table beside pictures gives to them."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from reading.decoded import TEST, TRAIN, UNSPLIT, VAL
from refusal import Refusal

_FILES = ("file_name", "filename", "file", "path", "image", "picture", "name", "id")
ANSWERS = ("label", "labels", "class", "target", "category", "y")
_SHOWN = 5


def classes_of(labels: Sequence[str], where: str) -> tuple[list[str], NDArray[np.int64]]:
    """(names, one number for each label): whole numbers in their order, words by the alphabet.

    Raises `Refusal` for a label that is empty or negative, which marks what nobody labelled, and for a single
    class.
    """
    names = sorted(set(labels), key=_order)
    for name in names:
        if not name.strip() or name.strip().lower() in ("nan", "none", "null") or _number(name) < 0:
            count = labels.count(name) if isinstance(labels, list) else list(labels).count(name)
            raise Refusal(
                f"{where}: {count} examples have the label '{name}', which says that nobody labelled them: "
                "give them a class or take them out."
            )
    if len(names) < 2:
        raise Refusal(f"{where}: all examples are of one class, '{''.join(names)}': bring another class.")
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.array([numbers[label] for label in labels], dtype=np.int64)


def _order(name: str) -> tuple[float, str]:
    number = _number(name)
    return (number, "") if number != _NO_NUMBER else (float("inf"), name)


_NO_NUMBER = float("inf")


def _number(name: str) -> float:
    try:
        return float(int(name))
    except ValueError:
        return _NO_NUMBER


@final
class Sheet:
    """A CSV of labels: one row for each file, named relative to the folder that it lies in."""

    def __init__(self, file: Path, target: str | None) -> None:
        self.file = file
        self.rows = _read(file)
        columns = list(self.rows[0])
        self.place = _column(file, columns, _FILES, "the names of the files", None)
        rest = [name for name in columns if name != self.place]
        self.answer = _column(file, rest, ANSWERS, "the classes", target)

    def labels(self, files: Iterable[Path]) -> list[str]:
        """The label of each file. Raises `Refusal` for one without, and for a row of no file."""
        names = {file.relative_to(self.file.parent).as_posix(): file for file in files}
        told: dict[str, str] = {}
        for number, row in enumerate(self.rows, start=2):
            name = row[self.place].removeprefix("./")
            if name in told:
                raise Refusal(f"{self.file}, line {number}: {name} has a row already: leave one of them.")
            if name not in names:
                raise Refusal(f"{self.file}, line {number}: there is no file {name} beside it.")
            told[name] = row[self.answer]
        left = [name for name in names if name not in told]
        if left:
            raise Refusal(
                f"{self.file} has no row for {len(left)} of {len(names)} files, such as {left[0]}: label "
                "them or take them out."
            )
        return [told[name] for name in names]


def _read(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines, restkey="", restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refusal(f"{file} is no table that can be read ({error}): save it as CSV in UTF-8.") from error
    if not rows:
        raise Refusal(f"{file} has no rows under its header.")
    return rows


def _column(file: Path, columns: list[str], usual: Sequence[str], what: str, asked: str | None) -> str:
    if asked is not None:
        if asked not in columns:
            raise Refusal(f"{file} has the columns {', '.join(columns)}: set data.target to one of them.")
        return asked
    for name in usual:
        for column in columns:
            if column.strip().lower() == name:
                return column
    if len(columns) == 1:
        return columns[0]
    raise Refusal(
        f"{file}: which of {', '.join(columns) or 'no columns'} holds {what} is not told by its name: call "
        f"it {usual[0]}" + (", or set data.target." if usual is ANSWERS else ".")
    )


def check_parts(
    names: list[str], targets: NDArray[np.int64], parts: NDArray[np.int8], notes: list[str]
) -> None:
    """Raise `Refusal` for a class that is tested and never learnt; tell of one that is learnt alone."""
    if (parts == UNSPLIT).any():
        return
    learnt = set(targets[parts == TRAIN].tolist())
    for part, named in ((VAL, "val"), (TEST, "test")):
        here = set(targets[parts == part].tolist())
        strange = sorted(here - learnt)
        if strange:
            raise Refusal(f"The class '{names[strange[0]]}' is in {named} and not in train: bring it there.")
        if here and learnt - here:
            absent = ", ".join(names[number] for number in sorted(learnt - here)[:_SHOWN])
            notes.append(f"{named} has no example of {absent}")

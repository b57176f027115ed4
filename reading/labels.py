"""Names of classes, and the answers that a table beside pictures gives to them."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from reading.decoded import TEST, TRAIN, UNSPLIT, VAL
from reading.frames import header
from refusal import Refusal

_FILES = ("file_name", "filename", "file", "path", "image", "picture", "name", "id")
ANSWERS = ("label", "labels", "class", "target", "category", "y")
_MARKS = {"0": False, "false": False, "0.0": False, "1": True, "true": True, "1.0": True}
_SHOWN = 5


def classes_of(
    labels: Sequence[str], where: str, order: Sequence[str] = ()
) -> tuple[list[str], NDArray[np.int64]]:
    """(names, one number for each label). Raises `Refusal` as `ordered`, and for a single class."""
    names = ordered(labels, where, order)
    if len(names) < 2:
        raise Refusal(f"{where}: all examples are of one class, '{''.join(names)}': bring another class.")
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.array([numbers[label] for label in labels], dtype=np.int64)


def ordered(labels: Sequence[str], where: str, order: Sequence[str] = ()) -> list[str]:
    """The different labels: in the `order` that is given, else numbers by size and words by the alphabet.

    Raises `Refusal` for a label that is empty or negative, which marks what nobody labelled.
    """
    ranks = {name: rank for rank, name in enumerate(order)}
    names = sorted(set(labels), key=lambda name: (ranks.get(name, len(ranks)), *_order(name)))
    twice = [name for name, count in Counter(map(str.strip, names)).items() if count > 1]
    if twice:
        raise Refusal(f"{where}: the label '{twice[0]}' stands with spaces around it and without: write one.")
    for name in names:
        unsaid = not name.strip() or name.strip().lower() in ("nan", "none", "null") or _number(name) < 0
        if unsaid and name not in ranks:
            raise Refusal(
                f"{where}: {list(labels).count(name)} examples have the label '{name}', which says that "
                "nobody labelled them: give them a class or take them out."
            )
    return names


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
@final
class Sheet:
    """A CSV of labels: one row for each file, named relative to the folder that it lies in.

    `target` names the column of the answers, or several with a class each, of ones and zeros; `separator` is
    what stands between the classes of one column.
    """

    def __init__(self, file: Path, target: Any, separator: str | None) -> None:
        self.file, self.separator = file, separator
        self.rows = _read(file)
        columns = list(self.rows[0])
        self.place = _column(file, columns, _FILES, "the names of the files", None)
        rest = [name for name in columns if name != self.place]
        asked = list(target) if isinstance(target, list | tuple) else [target]
        self.answers = [_column(file, rest, ANSWERS, "the classes", name) for name in asked]

    def labels(self, files: Iterable[Path]) -> list[str | tuple[str, ...]]:
        """The label of each file, or its several. Raises `Refusal` for one without, and for a row of none."""
        names = {file.relative_to(self.file.parent).as_posix(): file for file in files}
        told: dict[str, str | tuple[str, ...]] = {}
        for number, row in enumerate(self.rows, start=2):
            name = row[self.place].removeprefix("./")
            if name in told:
                raise Refusal(f"{self.file}, line {number}: {name} has a row already: leave one of them.")
            if name not in names:
                raise Refusal(f"{self.file}, line {number}: there is no file {name} beside it.")
            told[name] = self._label(row, number)
        left = [name for name in names if name not in told]
        if left:
            raise Refusal(
                f"{self.file} has no row for {len(left)} of {len(names)} files, such as {left[0]}: label "
                "them or take them out."
            )
        return [told[name] for name in names]

    def _label(self, row: Mapping[str, str], number: int) -> str | tuple[str, ...]:
        if len(self.answers) > 1:
            said = {name: mark(row[name], f"{self.file}, line {number}: {name}") for name in self.answers}
            return tuple(name for name, here in said.items() if here)
        text = row[self.answers[0]]
        return text if self.separator is None else parted(text, self.separator)


def mark(text: str, where: str) -> bool:
    """Whether an example has a class, by a cell of its own column. Raises `Refusal` for other words."""
    found = _MARKS.get(text.strip().lower())
    if found is None:
        raise Refusal(
            f"{where} is '{text}'; of several columns in data.target each holds 0 and 1, or true and false."
        )
    return found


def parted(text: str, separator: Any) -> tuple[str, ...]:
    """The classes in one cell. Raises `Refusal` for a separator that is none."""
    if not isinstance(separator, str) or not separator:
        raise Refusal(f"data.separator {separator!r} must be the sign between two classes, such as '|'.")
    return tuple(filter(None, (part.strip() for part in text.split(separator))))


def _read(file: Path) -> list[dict[str, str]]:
    try:
        separator, _ = header(file)
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines, restval="", delimiter=separator))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refusal(f"{file} is no table that can be read ({error}): save it as CSV in UTF-8.") from error
    if not rows:
        raise Refusal(f"{file} has no rows under its header.")
    long = next((number for number, row in enumerate(rows, start=2) if None in row), None)
    if long is not None:
        raise Refusal(f"{file}, row {long} has more values than there are names above: mend the row.")
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
    about: Mapping[str, Any], targets: NDArray[Any], parts: NDArray[np.int8], notes: list[str]
) -> None:
    """Raise `Refusal` for a class that is tested and never learnt; tell of one that is learnt alone."""
    if about["task"] == "regression" or (parts == UNSPLIT).any():
        return
    names, learnt = about["names"], _classes_in(targets[parts == TRAIN])
    for part, named in ((VAL, "val"), (TEST, "test")):
        here = _classes_in(targets[parts == part])
        strange = sorted(here - learnt)
        if strange:
            raise Refusal(f"The class '{names[strange[0]]}' is in {named} and not in train: bring it there.")
        if here and learnt - here:
            absent = ", ".join(names[number] for number in sorted(learnt - here)[:_SHOWN])
            notes.append(f"{named} has no example of {absent}")


def _classes_in(targets: NDArray[Any]) -> set[int]:
    return set((targets if targets.ndim == 1 else np.flatnonzero(targets.any(0))).tolist())

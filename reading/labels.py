"""Names of classes, and the answers that a table beside pictures gives to them."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from reading.decoded import TEST, TRAIN, UNSPLIT, VAL
from reading.frames import ANSWERS, refuse_dressed
from reading.written import LINES, PACKED, check_alike, objects, rows, spelt, strange
from refusal import Refusal

_FILES = ("file_name", "filename", "file", "path", "image", "picture", "name", "id")
_MARKS = {"0": False, "false": False, "0.0": False, "1": True, "true": True, "1.0": True}
_NOBODY = ("NA", "N/A", "n/a", "#N/A", "<NA>")
"""how programs write that there is no label, beside none, null and nan"""
_NUMBER = re.compile(r"[-+]?[0-9]{1,999}(\.[0-9]{0,999})?")
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

    Raises `Refusal` for a label that is empty or negative, which marks what nobody labelled (but -1 beside 1
    alone), and for one label in two spellings.
    """
    ranks = {name: rank for rank, name in enumerate(order)}
    names = sorted(set(labels), key=lambda name: (ranks.get(name, len(ranks)), *_order(name)))
    alike: dict[str | Fraction, str] = {}
    for name in names:
        other = alike.setdefault(_meant(name), name)
        if other != name:
            raise Refusal(
                f"{where}: the labels {other!a} and {name!a} are one in two spellings: write one of "
                "them, or a letter that tells them apart."
            )
    two = {_meant(name) for name in names} == {Fraction(-1), Fraction(1)}
    for name in names:
        unsaid = (
            not name.strip() or name.strip().lower() in ("nan", "none", "null") or name.strip() in _NOBODY
        )
        if (unsaid or (_number(name) < 0 and not two)) and name not in ranks:
            values = "" if unsaid else ", or set data.task=regression for values"
            raise Refusal(
                f"{where}: {list(labels).count(name)} examples have the label '{name}', which says that "
                f"nobody labelled them: give them a class or take them out{values}."
            )
    return names


def case_alone(names: Sequence[str], where: str) -> list[str]:
    """A sentence for each two classes that differ by capital letters alone: they may be meant."""
    first: dict[str, str] = {}
    pairs = [(first.setdefault(name.casefold(), name), name) for name in names]
    return [
        f"{where}: {one} and {other} differ by capital letters alone and are two classes"
        for one, other in pairs
        if one != other
    ]


def lookalikes(names: Sequence[str], where: str) -> list[str]:
    """A sentence for each two words of an input that may be one, as 'red' and 'Red ' are; a few."""
    first: dict[str, str] = {}
    pairs = [(first.setdefault(str(_meant(name)).casefold(), name), name) for name in names]
    return [
        f"{where}: {one!a} and {other!a} look alike and are two categories"
        for one, other in pairs
        if one != other
    ][:_SHOWN]


def _meant(name: str) -> str | Fraction:
    """What a label says whoever wrote it: a number, or a word without what cannot be seen."""
    if _NUMBER.fullmatch(name.strip()):
        return Fraction(name.strip())
    seen = "".join(one for one in unicodedata.normalize("NFC", name) if unicodedata.category(one) != "Cf")
    word = " ".join(seen.split())
    return word.lower() if word.lower() in ("true", "false") else word


def _order(name: str) -> tuple[float | Fraction, str]:
    return _number(name), name


def _number(name: str) -> float | Fraction:
    meant = _meant(name)
    return meant if isinstance(meant, Fraction) else float("inf")


@final
class Sheet:
    """A table of labels, CSV, JSON lines or parquet: one row for each file, named relative to its folder.

    `target` names the column of the answers, or several with a class each, of ones and zeros; `separator` is
    what stands between the classes of one column.
    """

    def __init__(self, file: Path, target: Any, separator: str | None) -> None:
        self.file, self.separator = file, separator
        self.rows = _read(file)
        columns = list(dict.fromkeys(name for _, row in self.rows for name in row))
        self.place = _column(file, columns, _FILES, "the names of the files", None)
        rest = [name for name in columns if name != self.place]
        asked = list(target) if isinstance(target, list | tuple) else [target]
        self.answers = [_column(file, rest, ANSWERS, "the classes", name) for name in asked]
        self.unread = [name for name in rest if name not in self.answers]
        self.told = target is not None or self.answers[0].strip().lower() in ANSWERS
        """whether a person or its name says which column is that of the classes"""

    def labels(self, files: Iterable[Path]) -> list[str | tuple[str, ...]]:
        """The label of each file, or its several. Raises `Refusal` for one without, and for a row of none."""
        names = {file.relative_to(self.file.parent).as_posix(): file for file in files}
        told: dict[str, str | tuple[str, ...]] = {}
        for number, row in self.rows:
            name = str(row.get(self.place)).removeprefix("./")
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
        if len(self.answers) == 1:
            cells = [row.get(self.answers[0]) for _, row in self.rows]
            odd = strange(cells)
            if odd is not None:
                raise Refusal(
                    f"{self.file}: {self.answers[0]} holds {odd}, which are no classes: write numbers or "
                    "words."
                )
            plain = [cell for cell in cells if cell is not None and not isinstance(cell, list)]
            check_alike(plain, f"{self.file}: {self.answers[0]}")
            if self.separator is None:
                refuse_dressed(set(plain), f"{self.file}: {self.answers[0]}")
        return [told[name] for name in names]

    def _label(self, row: Mapping[str, Any], number: int) -> str | tuple[str, ...]:
        where = f"{self.file}, line {number}"
        if len(self.answers) > 1:
            said = {name: mark(str(row.get(name)), f"{where}: {name}") for name in self.answers}
            return tuple(name for name, here in said.items() if here)
        cell = row.get(self.answers[0])
        if isinstance(cell, dict):
            raise Refusal(f"{where}: {self.answers[0]} is no class and no list of them: set data.target.")
        several = self.separator is not None or isinstance(cell, list)
        return classes_in(cell, self.separator) if several else "" if cell is None else spelt(cell)


def mark(text: str, where: str) -> bool:
    """Whether an example has a class, by a cell of its own column. Raises `Refusal` for other words."""
    found = _MARKS.get(text.strip().lower())
    if found is None:
        raise Refusal(
            f"{where} is '{text}'; of several columns in data.target each holds 0 and 1, or true and false."
        )
    return found


def classes_in(cell: Any, separator: Any) -> tuple[str, ...]:
    """The several classes in one cell. Raises `Refusal` for a separator that is none."""
    if isinstance(cell, list | tuple):
        return tuple(map(spelt, cell))
    if separator is not None and (not isinstance(separator, str) or not separator):
        raise Refusal(f"data.separator {separator!r} must be the sign between two classes, such as '|'.")
    word = "" if cell is None else spelt(cell)
    parts = word.split(separator) if separator is not None else [word]
    return tuple(filter(None, map(str.strip, parts)))


def _read(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """(line, values by name) of all rows."""
    try:
        found = list(_rows(file))
    except (OSError, ValueError, csv.Error) as error:
        raise Refusal(
            f"{file} is no table that can be read ({error}): save it anew, as CSV in UTF-8."
        ) from error
    if not found:
        raise Refusal(f"{file} has no rows under its header.")
    return found


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if file.suffix.lower() in PACKED:
        return _packed(file)
    return objects(file) if file.suffix.lower() in LINES else rows(file)


def _packed(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row, values by name) of parquet."""
    try:
        from pyarrow import parquet
    except ImportError as missing:
        raise Refusal(f"{file} needs pyarrow: pip install -e '.[data]'.") from missing
    with parquet.ParquetFile(file) as packed:
        table = packed.read()
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise Refusal(f"{file} has two columns called '{twice[0]}': give each a name of its own.")
    yield from enumerate(table.to_pylist(), start=1)


def _column(file: Path, columns: list[str], usual: Sequence[str], what: str, asked: Any) -> str:
    if asked is not None:
        if str(asked) not in columns:
            raise Refusal(f"{file} has the columns {', '.join(columns)}: set data.target to one of them.")
        return str(asked)
    for name in usual:
        fitting = [column for column in columns if column.strip().lower() == name]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            columns = fitting
            break
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

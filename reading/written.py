"""CSV and JSON lines as they were written, row by row; what can be read in two ways is refused."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from refusal import Refusal

SPELT = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")
PACKED = (".parquet",)
_SEPARATORS = (",", ";", "\t", "|")
_CODE = re.compile(r"\s*[-+]?0[0-9]+\s*")
"""a number that is written with zeros before it, as article 007 is"""
_BEFORE_CODES = frozenset("0+- \t")


def header(file: Path) -> tuple[str, list[str]]:
    """The sign between the values of a CSV, and the names above them, each its own."""
    csv.field_size_limit(2**31 - 1)  # usually 128 KiB, and a text may be longer
    above: dict[str, list[str]] = {}
    for separator in _SEPARATORS:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            above[separator] = next(filter(None, csv.reader(_whole(lines), delimiter=separator)), [""])
    separator = max(above, key=lambda sign: len(above[sign]))
    # Pandas calls what has no name by its place.
    names = [name.strip() or f"Unnamed: {at}" for at, name in enumerate(above[separator])]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Refusal(f"{file} has two columns called '{twice[0]}': give each a name of its own.")
    return separator, names


def rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, values by name) of a CSV. Raises `Refusal` for rows that pandas would change: see `_cells`."""
    _, names = header(file)
    return ((number, dict(zip(names, row, strict=True))) for number, row in _cells(file))


def codes(file: Path) -> set[str]:
    """The columns of a CSV in which some number is written as 007 is; all its rows are looked at."""
    _, names = header(file)
    found = set[int]()
    for _, row in _cells(file):
        for at, cell in enumerate(row):
            if cell[:1] in _BEFORE_CODES and _CODE.fullmatch(cell):
                found.add(at)
    return {names[at] for at in found}


def _cells(file: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, values) below the names.

    Raises `Refusal` for a row of more or fewer values than names: pandas fills a short one with gaps, and
    takes the first values of a long one for its name; and for a quote within a value or without its other.
    """
    separator, names = header(file)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(_whole(lines), delimiter=separator, strict=True)
        try:
            for at, row in enumerate(filter(None, reader)):
                if len(row) != len(names):
                    raise Refusal(
                        f"{file}, line {reader.line_num} has {len(row)} values under {len(names)} names: "
                        "mend the row."
                    )
                if at:
                    yield reader.line_num, row
        except csv.Error as error:
            raise Refusal(
                f"{file} is no table that can be read: line {reader.line_num} ({error}). Quotes stand around "
                'a whole value, and "" is one within.'
            ) from error


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Lines without zero bytes, at which pandas would end a value."""
    for line in lines:
        if "\0" in line:
            raise ValueError("it has zero bytes, so it is no UTF-8 or damaged")
        yield line


def objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, values by name) of JSON lines. Raises `Refusal` for a line that is none, or empty."""
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row = json.loads(line, object_pairs_hook=_each_once)
            if not isinstance(row, dict) or not row:
                raise Refusal(f"{file}, line {number} is no object of values: write one in each line.")
            yield number, row


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object, of whose equal names Python keeps the last without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it says '{twice}' twice in one object")
    return found


def spelt(cell: Any) -> str:
    """A value of a table as a word: 3 and 3.0 are one number."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def strange(cells: Iterable[Any]) -> str | None:
    """What the first cell that is neither a word nor a number is called, or what a list holds; or None."""
    for cell in cells:
        for one in cell if isinstance(cell, list | tuple | np.ndarray) else (cell,):
            if one is not None and not isinstance(one, str | Real | Decimal | np.bool_):
                listed = isinstance(one, list | tuple | np.ndarray)
                return "lists" if listed else f"{type(one).__name__.lower().removesuffix('s')}s"
    return None


def check_alike(cells: Iterable[Any], where: str) -> None:
    """Raise `Refusal` for answers that look alike and are not, as 1 and "1", or 1 and true."""
    kinds: dict[str, bool] = {}
    marks = set[bool]()
    for cell in cells:
        word = isinstance(cell, str)
        marks.add(isinstance(cell, bool))
        if kinds.setdefault(spelt(cell), word) is not word or len(marks) > 1:
            said = (
                f"{spelt(cell)} as a number and as a word"
                if len(marks) < 2
                else "true or false beside others"
            )
            raise Refusal(f"{where} holds {said}: write all answers alike.")

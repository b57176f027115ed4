"""Tables of people's own, CSV, parquet or JSON lines, as they are written: nothing is guessed in silence."""

import csv
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading.decoded import TEST, TRAIN, UNSPLIT, VAL
from refusal import Refusal

ENDINGS = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
_PARTS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "dev": VAL, "test": TEST}
_SEPARATORS = (",", ";", "\t", "|")
_DRESSED = re.compile(r"[$€£]? ?[-+]?([0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?|[0-9]*[.,]?[0-9]+) ?[%$€£]?")
"""a number with a comma or a sign that is no part of it"""


def tables(path: Path) -> dict[int, tuple[Path, Any]]:
    """Part -> (file, pandas frame): one file is one pool, a folder has train and perhaps val and test.

    Raises `Refusal` for what is no table, for tables of different columns, and for names that say no part.
    """
    if path.is_file():
        return {UNSPLIT: (path, frame(path))}
    files = [one for one in sorted(path.iterdir()) if one.suffix.lower() in ENDINGS]
    if len(files) == 1:
        return {UNSPLIT: (files[0], frame(files[0]))}
    parts: dict[int, Path] = {}
    for file in files:
        part = _PARTS.get(file.stem.lower().split("-")[0])
        if part is None or part in parts:
            raise Refusal(
                f"{path} holds {', '.join(one.name for one in files)}: name the file, or one each of train, "
                "val and test."
            )
        parts[part] = file
    if TRAIN not in parts:
        raise Refusal(f"{path} holds no table called train: {' or '.join(ENDINGS)} is what data.path takes.")
    found = {part: (file, frame(file)) for part, file in parts.items()}
    first = list(found[TRAIN][1].columns)
    for file, own in found.values():
        if set(own.columns) != set(first):
            odd = sorted(set(own.columns) ^ set(first))[0]
            raise Refusal(f"{file}: the column {odd} is not in all parts: bring tables of the same columns.")
    return found


def frame(file: Path) -> Any:
    """One table; its words are text, and only empty cells and NA are missing."""
    pandas, ending = _pandas(), file.suffix.lower()
    try:
        if ending == ".parquet":
            found = _without_decimals(pandas.read_parquet(file))
        elif ending in (".jsonl", ".ndjson"):
            found = _from_lines(pandas, file)
        elif ending in (".csv", ".tsv"):
            found = _from_csv(pandas, file)
        else:
            raise Refusal(f"{file} is no table: bring one that ends in {', '.join(ENDINGS)}.")
    except (OSError, ValueError, csv.Error) as error:  # pandas's own are all ValueErrors
        how = "" if ending == ".parquet" else ", in UTF-8"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refusal(f"{file} is no table that can be read ({reason}): save it anew{how}.") from error
    found.columns = [str(name) for name in found.columns]
    twice = found.columns[found.columns.duplicated()]
    if len(twice):
        raise Refusal(f"{file} has two columns called '{twice[0]}': give each a name of its own.")
    for name in found.columns:
        found[name] = without_lists(found[name])
    if not len(found):
        raise Refusal(f"{file} has no rows.")
    return found


def column(where: Any, names: list[str], asked: str | None, usual: tuple[str, ...], key: str) -> str:
    """The column that `asked` names, else the one with a usual name. Raises `Refusal` where none is told."""
    if asked is not None and asked in names:
        return asked
    plain = {name.strip().lower(): name for name in names}
    told = None if asked is not None else next((plain[name] for name in usual if name in plain), None)
    if told is None:
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise Refusal(f"{where} has the columns {shown}: set data.{key} to one of them.")
    return told


def plain(values: Any, name: str, where: Any) -> NDArray[Any]:
    """Answers as numbers or words. Raises `Refusal` for one that is missing."""
    missing = np.flatnonzero(values.isna().to_numpy())
    if len(missing):
        raise Refusal(
            f"{where}: {len(missing)} rows have no {name}, the first in row {int(missing[0]) + 1}: fill them "
            "or take them out."
        )
    if values.dtype.kind in "fiu":
        return np.asarray(values.to_numpy(float if values.dtype.kind == "f" else int))
    refuse_dressed(values, f"{where}: {name}")
    return np.asarray(values.astype(str).to_numpy(object))


def refuse_dressed(values: Any, where: str) -> None:
    """Raise `Refusal` where all words are numbers and some have commas or signs: they would be categories."""
    words = [str(word).strip() for word in values.dropna().unique()]
    dressed = next((word for word in words if not _is_number(word)), None)
    if dressed is not None and all(_DRESSED.fullmatch(word) or _is_number(word) for word in words):
        raise Refusal(f"{where} holds numbers with commas or signs, such as '{dressed}': write 1234.5 alone.")


def strays(values: Any) -> list[str] | None:
    """What is no number in a column that is of numbers for the most part; None where it is not."""
    words = [str(word) for word in values.dropna().unique()]
    odd = [word for word in words if not _is_number(word)]
    return odd if len(odd) < len(words) / 2 else None


def _from_csv(pandas: Any, file: Path) -> Any:
    separator, names = header(file)
    if all(_is_number(name) for name in names):
        raise Refusal(
            f"{file} begins with values ({separator.join(names)[:40]}): write the columns' names above them."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Refusal(f"{file} has two columns called '{twice[0]}': give each a name of its own.")
    _check_widths(file, separator, len(names))
    # Of its long list of words that mean nothing, `None`, `null` and `nan` may well be somebody's answers.
    return pandas.read_csv(
        file,
        sep=separator,
        encoding="utf-8-sig",
        index_col=False,
        keep_default_na=False,
        na_values=["", "NA", "NaN", "nan"],
        low_memory=False,  # which reads by pieces, and 1 in one piece is 1.0 in the next
    )


def header(file: Path) -> tuple[str, list[str]]:
    """The sign between the values of a CSV, and the names above them."""
    csv.field_size_limit(2**31 - 1)  # usually 128 KiB, and a text may be longer
    above: dict[str, list[str]] = {}
    for separator in _SEPARATORS:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            above[separator] = next(filter(None, csv.reader(lines, delimiter=separator)), [""])
    separator = max(above, key=lambda sign: len(above[sign]))
    return separator, [name.strip() for name in above[separator]]


def _check_widths(file: Path, separator: str, width: int) -> None:
    """Pandas fills a short row with gaps and takes the first values of a long one for its name."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines, delimiter=separator)
        for row in rows:
            if row and len(row) != width:
                raise Refusal(
                    f"{file}, line {rows.line_num} has {len(row)} values under {width} names: mend the row."
                )


def _from_lines(pandas: Any, file: Path) -> Any:
    rows = []
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            row = json.loads(line) if line.strip() else {}
            if not isinstance(row, dict) or any(isinstance(value, dict) for value in row.values()):
                raise Refusal(f"{file}, line {number} is no object of plain values: write one in each line.")
            rows += [row] if row else []
    return pandas.DataFrame(rows)


def _without_decimals(found: Any) -> Any:
    """Exact decimals of parquet as numbers; pandas keeps them as objects."""
    for name in found.columns:
        there = found[name].dropna()
        if len(there) and there.dtype == object and there.map(lambda value: isinstance(value, Decimal)).all():
            found[name] = found[name].astype(float)
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as missing:
        raise Refusal("Tables need pandas: pip install -e '.[data]'.") from missing
    return pandas


def without_lists(values: Any) -> Any:
    """A column whose cells hold lists has tuples of words instead, which are the several classes of a row."""
    if values.dtype != object or not any(isinstance(value, list | np.ndarray) for value in values):
        return values
    return values.map(
        lambda value: tuple(str(item) for item in value) if isinstance(value, list | np.ndarray) else value
    )


def joined(parts: Mapping[int, tuple[Any, Any]]) -> tuple[Any, Any, NDArray[np.int8]]:
    """(what a sentence calls the first part, all rows as one pandas frame, the part of each row)."""
    import pandas

    frames = [own for _, own in parts.values()]
    whole = pandas.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0].reset_index(drop=True)
    numbers = np.repeat(np.array(list(parts), np.int8), [len(own) for own in frames])
    return next(iter(parts.values()))[0], whole, numbers

"""Tables of people's own, CSV, parquet or JSON lines, as they are written: nothing is guessed in silence."""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading.decoded import TEST, TRAIN, UNSPLIT, VAL
from reading.written import LINES, SPELT, check_alike, codes, header, objects, spelt, strange
from refusal import Refusal

ENDINGS = (*SPELT, ".parquet", *LINES)
ANSWERS = ("label", "labels", "class", "target", "category", "y")
_PARTS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "dev": VAL, "test": TEST}
_GAPS = ("", "NA", "NaN", "nan")
"""what stands for a number that is missing; among words all but the first may be somebody's word"""
_DRESSED = re.compile(
    r"[$€£]? ?[-+]?([0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?|[0-9]{1,3}(\.[0-9]{3})+,[0-9]+"
    r"|[0-9]{1,3}([ '’\u00a0\u202f][0-9]{3})+([.,][0-9]+)?|[0-9]*[.,]?[0-9]+)([eE][-+]?[0-9]+)? ?[%$€£]?"
)
"""a number with a comma or a sign that is no part of it, as 1,234.5, 1.234,5 and 1 234,5 are"""
_SHOWN = 5


def tables(
    path: Path, target: Any, notes: list[str], texts: Sequence[str] = ()
) -> dict[int, tuple[Path, Any]]:
    """Part -> (file, pandas frame): one file is one pool, a folder has train and perhaps val and test.

    `target` names the answers, which stay words where some are numbers written as 007 is; columns called as
    in `texts` are words in any case. What lies beside the tables is added to `notes`. Raises `Refusal` for
    what is no table, for tables of different columns, and for names that say no part.
    """
    files = {UNSPLIT: path} if path.is_file() else _files(path, notes)
    found = {part: (files[part], own) for part, own in _frames(files, target, texts).items()}
    first = list(next(iter(found.values()))[1].columns)
    for file, own in found.values():
        if set(own.columns) != set(first):
            odd = sorted(set(own.columns) ^ set(first))[0]
            raise Refusal(f"{file}: the column {odd} is not in all parts: bring tables of the same columns.")
    return found


def _files(folder: Path, notes: list[str]) -> dict[int, Path]:
    """Part -> its table."""
    inside = [one for one in sorted(folder.iterdir()) if not one.name.startswith((".", "__"))]
    files = [one for one in inside if one.is_file() and one.suffix.lower() in ENDINGS]
    other = [one for one in inside if one not in files]
    lost = next((one for one in other if _part(one) is not None), None)
    if lost is not None and files:
        raise Refusal(
            f"{lost} is called as a part and is no table: bring it as {', '.join(ENDINGS)}, unpacked, or "
            "take it out."
        )
    notes += [f"no table, so left out: {', '.join(one.name for one in other[:_SHOWN])}"] if other else []
    if len(files) == 1:
        return {UNSPLIT: files[0]}
    parts: dict[int, Path] = {}
    for file in files:
        part = _part(file)
        if part is None or part in parts:
            raise Refusal(
                f"{folder} holds {', '.join(one.name for one in files)}: name the file, or one each of "
                "train, val and test."
            )
        parts[part] = file
    if TRAIN not in parts:
        raise Refusal(
            f"{folder} holds no table called train: {' or '.join(ENDINGS)} is what data.path takes."
        )
    return dict(sorted(parts.items()))


def _part(file: Path) -> int | None:
    return _PARTS.get(re.split(r"[-.]", file.name.lower())[0])


def _frames(files: Mapping[int, Path], target: Any, texts: Sequence[str]) -> dict[int, Any]:
    """The tables of all parts; a column of their CSVs holds numbers in all of them, or words."""
    pandas = _pandas()
    spelt_out = [file for file in files.values() if file.suffix.lower() in SPELT]
    words = _words(pandas, spelt_out, target, texts)
    return {part: _frame(pandas, file, words) for part, file in files.items()}


def _frame(pandas: Any, file: Path, words: Collection[str]) -> Any:
    """One table, with names that are words, each once."""
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        raise Refusal(f"{file} is no table: bring one that ends in {', '.join(ENDINGS)}, unpacked.")
    with _refusing(file):
        if ending == ".parquet":
            found = _from_parquet(pandas, file)
        else:
            found = _from_lines(pandas, file) if ending in LINES else _from_csv(pandas, file, words)
        found.columns = [str(name).strip() for name in found.columns]
        twice = found.columns[found.columns.duplicated()]
        if len(twice):
            raise Refusal(f"{file} has two columns called '{twice[0]}': give each a name of its own.")
        for name in found.columns:
            found[name] = tidied(found[name])
    if not len(found):
        raise Refusal(f"{file} has no rows.")
    return found


@contextmanager
def _refusing(file: Path) -> Iterator[None]:
    """Whatever a file does to those who read it is a `Refusal` that names it."""
    try:
        yield
    except (OSError, ValueError, csv.Error) as error:  # pandas's own are all ValueErrors
        how = "" if file.suffix.lower() == ".parquet" else ", in UTF-8"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refusal(f"{file} is no table that can be read ({reason}): save it anew{how}.") from error


def column(where: Any, names: list[str], asked: Any, usual: tuple[str, ...], key: str) -> str:
    """The column that `asked` names, else the one with a usual name. Raises `Refusal` where none is told."""
    if asked is not None and str(asked) in names:
        return str(asked)
    for one in usual if asked is None else ():
        fitting = [name for name in names if name.strip().lower() == one]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:  # as Label and label: which is meant is not told
            names = fitting
            break
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    raise Refusal(f"{where} has the columns {shown}: set data.{key} to one of them.")


def plain(values: Any, name: str, where: Any) -> NDArray[Any]:
    """Answers as numbers or words. Raises `Refusal` for one that is missing, or neither of the two."""
    missing = np.flatnonzero(values.isna().to_numpy())
    if len(missing):
        raise Refusal(
            f"{where}: {len(missing)} rows have no {name}, the first in row {int(missing[0]) + 1}: fill them "
            "or take them out."
        )
    if values.dtype.kind in "fiu":
        return np.asarray(
            values.to_numpy({"f": np.float64, "i": np.int64, "u": np.uint64}[values.dtype.kind])
        )
    refuse_dressed(values.unique(), f"{where}: {name}")
    check_alike(values, f"{where}: {name}")
    return np.array([spelt(cell) for cell in values], object)


def odd_in(values: Any) -> str | None:
    """What a column holds that is neither numbers nor words, such as lists, bytes or times; else None."""
    if any(isinstance(value, tuple | list | np.ndarray) for value in values):
        return "lists"
    return strange(values.dropna())


def refuse_dressed(cells: Iterable[Any], where: str) -> None:
    """Raise `Refusal` where all words are numbers and some have commas or signs: they would be categories."""
    words = [str(word).strip() for word in cells]
    dressed = next((word for word in words if not _is_number(word)), None)
    if dressed is not None and all(_DRESSED.fullmatch(word) or _is_number(word) for word in words):
        raise Refusal(f"{where} holds numbers with commas or signs, such as '{dressed}': write 1234.5 alone.")


def strays(values: Any) -> list[str] | None:
    """What is no number in a column that is of numbers for the most part; None where it is not."""
    words = [str(word) for word in values.dropna().unique()]
    odd = [word for word in words if not _is_number(word)]
    return odd if len(odd) < len(words) / 2 else None


def _words(pandas: Any, files: Sequence[Path], target: Any, texts: Sequence[str]) -> set[str]:
    """The columns of CSVs that hold words in any of them, in whose place pandas would guess for each alone.

    To it 007 and 7 are one number. Answers that are written so are words; other columns where two of their
    numbers would become one.
    """
    written, tried = set[str](), []
    for file in files:
        with _refusing(file):
            written |= codes(file)
    for file in files:
        with _refusing(file):
            tried.append(_from_csv(pandas, file, written))
    columns = [(name, own[name]) for own in tried for name in own.columns]
    words = {name for name, values in columns if values.dtype.kind not in "fiu"}
    asked = [target] if target is None or isinstance(target, str | int) else list(target)
    for name in written:
        answers = name in map(str, asked) or (target is None and name.lower() in ANSWERS)
        if not answers and _told_apart([values for other, values in columns if other == name]):
            words.remove(name)
    return words | {name for name, _ in columns if name in texts or name.lower() in texts}


def _told_apart(columns: Sequence[Any]) -> bool:
    """Whether words are numbers, and each another one."""
    words = {word for own in columns for word in own.dropna().unique()} - {*_GAPS}
    return all(map(_is_number, words)) and len(set(map(float, words))) == len(words)


def _from_csv(pandas: Any, file: Path, words: Collection[str]) -> Any:
    """Of a CSV, whose columns of `words` are as they are written."""
    separator, names = header(file)
    if all(_is_number(name) for name in names):
        raise Refusal(
            f"{file} begins with values ({separator.join(names)[:40]}): write the columns' names above them."
        )
    return pandas.read_csv(
        file,
        sep=separator,
        encoding="utf-8-sig",
        header=0,
        names=names,
        index_col=False,
        dtype={name: str for name in names if name in words},
        # Of its long list of words that mean nothing, `None`, `null` and `n/a` may well be somebody's.
        keep_default_na=False,
        na_values={name: [""] if name in words else list(_GAPS) for name in names},
        low_memory=False,  # which reads by pieces, and 1 in one piece is 1.0 in the next
    )


def _from_lines(pandas: Any, file: Path) -> Any:
    found = []
    for number, row in objects(file):
        if any(isinstance(value, dict) for value in row.values()):
            raise Refusal(f"{file}, line {number} is no object of plain values: write one in each line.")
        found.append(row)
    return pandas.DataFrame(found)


def _from_parquet(pandas: Any, file: Path) -> Any:
    found = pandas.read_parquet(file)
    # A column that was the index of a frame, as pandas remembers; numbers without a name number rows.
    if found.index.names == [None] and found.index.dtype.kind not in "iu":
        found.index.name = "Unnamed: 0"
    return found.reset_index() if any(name is not None for name in found.index.names) else found


def _without_decimals(values: Any) -> Any:
    """Exact decimals of parquet as numbers; pandas keeps them as objects."""
    there = values.dropna() if values.dtype == object else ()
    return values.astype(float) if len(there) and all(isinstance(one, Decimal) for one in there) else values


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


def tidied(values: Any) -> Any:
    """A column whose exact decimals are numbers, and whose lists are tuples of words: the classes of a row.

    Lists of other things than numbers and words stay what they are, for who reads the column to refuse.
    """
    values = _without_decimals(values)
    lists = [value for value in values if isinstance(value, list | np.ndarray)]
    if not lists or strange(lists) is not None:
        return values
    return values.map(
        lambda value: tuple(map(spelt, value)) if isinstance(value, list | np.ndarray) else value
    )


def joined(parts: Mapping[int, tuple[Any, Any]]) -> tuple[Any, Any, NDArray[np.int8]]:
    """(what a sentence calls the first part, all rows as one pandas frame, the part of each row)."""
    import pandas

    frames = [own for _, own in parts.values()]
    whole = pandas.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0].reset_index(drop=True)
    numbers = np.repeat(np.array(list(parts), np.int8), [len(own) for own in frames])
    return next(iter(parts.values()))[0], whole, numbers

"""How a folder of examples is laid out: parts, classes, and a table of labels beside the files."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

from reading.decoded import TEST, TRAIN, UNSPLIT, VAL
from reading.digest import walk
from reading.labels import Sheet
from reading.signals import ENDINGS
from reading.written import LINES, PACKED, SPELT
from refusal import Refusal

_PARTS = {"train": TRAIN, "training": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "dev": VAL}
_PARTS |= {"test": TEST, "testing": TEST}
_SHEETS = ("metadata", "labels")
_NO_DATA = ("__MACOSX", "__pycache__")
SHOWN = 5
"""names that a sentence gives before it only counts"""


@final
class Example(NamedTuple):
    """One file, its label, the part that its folder says, and where the label is from."""

    file: Path
    label: str | tuple[str, ...]
    part: int
    said: Path


def examples_of(path: Path, target: Any, separator: str | None, notes: list[str]) -> Iterator[Example]:
    """All files under `path` with their labels; what is left out, as no data, is added to `notes`.

    Raises `Refusal` for a layout that can be read in two ways, and for a file without a label.
    """
    folders = _folders(path)
    own = {one: _PARTS[one.name.lower()] for one in folders if one.name.lower() in _PARTS}
    answer = target, separator
    if not own:
        yield from _labelled(path, answer, UNSPLIT, notes)
        return
    others = [one.name for one in folders if one not in own]
    if others or len(set(own.values())) < len(own):
        first = next((one.name for one, part in own.items() if part == TRAIN), min(own).name)
        beside = others[0] if others else sorted(one.name for one in own)
        raise Refusal(
            f"data.path: {path} has a folder {first} and beside it {beside}: name one folder for each of "
            "train, val and test, and set data.path to the folder that holds only these; a class needs "
            "another name."
        )
    if TRAIN not in own.values():
        raise Refusal(f"data.path: {path} has a folder {min(own).name} and none called train: add it.")
    own = dict(sorted(own.items(), key=lambda item: item[1]))
    sheet = _sheet(path, *answer)
    other = [file for file in _files(path) if sheet is None or file != sheet.file]
    parts = {file: _PARTS.get(file.name.lower().split(".")[0]) for file in other}  # as test.zip has one
    loose = [file for file in other if _is_data(file) or parts[file] not in (None, *own.values())]
    if loose:
        raise Refusal(f"{loose[0]} lies beside the folders train, val and test: put it into one of them.")
    _tell_left_out(other, notes)
    if sheet is not None:  # one for all parts, with names such as train/0.png
        held = [(file, part) for one, part in own.items() for file in _data(one, notes)]
        labels = _of_sheet(sheet, [file for file, _ in held], 2, notes)
        pairs = zip(held, labels, strict=True)
        yield from (Example(file, label, part, sheet.file) for (file, part), label in pairs)
        return
    for one, part in own.items():
        yield from _labelled(one, answer, part, notes)


def own_parts(path: Path) -> dict[int, Path]:
    """Part -> its folder, where there is one for training; empty where the parts are still to be drawn.

    Raises `Refusal` for two folders of one part.
    """
    named = [one for one in _folders(path) if one.name.lower() in _PARTS]
    own = {_PARTS[one.name.lower()]: one for one in named}
    if TRAIN in own and len(own) < len(named):
        raise Refusal(
            f"data.path: {path} has the folders {', '.join(one.name for one in named)}, of which two are one "
            "part: leave one folder for each of train, val and test."
        )
    return own if TRAIN in own else {}


def named_part(file: Path) -> int | None:
    """The part that a file's name tells, as wiki.train.raw does; None where it tells none, or two."""
    told = {_PARTS[word] for word in re.split(r"[._-]+", file.name.lower()) if word in _PARTS}
    return told.pop() if len(told) == 1 else None


def _labelled(place: Path, answer: tuple[Any, str | None], part: int, notes: list[str]) -> Iterator[Example]:
    """What lies in one part's folder: by the table beside it, else by its folders."""
    sheet = _sheet(place, *answer)
    data = _data(place, notes, None if sheet is None else sheet.file)
    if sheet is not None:
        pairs = zip(data, _of_sheet(sheet, data, 1, notes), strict=True)
        yield from (Example(file, label, part, sheet.file) for file, label in pairs)
        return
    loose = [file for file in data if file.parent == place]
    if loose:
        raise Refusal(
            f"{loose[0]} lies in no folder of a class, and no CSV beside it names its class: put each file "
            "into the folder of its class, or write labels.csv with the columns file_name and label."
        )
    _check_classes(place, data, notes)
    for one in _folders(place):
        inside = [file for file in data if one in file.parents]
        if not inside:
            raise Refusal(f"{one} holds no picture and no signal: fill the class or remove its folder.")
        yield from (Example(file, one.name, part, place) for file in inside)


def _check_classes(place: Path, data: Sequence[Path], notes: list[str]) -> None:
    """Tell of files that lie deeper than the folder of their class.

    Raises `Refusal` where parts would be classes, as train_images and test_images, or lie below classes.
    """
    tops = _folders(place)
    parts = {one: named_part(one) for one in tops}
    if None not in parts.values() and len({*parts.values()}) > 1 and TRAIN in parts.values():
        raise Refusal(
            f"data.path: {place} has the folders {' and '.join(one.name for one in tops[:SHOWN])}, which are "
            "called as parts and would be classes: call them train, val and test, a folder a class in each."
        )
    deep = [file for file in data if len(file.relative_to(place).parts) > 2]
    below = {
        _PARTS[name.lower()]: file
        for file in deep
        for name in file.relative_to(place).parts[1:-1]
        if name.lower() in _PARTS
    }
    if TRAIN in below and len(below) > 1:
        raise Refusal(
            f"{below[TRAIN]} lies in a part's folder below its class: put the parts above the classes, as in "
            "train/cat and test/cat."
        )
    if deep:
        first = deep[0].relative_to(place)
        notes.append(
            f"{len(deep)} files lie deeper than the folders of classes, such as {first.as_posix()}, whose "
            f"class is {first.parts[0]}"
        )


def _of_sheet(sheet: Sheet, files: list[Path], depth: int, notes: list[str]) -> list[str | tuple[str, ...]]:
    """What a table says of the files; that it says more, or other than their folders, is told.

    Raises `Refusal` where files lie in folders as those of classes do, `depth` names below the table, and it
    has no column that is called as classes are.
    """
    folders = {file.parent for file in files if len(file.relative_to(sheet.file.parent).parts) > depth}
    if len(folders) > 1 and not sheet.told:
        raise Refusal(
            f"{sheet.file} has no column of classes by its name, and the files lie in folders such as "
            f"{min(folders).name}: set data.target={sheet.answers[0]} if it is theirs, or take it out."
        )
    if len(folders) > 1:
        notes.append(f"the classes are those of {sheet.file.name}, not the folders' names")
    if sheet.unread:
        notes.append(f"columns of {sheet.file.name} that are not read: {', '.join(sheet.unread)}")
    return sheet.labels(files)


def _sheet(place: Path, target: Any, separator: str | None) -> Sheet | None:
    """The table of labels in a folder, if there is one; several are refused unless one has a usual name."""
    kinds = {file: file.suffix.lower() for file in _files(place)}
    usual = [
        file for file, kind in kinds.items() if kind in (*SPELT, *LINES, *PACKED) and file.stem in _SHEETS
    ]
    chosen = usual or [file for file, kind in kinds.items() if kind == ".csv"]
    if len(chosen) > 1:
        raise Refusal(
            f"{place} holds {' and '.join(file.name for file in chosen)}: leave one table of labels, or call "
            "it labels.csv."
        )
    return Sheet(chosen[0], target, separator) if chosen else None


def _folders(place: Path) -> list[Path]:
    return sorted(one for one in place.iterdir() if one.is_dir() and not _hidden(one, place))


def _files(place: Path) -> list[Path]:
    return sorted(one for one in place.iterdir() if one.is_file() and not one.name.startswith("."))


def _data(place: Path, notes: list[str], sheet: Path | None = None) -> list[Path]:
    """The pictures and signals under a folder; what is neither, nor its CSV of labels, is told."""
    files = [file for file in walk(place) if not _hidden(file, place) and file != sheet]
    _tell_left_out([file for file in files if not _is_data(file)], notes)
    return [file for file in files if _is_data(file)]


def _hidden(file: Path, place: Path) -> bool:
    return any(name.startswith((".", *_NO_DATA)) for name in file.relative_to(place).parts)


def _is_data(file: Path) -> bool:
    from PIL import Image

    ending = file.suffix.lower()
    return ending in ENDINGS or ending in Image.registered_extensions()


def _tell_left_out(files: Sequence[Path], notes: list[str]) -> None:
    if files:
        named = ", ".join(file.name for file in files[:SHOWN])
        more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        notes.append(f"no picture and no signal, so left out: {named}{more}")

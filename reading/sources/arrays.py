"""Arrays of numbers: an `.npz` or a folder of `.npy`, with inputs and answers by usual names, or series."""

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading.answers import answers
from reading.axes import laid, measured
from reading.decoded import TEST, TRAIN, UNSPLIT, VAL, Decoded, blank, let_go, narrowed, passing, rounded
from reading.labels import check_parts
from reading.layout import SHOWN
from reading.series import series
from refusal import Refusal

_INPUTS = ("x", "inputs", "input", "data", "images", "features", "signals")
_ANSWERS = ("y", "labels", "label", "targets", "target", "classes")
_PARTS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST}
_PIECE_BYTES = 2**24
_FLIPPED = (zipfile.BadZipFile, zlib.error, RuntimeError, TokenError)
_DAMAGED = (OSError, ValueError, EOFError, AttributeError, TypeError, *_FLIPPED)


def read(path: Path, folder: Path, *, target: str | None = None, task: str | None = None) -> Decoded:
    """Arrays x and y, or x_train, y_train, x_test, y_test, ...; `target` names the answers otherwise.

    Inputs (N), (N, F), (N, C, L), (N, C, H, W), or (N, H, W) grey pictures; uint8 stays, other numbers become
    float32. Channels that come last, as (N, H, W, 3), are put first, and told. Raises `Refusal` for what is
    missing, is not finite, or does not fit together.
    """
    arrays = _arrays(path)
    notes: list[str] = []
    inputs, labels, parts = [], [], []
    pairs = _pairs(path, arrays, target)
    unread = [name for name in arrays if name not in chain.from_iterable(pairs.values())]
    notes += [f"arrays that are not read: {', '.join(unread)}"] if unread else []
    other = [one.name for one in path.iterdir() if one.suffix not in (".npy", ".ts")] if path.is_dir() else []
    notes += [f"no arrays, so left out: {', '.join(sorted(other)[:SHOWN])}"] if other else []
    for part, (x, y) in pairs.items():
        if not (arrays[x].ndim and arrays[y].ndim) or len(arrays[x]) != len(arrays[y]):
            raise Refusal(
                f"{path}: {x} is {list(arrays[x].shape)} and {y} {list(arrays[y].shape)}: as many of each."
            )
        inputs.append((x, arrays[x]))
        labels.append(arrays[y])
        parts.append(np.full(len(arrays[y]), part, np.int8))
    if len({one.shape[1:] for one in labels}) > 1:
        raise Refusal(f"{path}: the answers of the parts have different shapes.")
    together = np.concatenate(parts)
    targets, about = answers(np.concatenate(labels), task, str(path), notes)
    check_parts(about, targets, together, notes)
    whole = _gathered(path, inputs, folder, notes)
    return Decoded(whole, targets, together, about | {"notes": list(dict.fromkeys(notes))})


def _gathered(
    path: Path, parts: list[tuple[str, NDArray[Any]]], folder: Path, notes: list[str]
) -> NDArray[Any]:
    """All parts in one array on the disk, piece by piece, as those of a folder may be larger than memory."""
    known = _of_series(path)
    kinds = [shaped(path, name, values[:1], [], known=known) for name, values in parts]
    scales = [measured(values.dtype) for _, values in parts]
    if len(set(scales)) > 1:
        named = " and ".join(f"{scale} in {name}" for scale, (name, _) in zip(scales, parts, strict=True))
        raise Refusal(f"{path}: the parts hold {named}, which may be on two scales: bring all to one type.")
    if len({one.shape[1:] for one in kinds}) > 1:
        named = " and ".join(str(list(one.shape[1:])) for one in kinds)
        raise Refusal(f"{path}: the parts hold {named}: bring all to one shape.")
    inputs = blank(folder, (sum(len(values) for _, values in parts), *kinds[0].shape[1:]), kinds[0].dtype)
    start = 0
    for name, values in parts:
        each = max(1, _PIECE_BYTES // max(1, values[:1].nbytes))
        for first in passing(values, range(0, len(values), each), each):
            piece = shaped(path, name, values[first : first + each], notes, first, known=known)
            inputs[start + first : start + first + len(piece)] = piece
            let_go(inputs)
        start += len(values)
    return inputs


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """By name, in lower case."""
    if _of_series(path):
        return series(path)
    try:
        if path.is_dir():
            return _lowered(path, ((one.stem, _array(one)) for one in sorted(path.glob("*.npy"))))
        if path.suffix == ".npy":
            raise Refusal(f"{path} is one array without answers: put x.npy and y.npy into a folder.")
        # Of a file that it opened itself NumPy leaves a damaged one open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as packed:
            return _lowered(path, ((name, packed[name]) for name in packed.files))
    except _DAMAGED as error:
        raise Refusal(
            f"{path} is damaged, or no .npz or folder of .npy with numbers alone ({error})."
        ) from error


def _of_series(path: Path) -> bool:
    return path.suffix == ".ts" or (path.is_dir() and any(path.glob("*.ts")))


def _lowered(path: Path, arrays: Iterable[tuple[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for name, values in arrays:
        if name.lower() in found:
            raise Refusal(f"{path} holds {name.lower()} and {name}: leave one of them, or rename it.")
        found[name.lower()] = values
    return found


def _array(file: Path) -> NDArray[Any]:
    try:
        found: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except _DAMAGED as error:
        raise Refusal(f"{file} is damaged or no array of numbers ({error}): bring it again.") from error
    return found


def _pairs(path: Path, arrays: Mapping[str, Any], target: str | None) -> dict[int, tuple[str, str]]:
    """Part -> the names of its inputs and answers."""
    pairs: dict[int, tuple[str, str]] = {}
    for end, part in {"": UNSPLIT, **_PARTS}.items():
        x, y = (
            _named(arrays, names, end)
            for names in (_INPUTS, (str(target).lower(),) if target is not None else _ANSWERS)
        )
        if (x is None) != (y is None) and (end or not pairs):
            if not end:
                continue
            raise Refusal(f"{path} holds {x or y} without its partner: inputs and answers come in pairs.")
        if x is not None and y is not None:
            if part in pairs:
                raise Refusal(f"{path} holds {pairs[part][0]} and {x} for one part: leave one of them.")
            pairs[part] = (x, y)
    if not pairs or (UNSPLIT in pairs and len(pairs) > 1) or (UNSPLIT not in pairs and TRAIN not in pairs):
        held = ", ".join(arrays) or "nothing"
        raise Refusal(
            f"{path} holds {held}: call the arrays x and y, or x_train, y_train, x_test and y_test, or set "
            "data.target to the name of the answers."
        )
    return pairs


def _named(arrays: Mapping[str, Any], names: tuple[str, ...], end: str) -> str | None:
    spelt = (f"{name}_{end}" if end else name for name in names)
    turned = (f"{end}_{name}" for name in names if end)
    return next((name for name in (*spelt, *turned) if name in arrays), None)


def shaped(
    path: Path, name: str, values: NDArray[Any], notes: list[str], first: int = 0, *, known: bool = False
) -> NDArray[Any]:
    """Inputs as the network takes them, of what `name` holds from example `first` on; see `read`.

    The axes are `known` where their format says which is which.
    """
    if values.dtype.kind not in "fiub" or not 1 <= values.ndim <= 4 or values.size == 0:
        raise Refusal(
            f"{path}: {name} is {values.dtype} of {list(values.shape)}; inputs are numbers of (N, ...)."
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = first + int(np.argwhere(~np.isfinite(values))[0][0])
        raise Refusal(f"{path}: {name} holds values that are not finite, the first in example {row}.")
    if not known:
        values = laid(values, name.partition("_")[0], notes)
    return np.ascontiguousarray(values if values.dtype == np.uint8 else _narrowed(path, name, values, notes))


def _narrowed(path: Path, name: str, values: NDArray[Any], notes: list[str]) -> NDArray[np.float32]:
    found = narrowed(values, f"{path}: {name}")
    if not any(one.startswith(f"{name} holds ") for one in notes):  # not once a piece
        notes += rounded(values, found, name)
    return found

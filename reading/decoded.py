"""What a source of data holds once it is read: plain arrays, mapped from the files that keep them."""

import hashlib
import json
import mmap
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from reading.moments import moments
from refusal import Refusal

TRAIN, VAL, TEST, UNSPLIT = 0, 1, 2, -1
"""the part that an example belongs to; the last is for who holds parts out"""
PARTS = ("train", "val", "test")
_ARRAYS = ("inputs", "targets", "parts", "twins")


@final
@dataclass(frozen=True)
class Decoded:
    """All examples of a source, in one order, with what tells them apart."""

    inputs: NDArray[Any]
    """(N, *shape): uint8 pixels, float32 values, or integer tokens, as the files have them: on no scale"""
    targets: NDArray[Any]
    """(N,) int64 class, (N, K) bool, (N, 1) float32 value, or (N, T) next token"""
    parts: NDArray[np.int8]
    """(N,) `TRAIN`, `VAL`, `TEST`, or `UNSPLIT`"""
    about: dict[str, Any] = field(default_factory=dict)
    """task, names of the classes, and the sentences that a person must be told (`notes`)"""
    twins: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """(N,) the first example whose input holds the same"""
    place: Path | None = None
    """the folder that it is mapped from"""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(int(size) for size in self.inputs.shape[1:])

    @property
    def task(self) -> str:
        """`classification`, `multilabel`, `regression` or `language`."""
        return str(self.about["task"])

    def moments(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """`reading.moments` of these rows, taken once for each set of them and kept beside the inputs."""
        named = hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()[:16]
        file = None if self.place is None else self.place / f"moments-{named}.json"
        if file is not None and file.is_file():
            return dict(json.loads(file.read_text()))
        found = moments(self.inputs, rows)
        if file is not None:
            with suppress(OSError), tempfile.NamedTemporaryFile("w", dir=self.place, delete=False) as new:
                new.write(json.dumps(found))
                new.flush()
                Path(new.name).replace(file)
        return found

    def facts(self) -> dict[str, Any]:
        """What a config leaves to the data: its keys under `data`, with what was found."""
        fixed = bool((self.parts == TEST).any())
        drawn = self.about.get("drawn") or ("fixed" if fixed else "anew")
        found = {"shape": list(self.shape), "task": self.task, "drawn": drawn}
        found |= {"classes": int(self.about["classes"]), "vocabulary": self.about.get("vocabulary")}
        padding = (self.about.get("tokenizer") or {}).get("padding")
        return found if padding is None else found | {"padding": padding}

    def keep(self, folder: Path) -> None:
        """Write all of it under `folder`, where its inputs may lie already."""
        for name in _ARRAYS:
            array, file = getattr(self, name), folder / f"{name}.npy"
            if not (isinstance(array, np.memmap) and file.exists()):
                np.save(file, array, allow_pickle=False)
        about = json.dumps(self.about, ensure_ascii=False)
        try:
            (folder / "about.json").write_text(about, encoding="utf-8")
        except UnicodeEncodeError as error:
            near = about[max(0, error.start - 20) : error.end + 20]
            raise Refusal(
                f"data.path: a file or folder has a name that is no UTF-8, at {near!a}: rename it."
            ) from error


def kept(folder: Path) -> Decoded:
    """What `keep` wrote, mapped: processes that read the same share its memory."""
    # Copy on write, since torch warns of arrays that it may not write to; nobody writes.
    arrays: Mapping[str, Any] = {
        name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in _ARRAYS
    }
    return Decoded(
        about=json.loads((folder / "about.json").read_text(encoding="utf-8")), place=folder, **arrays
    )


def blank(folder: Path, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array of inputs to be filled that lies on the disk, so that data may be larger than memory."""
    return np.lib.format.open_memmap(folder / "inputs.npy", mode="w+", dtype=dtype, shape=shape)


_LET_GO = 2**26
"""bytes of a mapped array that are touched before its pages are given back"""


def twins_of(inputs: NDArray[Any]) -> NDArray[np.int64]:
    """(N,) the first example with the same bytes, itself where there is none before."""
    first: dict[bytes, int] = {}
    twins = np.empty(len(inputs), np.int64)
    for place in passing(inputs, range(len(inputs))):
        digest = hashlib.blake2b(np.ascontiguousarray(inputs[place]).data, digest_size=16).digest()
        twins[place] = first.setdefault(digest, place)
    return twins


def passing(array: NDArray[Any], places: Iterable[int], rows: int = 1) -> Iterator[int]:
    """The places one by one, `rows` of a mapped array at each, while its pages do not stay resident."""
    each = max(1, _LET_GO // max(1, rows * array[:1].nbytes))
    for count, place in enumerate(places, start=1):
        yield place
        if count % each == 0:
            let_go(array)


def let_go(array: NDArray[Any]) -> None:
    """Give pages of a mapped array back; the file keeps what was written."""
    if isinstance(array, np.memmap):
        array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


_COARSE = 0.001
"""of the range of a column by which its values may be rounded before that is said"""


def rounded(values: NDArray[Any], found: NDArray[np.float32], where: str) -> list[str]:
    """A sentence where float32, with its 24 bits, makes others of whole numbers, or values nearly alike."""
    if values.dtype.kind not in "fiu" or values.dtype.itemsize < 4 or values.dtype == np.float32:
        return []
    whole = (values == np.round(values)) & (np.abs(values.astype(np.float64)) > 2**24)
    with np.errstate(invalid="ignore"):  # 2**63 is no int64, and so not the number that it was
        lost = whole & (found.astype(np.result_type(values, np.int32)) != values)
    if not lost.any():
        return _coarse(values, found, where) if values.dtype.kind == "f" and len(values) else []
    return [
        f"{where} holds whole numbers above 16777216, which are rounded to 32 bits, such as "
        f"{int(values[lost][0])} to {int(found[lost][0])}"
    ]


def _coarse(values: NDArray[Any], found: NDArray[np.float32], where: str) -> list[str]:
    """A sentence where float32 rounds by a part of the range of a column, as it does a second of 1.7e9."""
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    off = np.fmax.reduce(np.abs(found.astype(np.float64) - values))
    apart = np.where(high - low > 1e-10 * np.maximum(np.abs(low), np.abs(high)), high - low, np.inf)
    share = float(np.nan_to_num(off / apart).max(initial=0.0))
    if share <= _COARSE:
        return []
    return [
        f"{where} holds values that 32 bits round by up to {share:.1g} of what lies between them: take off "
        "what they have in common"
    ]


def narrowed(values: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Numbers as float32, which gaps may be among. Raises `Refusal` for one that is too large for it."""
    with np.errstate(over="ignore"):
        found: NDArray[np.float32] = values.astype(np.float32)
    if values.dtype.kind == "f" and (np.isinf(found) & np.isfinite(values)).any():
        raise Refusal(
            f"{where} holds values beyond 3e38, which float32 cannot: divide them all by one number."
        )
    if values.dtype.itemsize >= 4 and values.dtype != np.float32 and len(values):
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)
        alike = np.fmin.reduce(found) == np.fmax.reduce(found)
        lost = alike & (high - low > 1e-10 * np.abs(high.astype(np.float64)))  # and no error of rounding
        if lost.any():
            raise Refusal(
                f"{where} holds values from {low[lost][0]} to {high[lost][0]}, which are one to float32: "
                "take off what they have in common."
            )
    return found

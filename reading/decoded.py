"""What a source of data holds once it is read: plain arrays, mapped from the files that keep them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

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
    """(N,) int64 class, (N, 1) float32 value, or (N, T) next token"""
    parts: NDArray[np.int8]
    """(N,) `TRAIN`, `VAL`, `TEST`, or `UNSPLIT`"""
    about: dict[str, Any] = field(default_factory=dict)
    """task, names of the classes, and the sentences that a person must be told (`notes`)"""
    twins: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """(N,) the first example whose input holds the same"""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(int(size) for size in self.inputs.shape[1:])

    @property
    def task(self) -> str:
        """`classification`, `regression` or `language`."""
        return str(self.about["task"])

    def facts(self) -> dict[str, Any]:
        """What a config leaves to the data: its keys under `data`, with what was found."""
        fixed = bool((self.parts == TEST).any())
        drawn = self.about.get("drawn") or ("fixed" if fixed else "anew")
        found = {"shape": list(self.shape), "task": self.task, "drawn": drawn}
        return found | {"classes": int(self.about["classes"]), "vocabulary": self.about.get("vocabulary")}

    def keep(self, folder: Path) -> None:
        """Write all of it under `folder`, where its inputs may lie already."""
        for name in _ARRAYS:
            array, file = getattr(self, name), folder / f"{name}.npy"
            if not (isinstance(array, np.memmap) and file.exists()):
                np.save(file, array, allow_pickle=False)
        (folder / "about.json").write_text(json.dumps(self.about, ensure_ascii=False))


def kept(folder: Path) -> Decoded:
    """What `keep` wrote, mapped: processes that read the same share its memory."""
    # Copy on write, since torch warns of arrays that it may not write to; nobody writes.
    arrays: Mapping[str, Any] = {
        name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in _ARRAYS
    }
    return Decoded(about=json.loads((folder / "about.json").read_text()), **arrays)


def blank(folder: Path, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array of inputs to be filled that lies on the disk, so that data may be larger than memory."""
    return np.lib.format.open_memmap(folder / "inputs.npy", mode="w+", dtype=dtype, shape=shape)


def twins_of(inputs: NDArray[Any]) -> NDArray[np.int64]:
    """(N,) the first example with the same bytes, itself where there is none before."""
    import hashlib

    first: dict[bytes, int] = {}
    digests = (hashlib.blake2b(np.ascontiguousarray(one).data, digest_size=16).digest() for one in inputs)
    return np.fromiter(
        (first.setdefault(digest, place) for place, digest in enumerate(digests)), np.int64, len(inputs)
    )

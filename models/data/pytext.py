"""Text as bytes: the Python standard library's own sources, or any folder of text, for a language model."""

import os
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.data.dataset import Dataset, Split
from refusal import Refusal

# Installed packages are not the standard library, and differ from one environment to the next.
_NOT_THE_LIBRARY = {"site-packages", "dist-packages", "__pycache__"}


def load(
    *,
    batch_size: int,
    shape: Sequence[int] = (128,),
    classes: int = 256,
    task: str = "language",
    packages: Sequence[str] = (),
    drawn: str = "anew",
    path: str | None = None,
    suffixes: Sequence[str] = (".py",),
    max_bytes: int = 4_000_000,
    val_share: float = 0.02,
    test_share: float = 0.02,
    split_seed: int = 0,
) -> Dataset:
    """Inputs and targets (N, T) uint8 with T = `shape[0]`; each target is the byte after its input.

    Files are drawn in a seeded order until `max_bytes` are read, and each belongs to one split whole, so that
    no text is both learnt and tested. A file's bytes go in as they are; blocks run on from file to file.
    Another `split_seed` draws the files of every part anew; `packages` and `drawn` are for who reads the
    config. Raises `Refusal` when `path` is no folder of such files,
    or holds too little text for three splits.
    """
    if len(shape) != 1 or shape[0] < 1:
        raise Refusal(f"data.shape {list(shape)} must be one length in bytes, for example [256].")
    folder = Path(path).expanduser() if path is not None else Path(sysconfig.get_paths()["stdlib"])
    texts = list(_texts(folder, tuple(suffixes), max_bytes, split_seed))
    parts = _three_ways(texts, val_share, test_share)
    train, val, test = (_blocks(part, shape[0]) for part in parts)
    return Dataset(train, val, test, task, tuple(shape), classes, batch_size)


def _texts(folder: Path, suffixes: tuple[str, ...], max_bytes: int, seed: int) -> Iterator[bytes]:
    names = sorted(file.relative_to(folder).as_posix() for file in _files(folder, suffixes))
    if not names:
        raise Refusal(
            f"'{folder}' holds no files that end in {' or '.join(suffixes)}: set data.path to a folder of "
            "text and data.suffixes to its endings."
        )
    left = max_bytes
    for place in np.random.default_rng(seed).permutation(len(names)):
        text = (folder / names[place]).read_bytes()[:left]
        left -= len(text)
        yield text
        if left <= 0:
            return


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    # Path.rglob would walk site-packages, ten times the size of the library, only to drop it.
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_THE_LIBRARY]
        yield from (Path(here, name) for name in files if name.endswith(suffixes))


def _three_ways(texts: list[bytes], val_share: float, test_share: float) -> tuple[list[bytes], ...]:
    """(train, validation, test): whole files, to test, then validation, until each has its bytes."""
    if not (val_share > 0 and test_share > 0 and val_share + test_share < 1):
        raise Refusal(
            f"data.val_share {val_share} and data.test_share {test_share} must be above 0 and leave a rest "
            "for training: for example 0.02 and 0.02."
        )
    ends = np.cumsum([len(text) for text in texts]) / max(1, sum(map(len, texts)))
    tested = int(np.searchsorted(ends, test_share)) + 1
    checked = max(int(np.searchsorted(ends, test_share + val_share)), tested) + 1
    return texts[checked:], texts[tested:checked], texts[:tested]


def _blocks(texts: list[bytes], length: int) -> Split:
    stream = torch.frombuffer(bytearray(b"".join(texts) or b"\0"), dtype=torch.uint8)
    if len(stream) <= length:
        raise Refusal(
            f"a split of the text holds {len(stream)} bytes, less than one block of {length + 1}: give more "
            "files, a larger data.max_bytes or a shorter data.shape."
        )
    rows: Tensor = stream.unfold(0, length + 1, length)
    return Split(rows[:, :-1].contiguous(), rows[:, 1:].contiguous())

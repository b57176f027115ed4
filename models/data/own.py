"""A person's own data, of any source in `reading/sources`: mapped as they were decoded, on one scale."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.dataset import Dataset, Scale, Split
from reading.decoded import PARTS, Decoded
from reading.kept import decoded
from reading.splits import split

_CHUNK = 1024
"""examples summed at once: those of a large data set do not fit in memory as floats"""


def load(
    *,
    source: str,
    batch_size: int,
    shape: Sequence[int] | None = None,
    classes: int | None = None,
    task: str | None = None,
    drawn: str | None = None,
    val_share: float = 0.1,
    test_share: float = 0.1,
    split_seed: int = 0,
    **options: Any,
) -> Dataset:
    """The parts that the data have, and what is held out of the rest by shares, alike in every class.

    `shape`, `classes` and `task` are learnt from the data where they are None. `drawn` is for who reads the
    config; `options` are the source's own, with `path`, `cache` and `packages`. Inputs that are no tokens are
    put on the scale of the training part: less its mean, over its deviation, of each channel; so are values
    to be regressed.

    Raises:
        Refusal: the files cannot be taken as they are, or are not what the config says of them.
    """
    # A source whose parts can only be drawn as it is read takes the shares itself.
    drawing = {"val_share": val_share, "test_share": test_share, "split_seed": split_seed}
    data = decoded({"source": source, "task": task, **drawing, **options})
    facts = data.facts()
    rows, notes = split(data, val_share, test_share, split_seed)
    about = _named(data, notes)
    inputs, targets = torch.from_numpy(data.inputs), torch.from_numpy(data.targets)
    scale = None if _tokens(data) else _scale(data.inputs, rows["train"])
    if scale is not None:
        about |= {"mean": scale.mean.flatten().tolist(), "deviation": scale.deviation.flatten().tolist()}
        about |= {"gaps": True} if scale.gaps else {}
    values = _scale(data.targets, rows["train"]) if data.task == "regression" else None
    if values is not None:
        about |= {"answer_mean": values.mean.item(), "answer_deviation": values.deviation.item()}
    train, val, test = (Split(inputs, targets, torch.from_numpy(rows[part]), scale, values) for part in PARTS)
    return Dataset(
        train,
        val,
        test,
        task or facts["task"],
        tuple(shape or facts["shape"]),
        classes or facts["classes"],
        batch_size,
        about,
    )


def _named(data: Decoded, notes: list[str]) -> dict[str, Any]:
    """What a person must be told, and what is kept beside the weights."""
    about: Mapping[str, Any] = data.about
    apart = ("task", "classes", "vocabulary", "notes", "drawn")
    return {key: value for key, value in about.items() if key not in apart} | {
        "notes": [*about.get("notes", ()), *notes]
    }


def _tokens(data: Decoded) -> bool:
    return data.about.get("vocabulary") is not None


def _scale(inputs: NDArray[Any], rows: NDArray[np.int64]) -> Scale:
    """Mean and deviation of each channel over the training part, without what is missing, in one pass.

    Chan, Golub and LeVeque (1979): sums of squares about their own means are joined chunk by chunk.
    """
    axes = tuple(axis for axis in range(inputs.ndim) if axis != 1)
    count, mean, squares = (np.zeros(inputs.shape[1]) for _ in range(3))
    for start in range(0, len(rows), _CHUNK):
        chunk = np.asarray(inputs[rows[start : start + _CHUNK]], dtype=np.float64)
        there = ~np.isnan(chunk)
        own = there.sum(axes)
        both = np.maximum(count + own, 1)
        centre = np.where(there, chunk, 0).sum(axes) / np.maximum(own, 1)
        wide = (1, -1) + (1,) * (chunk.ndim - 2)
        squares += (np.where(there, chunk - centre.reshape(wide), 0) ** 2).sum(axes)
        squares += (centre - mean) ** 2 * count * own / both
        mean += (centre - mean) * own / both
        count += own
    deviation = np.sqrt(squares / np.maximum(1, count - 1)).clip(min=1e-6)
    shape = (1, -1) + (1,) * (inputs.ndim - 2)
    middle, width = (torch.from_numpy(one.astype(np.float32)).reshape(shape) for one in (mean, deviation))
    return Scale(middle, width, gaps=inputs.dtype.kind == "f" and bool(np.isnan(inputs).any()))

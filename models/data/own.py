"""A person's own data, of any source in `reading/sources`: mapped as they were decoded, on one scale."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.dataset import Dataset, Scale, Split
from models.data.stream import Stream, room
from reading.decoded import PARTS, Decoded
from reading.kept import decoded
from reading.moments import moments
from reading.splits import split
from refusal import Refusal


def load(
    *,
    source: str,
    batch_size: int,
    shape: Sequence[int] | None = None,
    classes: int | None = None,
    task: str | None = None,
    drawn: str | None = None,
    augment: Sequence[str] = (),
    memory_bytes: float | None = None,
    workers: int = 2,
    val_share: float = 0.1,
    test_share: float = 0.1,
    split_seed: int = 0,
    **options: Any,
) -> Dataset:
    """The parts that the data have, and what is held out of the rest by shares, alike in every class.

    `shape`, `classes` and `task` are learnt from the data where they are None. `drawn` is for who reads the
    config; `options` are the source's own, with `path`, `cache` and `packages`. Inputs that are no tokens are
    put on the scale of the training part: less its mean, over its deviation, of each channel; so are values
    to be regressed. Decoded inputs of more than `memory_bytes` (None is half of what is free) are read from
    the disk by `workers` threads while a network learns; the batches are the same.

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
    scale = None if _tokens(data) else _scale(data.inputs, data.moments(rows["train"]))
    if scale is not None:
        about |= {"mean": scale.mean.flatten().tolist(), "deviation": scale.deviation.flatten().tolist()}
        about |= {"gaps": True} if scale.gaps else {}
    values = None
    if data.task == "regression":
        values = _scale(data.targets, moments(data.targets, rows["train"]))
        about |= {"answer_mean": values.mean.item(), "answer_deviation": values.deviation.item()}
    if memory_bytes is not None and not (isinstance(memory_bytes, int | float) and memory_bytes >= 0):
        raise Refusal(f"data.memory_bytes {memory_bytes} must be a number of bytes of 0 or more, or null.")
    if not isinstance(workers, int) or workers < 1:
        raise Refusal(f"data.workers {workers} must be a number of threads of 1 or more.")
    stream = _stream(data, memory_bytes, workers)
    train, val, test = (
        Split(inputs, targets, torch.from_numpy(rows[part]), scale, values, stream) for part in PARTS
    )
    return Dataset(
        train,
        val,
        test,
        task or facts["task"],
        tuple(shape or facts["shape"]),
        classes or facts["classes"],
        batch_size,
        about,
        augment,
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


def _scale(inputs: NDArray[Any], known: dict[str, Any]) -> Scale:
    shape = (1, -1) + (1,) * (inputs.ndim - 2)
    mean, deviation = (
        torch.tensor(known[name], dtype=torch.float32).reshape(shape) for name in ("mean", "deviation")
    )
    return Scale(mean, deviation, gaps=known["gaps"])


def _stream(data: Decoded, memory_bytes: float | None, workers: int) -> Stream | None:
    larger = data.inputs.nbytes > (room() if memory_bytes is None else memory_bytes)
    return Stream(data.inputs, workers) if larger and isinstance(data.inputs, np.memmap) else None

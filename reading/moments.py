"""Mean and deviation of each channel over the training part, in one pass over what may not fit in memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK_BYTES = 2**23


def moments(inputs: NDArray[Any], rows: NDArray[np.int64]) -> dict[str, Any]:
    """`mean` and `deviation` (n - 1) of each channel, axis 1, and whether there are `gaps`.

    A channel that never varies has a deviation of 1: another would make a million of what is new in it.

    Of (n,) ascending `rows`, without what is missing (not a number). Bytes are counted by their value, which
    is exact; of floats Chan, Golub and LeVeque (1979): sums of squares about their own means are joined chunk
    by chunk.
    """
    if inputs.dtype == np.uint8:
        return _of_bytes(inputs, rows)
    axes = tuple(axis for axis in range(inputs.ndim) if axis != 1)
    count, mean, squares = (np.zeros(inputs.shape[1]) for _ in range(3))
    missing = False
    for chunk in _chunks(inputs, rows):
        wide = chunk.astype(np.float64)
        there = ~np.isnan(wide)
        missing |= not there.all()
        own = there.sum(axes)
        both = np.maximum(count + own, 1)
        centre = np.where(there, wide, 0).sum(axes) / np.maximum(own, 1)
        spread = (1, -1) + (1,) * (wide.ndim - 2)
        squares += (np.where(there, wide - centre.reshape(spread), 0) ** 2).sum(axes)
        squares += (centre - mean) ** 2 * count * own / both
        mean += (centre - mean) * own / both
        count += own
    return _told(mean, squares, count, missing)


def _of_bytes(inputs: NDArray[np.uint8], rows: NDArray[np.int64]) -> dict[str, Any]:
    counts = np.zeros((inputs.shape[1], 256), np.int64)
    for chunk in _chunks(inputs, rows):
        for channel, own in enumerate(counts):
            own += np.bincount(chunk[:, channel].ravel(), minlength=256)
    value, count = np.arange(256.0), counts.sum(1)
    mean = (counts * value).sum(1) / count
    squares = (counts * (value - mean[:, None]) ** 2).sum(1)
    return _told(mean, squares, count, False)


def _told(mean: NDArray[Any], squares: NDArray[Any], count: NDArray[Any], gaps: bool) -> dict[str, Any]:
    deviation = np.sqrt(squares / np.maximum(1, count - 1))
    # Values of 32 bits that differ do so by more than this; sums of equal ones err by less.
    steady = deviation <= 1e-12 * np.abs(mean)
    return {"mean": mean.tolist(), "deviation": np.where(steady, 1.0, deviation).tolist(), "gaps": gaps}


def _chunks(inputs: NDArray[Any], rows: NDArray[np.int64]) -> Any:
    """The rows in pieces; those of a mapped file are read past the map, where they would stay resident."""
    each = max(1, _CHUNK_BYTES // max(1, inputs[:1].nbytes))
    for start in range(0, len(inputs), each):
        own = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + each)]
        if not len(own):
            continue
        if isinstance(inputs, np.memmap) and inputs.filename is not None:
            block = np.fromfile(
                inputs.filename,
                inputs.dtype,
                min(each, len(inputs) - start) * inputs[0].size,
                offset=inputs.offset + start * inputs[:1].nbytes,
            ).reshape(-1, *inputs.shape[1:])
            yield block[own - start]
        else:
            yield inputs[own]

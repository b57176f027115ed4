"""Which axis of an array is what, by its shape alone: what could be meant otherwise is told."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_CHANNELS = 4


def laid(values: NDArray[Any], name: str, notes: list[str]) -> NDArray[Any]:
    """(N), (N, F), (N, C, L), (N, H, W), (N, C, H, W) or (N, H, W, C) -> channels first.

    Few channels that come last are put first, and told, as is what could be meant otherwise.
    """
    if values.ndim < 3:
        return values.reshape(len(values), -1, 1)  # a column is a channel, of a scale of its own
    first, last, sides = values.shape[1], values.shape[-1], values.shape[1:3]
    if last <= _MOST_CHANNELS < min(values.shape[1:-1]):
        notes.append(f"the channels came last in {name} and are put first")
        return np.moveaxis(values, -1, 1)
    if values.ndim == 3 and min(sides) > _MOST_CHANNELS and values.dtype == np.uint8:
        return values[:, None]
    if values.ndim == 3 and first == last > _MOST_CHANNELS:
        notes.append(f"{name} is read as grey pictures of {first} x {last}")
        return values[:, None]
    if first > _MOST_CHANNELS:
        each = "points" if values.ndim == 3 else "pixels"
        size = " x ".join(map(str, values.shape[2:]))
        notes.append(f"{name} is read as {first} channels of {size} {each}: the channels come first")
    return values


def measured(dtype: np.dtype[Any]) -> str:
    """On which scale values of a type usually are: two parts of different ones are hardly on one."""
    if dtype == np.uint8:
        return "bytes (uint8)"
    return {"b": "true and false", "f": "floats"}.get(dtype.kind, "whole numbers")

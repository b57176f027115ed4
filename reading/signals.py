"""Signals as numbers: `.npy` arrays and `.wav` sound."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refusal import Refusal

ENDINGS = (".npy", ".wav")


def signal(file: Path) -> NDArray[np.float32]:
    """(C, L) or (C, H, W) float32: an array as it is, sound as -1 to 1 for each channel.

    One axis is one channel. Raises `Refusal` for what holds no such numbers.
    """
    try:
        values = _sound(file) if file.suffix.lower() == ".wav" else np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, wave.Error) as error:
        raise Refusal(
            f"{file} is damaged or no {file.suffix} of numbers ({error}): bring it again, take it out, or "
            "set data.damaged=skip to leave out what cannot be read."
        ) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub" or not 1 <= values.ndim <= 3:
        raise Refusal(f"{file} holds no array of numbers with one to three axes: (L), (C, L) or (C, H, W).")
    if values.size == 0 or not np.isfinite(values).all():
        raise Refusal(f"{file} is empty or holds values that are not finite: mend it or take it out.")
    plain: NDArray[np.float32] = np.atleast_2d(values).astype(np.float32)
    return plain


def _sound(file: Path) -> NDArray[Any]:
    with wave.open(str(file), "rb") as sound:
        width, channels = sound.getsampwidth(), sound.getnchannels()
        frames = sound.readframes(sound.getnframes())
        if len(frames) < sound.getnframes() * width * channels:
            raise ValueError("it ends early")
    if width == 1:
        values = np.frombuffer(frames, np.uint8).astype(np.float32) / 128 - 1
    else:
        # Three bytes are the upper ones of four; little-endian, as the format is.
        padded = np.zeros((len(frames) // width, 4), np.uint8)
        padded[:, 4 - width :] = np.frombuffer(frames, np.uint8).reshape(-1, width)
        values = padded.view("<i4")[:, 0].astype(np.float32) / 2**31
    return values.reshape(-1, channels).T

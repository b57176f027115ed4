"""Signals as numbers: `.npy` arrays and `.wav` sound."""

import io
import wave
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from reading.axes import laid, measured
from reading.cell import File, Undecodable, opened
from reading.decoded import narrowed, rounded
from refusal import Refusal

ENDINGS = (".npy", ".wav")
_ARRAY = b"\x93NUMPY"
_EXTENDED, _WHOLE = b"\xfe\xff", b"\1\0"
"""kinds of sound: of which more is said further on, and whole numbers"""


def signal(file: File, notes: list[str]) -> tuple[NDArray[np.float32], int | str]:
    """(C, L) or (C, H, W) float32: an array as it is, sound as -1 to 1 for each channel.

    Beside it the rate of a sound, or on which scale the values of an array usually are. One axis is one
    channel; of more `reading.axes.laid` finds the channels. Raises `Refusal` for what holds no such numbers.
    """
    try:
        with opened(file) as content:
            array = content.read(len(_ARRAY)) == _ARRAY
            content.seek(0)
            values, rate = (np.load(content, allow_pickle=False), None) if array else _sound(content)
    except (OSError, ValueError, EOFError, TokenError, wave.Error) as error:
        if str(error).startswith("unknown format"):
            raise Undecodable(
                f"{file} is no sound of whole numbers ({error}): save it as PCM of 16 or 24 bits, "
                "take it out, or set data.damaged=skip to leave out what cannot be read."
            ) from error
        raise Undecodable(
            f"{file} is damaged or no .npy or .wav of numbers ({error}): bring it again, take it out, or set "
            "data.damaged=skip to leave out what cannot be read."
        ) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub" or not 1 <= values.ndim <= 3:
        raise Refusal(f"{file} holds no array of numbers with one to three axes: (L), (C, L) or (C, H, W).")
    if values.size == 0 or not np.isfinite(values).all():
        raise Refusal(f"{file} is empty or holds values that are not finite: mend it or take it out.")
    plain = np.atleast_2d(values)
    plain = laid(plain[None], "each array", notes)[0] if rate is None and values.ndim > 1 else plain
    found = narrowed(plain, str(file))
    if not any("32 bits" in note for note in notes):  # one of thousands of files says it
        notes += rounded(plain, found, str(file))
    return np.ascontiguousarray(found), measured(values.dtype) if rate is None else rate


def _sound(content: BinaryIO) -> tuple[NDArray[Any], int]:
    with wave.open(io.BytesIO(_named_plainly(content.read())), "rb") as sound:
        rate = sound.getframerate()
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
    return values.reshape(-1, channels).T, rate


def _named_plainly(content: bytes) -> bytes:
    """A sound of whole numbers under the name that Python before 3.12 knows alone, as ffmpeg has another."""
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"fmt ":
            extended = content[at + 8 : at + 10] == _EXTENDED and content[at + 32 : at + 34] == _WHOLE
            return content[: at + 8] + _WHOLE + content[at + 10 :] if extended else content
        at += 8 + size + size % 2
    return content

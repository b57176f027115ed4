"""Pictures as numbers: what Pillow opens becomes grey or colour of one depth, or is refused by name."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from reading.cell import File, Undecodable, opened
from reading.decoded import narrowed, rounded
from refusal import Refusal

_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_SEEN_THROUGH = ("RGBA", "LA", "PA", "La", "RGBa")
_GREY = ("1", "L", *_DEEP, "F")
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that lay a picture on its side"""
_ORIENTATION, _ZERO, _SAMPLES, _SIGNED = 0x0112, 262, 339, 2
_UNSIGNED = ("I;32N", "I;32", "I;32B")
_SIXTEEN = re.compile(r"^I;16")


@final
class Header(NamedTuple):
    """What a picture is before it is decoded."""

    height: int
    width: int
    colour: bool
    depth: str
    """`8 bits`, `16 bits`, `32 bits` or `floats`"""
    seen_through: bool
    narrowed: bool
    """whether Pillow reads 16 bits of each colour as 8"""
    followed: bool
    """whether other pictures stand behind it that are not read"""
    profiled: bool
    """whether it says by which device its colours are, other than sRGB"""


@final
class Wanted(NamedTuple):
    """How all pictures of a source come out."""

    channels: int
    resize: tuple[int, int] | int | None
    """(height, width); or the length of the shorter side; None leaves the size"""
    crop: tuple[int, int] | None
    background: str
    """the colour behind what is seen through, as Pillow knows it"""


def header(file: File, animated: str) -> Header:
    """Read no pixel. Raises `Refusal` for what is no picture, or several in one file that nobody chose of."""
    with _opened(file) as picture:
        # Before EXIF is asked for, as PNG is decoded for that and its tiles are gone.
        tiles = getattr(picture, "tile", [])
        sixteen = any(map(_of_sixteen_bits, tiles))
        depth = _depth(picture, tiles)
        profile = picture.info.get("icc_profile") or b""
        profiled = bool(profile) and b"sRGB" not in profile.replace(b"\0", b"")
        frames = getattr(picture, "n_frames", 1)
        # A telephone keeps a thumbnail behind the picture itself, and calls that MPO.
        if frames > 1 and picture.format != "MPO" and animated != "first":
            raise Refusal(
                f"{file} holds {frames} pictures, one after another: take it apart, or set "
                "data.animated=first to read only the first of each file."
            )
        size = (picture.height, picture.width)
        if picture.format == "TIFF":  # which Pillow turns itself, and some versions tell so already here
            size = picture.tag_v2[257], picture.tag_v2[256]
        if picture.getexif().get(_ORIENTATION) in _TURNED:
            size = size[::-1]
        seen_through = picture.mode in _SEEN_THROUGH or "transparency" in picture.info
        grey = picture.mode in (*_GREY, "LA", "La") or str(_packing(tiles)).startswith("LA;16")
        colour = not grey
        if picture.mode == "P" and picture.palette is not None:
            colour = picture.palette.mode != "L"
        eight = depth == "8 bits"
        return Header(*size, colour, depth, seen_through, eight and sixteen, frames > 1, profiled)


def pixels(file: File, wanted: Wanted, deep: bool, notes: list[str]) -> NDArray[Any]:
    """(C, H, W) uint8, or float32 where the files are `deep`. Raises `Refusal` for a damaged file.

    That whole numbers of 32 bits are rounded is added to `notes`, which are empty before.
    """
    from PIL import ImageOps

    with _opened(file) as picture:
        unsigned = str(_packing(getattr(picture, "tile", []))) in _UNSIGNED
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        plain = _exact(upright, unsigned, file, notes) if deep else _plain(upright, wanted)
        values = np.asarray(_cut(_resized(plain, wanted.resize), wanted.crop, file))
    if deep and not np.isfinite(values).all():
        raise Refusal(f"{file} holds values that are not finite: mend it or take it out.")
    return np.moveaxis(np.atleast_3d(values), -1, 0)


@contextmanager
def _opened(file: File) -> Iterator[Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        with opened(file) as content, Image.open(content) as picture:
            yield picture
    except UnidentifiedImageError as error:
        raise Undecodable(
            f"{file} is no picture that Pillow reads: save it as PNG, take it out, or set data.damaged=skip "
            "to leave out what cannot be read."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Undecodable(
            f"{file} is damaged ({reason}): bring it again, take it out, or set data.damaged=skip to leave "
            "out what cannot be read."
        ) from error


def _of_sixteen_bits(tile: Any) -> bool:
    """Whether a piece of a picture, as Pillow is about to decode it, has more than 8 bits a colour."""
    return ";16" in str(tile[3]) or (str(tile[0]).startswith("ppm") and tile[3][-1] > 255)


def _packing(tiles: Any) -> Any:
    """How the first piece of a picture lies in its file, in Pillow's words."""
    told = tiles[0][3] if tiles else ""
    return told[0] if isinstance(told, tuple) and told else told


def _depth(picture: Any, tiles: Any) -> str:
    """How many bits a value of a picture has. Raises `ValueError` for what would become other values."""
    said = getattr(picture, "tag_v2", {})
    if picture.mode == "L" and _SIGNED in said.get(_SAMPLES, ()):
        raise ValueError("its 8 bits have a sign, which would be lost: save it with 16")
    if picture.mode in (*_DEEP, "F") and said.get(_ZERO) == 0:
        raise ValueError("its zero is white, which is turned over in 8 bits alone: save it with a black zero")
    if picture.mode == "I" and not (_SIXTEEN.search(str(_packing(tiles))) or picture.format == "PPM"):
        return "32 bits"
    return "floats" if picture.mode == "F" else "16 bits" if picture.mode in _DEEP else "8 bits"


def _exact(picture: Any, unsigned: bool, file: File, notes: list[str]) -> Any:
    """A picture of mode F with the values of a deep one, which Pillow holds as whole numbers with a sign."""
    from PIL import Image

    values = np.asarray(picture)
    values = values.view(np.uint32) if unsigned and values.dtype == np.int32 else values
    found = narrowed(values, str(file))
    if not notes:
        notes += rounded(values, found, str(file))
    return Image.fromarray(found)


def _plain(picture: Any, wanted: Wanted) -> Any:
    """A picture of mode L or RGB: nothing behind it, no palette."""
    from PIL import Image

    mode = "L" if wanted.channels == 1 else "RGB"
    if picture.mode in _SEEN_THROUGH or "transparency" in picture.info:
        over = picture.convert("RGBA")
        behind = Image.new("RGBA", over.size, wanted.background)
        picture = Image.alpha_composite(behind, over)
    elif picture.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
        picture = picture.convert("RGB")
    return picture.convert(mode)


def scaled(height: int, width: int, resize: tuple[int, int] | int | None) -> tuple[int, int]:
    """(height, width) of a picture once it is resized, before it is cut."""
    if not isinstance(resize, int):
        return resize or (height, width)
    shorter = min(height, width)
    return max(resize, round(height * resize / shorter)), max(resize, round(width * resize / shorter))


def _resized(picture: Any, resize: tuple[int, int] | int | None) -> Any:
    from PIL.Image import Resampling

    height, width = scaled(picture.height, picture.width, resize)
    same = (width, height) == picture.size
    return picture if same else picture.resize((width, height), Resampling.BILINEAR)


def _cut(picture: Any, crop: tuple[int, int] | None, file: File) -> Any:
    if crop is None:
        return picture
    top, left = picture.height - crop[0], picture.width - crop[1]
    if top < 0 or left < 0:
        raise Refusal(
            f"{file} is {picture.height} x {picture.width}, too small for data.crop={list(crop)}: set "
            "data.resize to bring pictures to one size first."
        )
    box = (left // 2, top // 2, left // 2 + crop[1], top // 2 + crop[0])
    return picture.crop(box)

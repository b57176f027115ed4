"""All pictures, or all signals, of a source as one array: one size, one depth, one count of channels."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading.cell import File, Undecodable
from reading.decoded import blank, let_go, passing
from reading.layout import SHOWN
from reading.pictures import Header, Wanted, header, pixels, scaled
from reading.signals import signal
from refusal import Refusal


def pictures(
    files: Sequence[File],
    folder: Any,
    notes: list[str],
    *,
    channels: int | None,
    resize: Any,
    crop: Any,
    background: str,
    animated: str,
    damaged: str,
) -> tuple[list[int], NDArray[Any]]:
    """(places of the files that were read, (N, C, H, W) of them, decoded into `folder`).

    uint8; pictures of 16 bits or of floats keep their values as float32. Raises `Refusal` that names the file
    which cannot be taken as it is.
    """
    _check("channels", channels, (None, 1, 3))
    _check("animated", animated, ("refuse", "first"))
    wanted = Wanted(channels or 0, _sides(resize, "resize"), _square(crop), _colour(background))
    headers: dict[int, Header] = {}
    _each(files, damaged, notes, lambda at: headers.update({at: header(files[at], animated)}))
    known = {files[at]: own for at, own in headers.items()}
    if not known:
        return [], blank(folder, (1, 1, 1, 1), np.uint8)
    channels, deep = _kind(known, wanted, notes)
    wanted = wanted._replace(channels=channels)
    size = wanted.crop or _size(known, wanted)
    inputs = blank(folder, (len(known), channels, *size), np.float32 if deep else np.uint8)
    kept: list[int] = []
    told: list[str] = []

    def fill(at: int) -> None:
        inputs[len(kept)] = pixels(files[at], wanted, deep, told)
        kept.append(at)

    _each(files, damaged, notes, fill, passing(inputs, headers))
    notes += told
    return kept, inputs if len(kept) == len(known) else np.array(inputs[: len(kept)])


def signals(
    files: Sequence[File],
    folder: Any,
    notes: list[str],
    *,
    channels: int | None,
    resize: Any,
    crop: Any,
    damaged: str,
) -> tuple[list[int], NDArray[np.float32]]:
    """The same of signals, (N, C, L) or (N, C, H, W) float32. What asks for pictures is refused."""
    for key, value in (("channels", channels), ("resize", resize)):
        if value is not None:
            raise Refusal(f"data.{key}={value} is for pictures, and {files[0]} is a signal: leave it out.")
    inputs: NDArray[np.float32] = np.empty((0, 1, 1), np.float32)
    kept: list[int] = []
    shapes: dict[tuple[int, ...], File] = {}
    rates: dict[int | str, File] = {}
    told: list[str] = []

    def add(at: int) -> None:
        nonlocal inputs
        values, rate = signal(files[at], told)
        rates.setdefault(rate, files[at])
        own = _shortened(values, crop, files[at])
        if not shapes:
            inputs = blank(folder, (len(files), *own.shape), np.float32)
        shapes[own.shape] = files[at]
        if len(shapes) == 1:
            inputs[len(kept)] = own
            kept.append(at)
            let_go(inputs)

    _each(files, damaged, notes, add)
    _check_rates(rates)
    notes += dict.fromkeys(told)
    if len(shapes) > 1:
        (least, short), (most, long) = min(shapes.items()), max(shapes.items())
        lengths_alone = len({shape[:-1] for shape in shapes}) == 1
        todo = (
            "cut them to one length by data.crop=LENGTH"
            if lengths_alone
            else "bring all to the same channels"
        )
        raise Refusal(
            f"The signals have {len(shapes)} shapes, from {list(least)} ({short}) to {list(most)} ({long}): "
            f"{todo}."
        )
    return kept, inputs if len(kept) == len(files) else np.array(inputs[: len(kept)])


def _check_rates(rates: dict[int | str, File]) -> None:
    """Raise `Refusal` for signals of several rates, or arrays of values that are on several scales."""
    if len(rates) < 2:
        return
    if all(isinstance(rate, int) for rate in rates):
        named = " and ".join(f"{rate} points a second ({file})" for rate, file in rates.items())
        raise Refusal(
            f"The signals have {named}: bring them to one rate, since their points are other times."
        )
    named = " and ".join(
        f"{f'sound of {rate} points a second' if isinstance(rate, int) else rate} ({file})"
        for rate, file in rates.items()
    )
    raise Refusal(f"The signals are {named}, which may be on several scales: bring all to one type.")


def _check(key: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        shown = " or ".join("null" if one is None else str(one) for one in allowed)
        raise Refusal(f"data.{key} {value} is unknown: set it to {shown}.")


def _colour(name: str) -> str:
    from PIL import ImageColor

    try:
        ImageColor.getrgb(name)
    except (ValueError, AttributeError, TypeError) as error:
        raise Refusal(f"data.background {name} is no colour: write white, black or '#808080'.") from error
    return name


def _each(
    files: Sequence[File],
    damaged: str,
    notes: list[str],
    act: Callable[[int], None],
    places: Any = None,
) -> None:
    """Do it for each place; what cannot be read is left out where that was asked for, and told."""
    _check("damaged", damaged, ("refuse", "skip"))
    left_out: list[str] = []
    for at in range(len(files)) if places is None else places:
        try:
            act(at)
        except Undecodable:
            if damaged != "skip":
                raise
            left_out.append(files[at].name)
    if left_out:
        named = ", ".join(left_out[:SHOWN]) + (" ..." if len(left_out) > SHOWN else "")
        notes.append(f"{len(left_out)} of {len(files)} files are damaged and left out: {named}")


def _kind(headers: dict[File, Header], wanted: Wanted, notes: list[str]) -> tuple[int, bool]:
    """(channels, whether values are kept as floats) of all pictures together; what is changed is told."""
    depths = {one.depth: file for file, one in headers.items()}
    if len(depths) > 1:
        named = " and ".join(f"{depth} ({file})" for depth, file in sorted(depths.items()))
        raise Refusal(f"The pictures have {named}: bring them to one depth, since their scales differ.")
    deep = bool(depths) and "8 bits" not in depths
    coloured = sum(one.colour for one in headers.values())
    channels = wanted.channels or (3 if coloured else 1)
    if deep and channels == 3:
        raise Refusal("Pictures of 16 bits or more or of floats are grey: set data.channels=1.")
    if channels == 3 and coloured < len(headers):
        notes.append(
            f"{len(headers) - coloured} of {len(headers)} pictures are grey: all three colours alike"
        )
    alpha = "have an alpha channel: laid on " + wanted.background
    if deep:
        alpha = "call one of their values transparent: it is kept as it is"
    said = {
        "seen_through": alpha,
        "narrowed": "have 16 bits a colour: the upper 8 are kept",
        "followed": "have others behind them in their files: the first of each is read",
        "profiled": "have a colour profile other than sRGB: their values are read as they are",
    }
    for name, what in said.items():
        count = sum(getattr(one, name) for one in headers.values())
        notes += [f"{count} of {len(headers)} pictures {what}"] if count else []
    return channels, deep


def _size(headers: dict[File, Header], wanted: Wanted) -> tuple[int, int]:
    sizes = {scaled(one.height, one.width, wanted.resize): file for file, one in headers.items()}
    if len(sizes) == 1:
        return next(iter(sizes))
    if wanted.resize is not None:
        raise Refusal(f"data.resize={wanted.resize} leaves sides of any length: set data.crop=[H,W] too.")
    (least, small), (most, large) = min(sizes.items()), max(sizes.items())
    raise Refusal(
        f"The pictures have {len(sizes)} sizes, from {least[0]} x {least[1]} ({small}) to {most[0]} x "
        f"{most[1]} ({large}): set data.resize=[H,W], or data.resize=SIDE with data.crop=[H,W]."
    )


def _shortened(values: NDArray[np.float32], crop: Any, file: File) -> NDArray[np.float32]:
    """The middle of a signal, `crop` points long, or of a picture."""
    if crop is None:
        return values
    if values.ndim == 3:  # a picture
        height, width = _square(crop) or values.shape[1:]
        top, left = values.shape[1] - height, values.shape[2] - width
        if top < 0 or left < 0:
            raise Refusal(f"{file} is {values.shape[1]} x {values.shape[2]}, too small for data.crop={crop}.")
        return values[:, top // 2 : top // 2 + height, left // 2 : left // 2 + width]
    if not isinstance(crop, int) or crop < 1 or values.shape[-1] < crop:
        raise Refusal(f"{file} has {values.shape[-1]} points: data.crop={crop} must be a number up to that.")
    start = (values.shape[-1] - crop) // 2
    return values[..., start : start + crop]


def _sides(value: Any, key: str) -> tuple[int, int] | int | None:
    numbers = [value] if isinstance(value, int) else list(value) if value is not None else []
    whole = all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in numbers)
    if value is None or (whole and len(numbers) in (1, 2)):
        return value if value is None or isinstance(value, int) else (numbers[0], numbers[-1])
    raise Refusal(f"data.{key} {value} must be one side or [height,width], in pixels.")


def _square(crop: Any) -> tuple[int, int] | None:
    sides = _sides(crop, "crop")
    return (sides, sides) if isinstance(sides, int) else sides

"""Folders of pictures or signals: one folder a class, or all in one beside a CSV of their labels.

The parts may have folders of their own: train, val (valid, validation, dev) and test.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading.decoded import Decoded, blank
from reading.labels import check_parts, classes_of
from reading.layout import SHOWN, Example, examples_of
from reading.pictures import Header, Wanted, header, pixels
from reading.signals import ENDINGS, signal
from refusal import Refusal


def read(
    path: Path,
    folder: Path,
    *,
    target: str | None = None,
    channels: int | None = None,
    resize: Any = None,
    crop: Any = None,
    background: str = "white",
    animated: str = "refuse",
    damaged: str = "refuse",
) -> Decoded:
    """All files under `path`, decoded into `folder`; `Refusal` names the file that cannot be taken as it is.

    Pictures are uint8, (C, H, W); those of 16 bits or of floats keep their values as float32, as signals do.
    `channels` is 1 or 3, None what the pictures have. `resize` is [H, W] or the length of the shorter side,
    `crop` what is cut from the middle then. What is seen through is laid on `background`.
    """
    _check(channels, animated, damaged)
    if not path.is_dir():
        raise Refusal(f"data.path: {path} is a file; data=folder wants a folder of pictures or signals.")
    notes: list[str] = []
    examples = list(examples_of(path, target, notes))
    if not examples:
        raise Refusal(f"data.path: {path} holds no picture and no signal (.npy, .wav).")
    sound = [one.file.suffix.lower() in ENDINGS for one in examples]
    if any(sound) and not all(sound):
        first, other = examples[sound.index(True)].file, examples[sound.index(False)].file
        raise Refusal(f"data.path holds signals ({first}) and pictures ({other}): one kind at a time.")
    if all(sound):
        examples, inputs = _signals(examples, folder, crop, damaged, notes)
    else:
        wanted = Wanted(channels or 0, _sides(resize, "resize"), _square(crop), background)
        examples, inputs = _pictures(examples, folder, wanted, animated, damaged, notes)
    if not examples:
        raise Refusal(f"data.path: no file under {path} can be read.")
    names, targets = classes_of([one.label for one in examples], str(path))
    parts = np.array([one.part for one in examples], dtype=np.int8)
    check_parts(names, targets, parts, notes)
    about = {"task": "classification", "classes": len(names), "names": names, "notes": notes}
    return Decoded(inputs, targets, parts, about)


def _check(channels: int | None, animated: str, damaged: str) -> None:
    for key, value, allowed in (
        ("channels", channels, (None, 1, 3)),
        ("animated", animated, ("refuse", "first")),
        ("damaged", damaged, ("refuse", "skip")),
    ):
        if value not in allowed:
            shown = " or ".join("null" if one is None else str(one) for one in allowed)
            raise Refusal(f"data.{key} {value} is unknown: set it to {shown}.")


def _pictures(
    examples: list[Example], folder: Path, wanted: Wanted, animated: str, damaged: str, notes: list[str]
) -> tuple[list[Example], NDArray[Any]]:
    headers: dict[Path, Header] = {}
    _each(examples, damaged, notes, lambda one: headers.update({one.file: header(one.file, animated)}))
    examples = [one for one in examples if one.file in headers]
    channels, deep = _kind(headers, wanted, notes)
    wanted = wanted._replace(channels=channels)
    size = wanted.crop or _size(headers, wanted)
    inputs = blank(folder, (len(examples), channels, *size), np.float32 if deep else np.uint8)
    kept: list[Example] = []

    def fill(one: Example) -> None:
        inputs[len(kept)] = pixels(one.file, wanted, deep)
        kept.append(one)

    _each(examples, damaged, notes, fill)
    return kept, inputs if len(kept) == len(examples) else np.array(inputs[: len(kept)])


def _each(examples: Sequence[Example], damaged: str, notes: list[str], act: Any) -> None:
    """Do it for each example; what cannot be read is left out where that was asked for, and told."""
    left_out: list[str] = []
    for one in examples:
        try:
            act(one)
        except Refusal as refusal:
            if damaged != "skip" or "is damaged" not in str(refusal):
                raise
            left_out.append(one.file.name)
    if left_out:
        named = ", ".join(left_out[:SHOWN]) + (" ..." if len(left_out) > SHOWN else "")
        notes.append(f"{len(left_out)} of {len(examples)} files are damaged and left out: {named}")


def _kind(headers: dict[Path, Header], wanted: Wanted, notes: list[str]) -> tuple[int, bool]:
    """(channels, whether values are kept as floats) of all pictures together; what is changed is told."""
    depths = {one.depth: file for file, one in headers.items()}
    if len(depths) > 1:
        named = " and ".join(f"{depth} ({file})" for depth, file in sorted(depths.items()))
        raise Refusal(f"The pictures have {named}: bring them to one depth, since their scales differ.")
    deep = bool(depths) and "8 bits" not in depths
    coloured = sum(one.colour for one in headers.values())
    channels = wanted.channels or (3 if coloured else 1)
    if deep and channels == 3:
        raise Refusal("Pictures of 16 bits or of floats are grey: set data.channels=1.")
    if channels == 3 and coloured < len(headers):
        notes.append(
            f"{len(headers) - coloured} of {len(headers)} pictures are grey: all three colours alike"
        )
    through, narrowed = (
        sum(getattr(one, name) for one in headers.values()) for name in ("seen_through", "narrowed")
    )
    if through:
        notes.append(
            f"{through} of {len(headers)} pictures have an alpha channel: laid on {wanted.background}"
        )
    if narrowed:
        notes.append(f"{narrowed} of {len(headers)} pictures have 16 bits a colour: the upper 8 are kept")
    return channels, deep


def _size(headers: dict[Path, Header], wanted: Wanted) -> tuple[int, int]:
    if isinstance(wanted.resize, tuple):
        return wanted.resize
    sizes = {(one.height, one.width): file for file, one in headers.items()}
    if len(sizes) == 1 and wanted.resize is None:
        return next(iter(sizes))
    (least, small), (most, large) = min(sizes.items()), max(sizes.items())
    if wanted.resize is not None:
        raise Refusal(f"data.resize={wanted.resize} leaves sides of any length: set data.crop=[H,W] too.")
    raise Refusal(
        f"The pictures have {len(sizes)} sizes, from {least[0]} x {least[1]} ({small}) to {most[0]} x "
        f"{most[1]} ({large}): set data.resize=[H,W], or data.resize=SIDE with data.crop=[H,W]."
    )


def _signals(
    examples: list[Example], folder: Path, crop: Any, damaged: str, notes: list[str]
) -> tuple[list[Example], NDArray[Any]]:
    values: list[NDArray[np.float32]] = []
    kept: list[Example] = []

    def add(one: Example) -> None:
        values.append(_shortened(signal(one.file), crop, one.file))
        kept.append(one)

    _each(examples, damaged, notes, add)
    shapes = {one.shape: example.file for one, example in zip(values, kept, strict=True)}
    if len(shapes) > 1:
        (least, short), (most, long) = min(shapes.items()), max(shapes.items())
        raise Refusal(
            f"The signals have {len(shapes)} shapes, from {list(least)} ({short}) to {list(most)} ({long}): "
            "cut them to one length by data.crop=LENGTH."
        )
    inputs = blank(folder, (len(values), *next(iter(shapes), (1, 1))), np.float32)
    for place, one in enumerate(values):
        inputs[place] = one
    return kept, inputs


def _shortened(values: NDArray[np.float32], crop: Any, file: Path) -> NDArray[np.float32]:
    """The middle of a signal, `crop` points long."""
    if crop is None:
        return values
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

"""A tiny data set for each source of `reading/sources`, made where a test says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

SIZE = 8
"""side of a picture"""
CLASSES = ("cat", "dog", "owl")
EACH = 20
"""examples of a class"""


def folder(place: Path) -> list[str]:
    """Pictures in a folder for each class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (place / name).mkdir(parents=True)
        for each in range(EACH):
            pixels = rng.integers(0, 80, (SIZE, SIZE, 3), dtype=np.uint8)
            pixels[..., number] += 120
            Image.fromarray(pixels).save(place / name / f"{each:02}.png")
    return [f"data.path={place}"]


MADE: dict[str, Callable[[Path], list[str]]] = {"folder": folder}
"""option of conf/data -> what makes its files, and the overrides that it needs"""


def line(source: str, place: Path) -> list[str]:
    """Overrides that choose a source's data, made under `place`, with a cache of its own beside."""
    return [
        f"data={source}",
        *MADE[source](place / source),
        f"data.cache={place}/cache",
        "data.batch_size=16",
    ]

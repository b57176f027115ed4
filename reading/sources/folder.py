"""Folders of pictures or signals: one folder a class, or all in one beside a table of their labels.

The parts may have folders of their own: train, val (valid, validation, dev) and test.
"""

from pathlib import Path
from typing import Any

import numpy as np

from reading import albums
from reading.answers import of_labels
from reading.decoded import Decoded
from reading.labels import check_parts
from reading.layout import examples_of
from reading.signals import ENDINGS
from refusal import Refusal


def read(
    path: Path,
    folder: Path,
    *,
    target: Any = None,
    separator: str | None = None,
    task: str | None = None,
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
    `crop` what is cut from the middle then. What is seen through is laid on `background`. `target` is the
    column of answers of a table, or several with a class each; `separator` stands between the classes of one.
    """
    try:
        import PIL  # noqa: F401 - which tells pictures by their endings, and decodes them
    except ImportError as missing:
        raise Refusal("data=folder needs Pillow: pip install -e '.[data]'.") from missing
    if not path.is_dir():
        raise Refusal(f"data.path: {path} is a file; data=folder wants a folder of pictures or signals.")
    notes: list[str] = []
    examples = list(examples_of(path, target, separator, notes))
    if not examples:
        raise Refusal(f"data.path: {path} holds no picture and no signal (.npy, .wav).")
    sound = [one.file.suffix.lower() in ENDINGS for one in examples]
    if any(sound) and not all(sound):
        first, other = examples[sound.index(True)].file, examples[sound.index(False)].file
        raise Refusal(f"data.path holds signals ({first}) and pictures ({other}): one kind at a time.")
    files = [one.file for one in examples]
    how: dict[str, Any] = {"channels": channels, "resize": resize, "crop": crop}
    if all(sound):
        places, inputs = albums.signals(files, folder, notes, damaged=damaged, **how)
    else:
        look: dict[str, Any] = {**how, "background": background, "animated": animated}
        places, inputs = albums.pictures(files, folder, notes, damaged=damaged, **look)
    if not places:
        raise Refusal(f"data.path: no file under {path} can be read.")
    order = target if isinstance(target, list | tuple) and len(target) > 1 else ()
    said = examples[0].said
    labels = [examples[at].label for at in places]
    targets, about = of_labels(labels, task, str(said), notes, order, written=said.is_file())
    parts = np.array([examples[at].part for at in places], dtype=np.int8)
    check_parts(about, targets, parts, notes)
    return Decoded(inputs, targets, parts, about | {"notes": list(dict.fromkeys(notes))})

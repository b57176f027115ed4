"""What Hugging Face's `datasets` has saved, or parquet: pictures, sounds, texts, arrays or a table.

Which of them it is is told by the columns; `data.columns` names those that are read.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading import albums
from reading.answers import of_columns
from reading.columns import SavedColumns
from reading.decoded import Decoded, blank
from reading.frames import joined
from reading.labels import check_parts
from reading.saved import saved
from reading.sources import arrays, table, text
from refusal import Refusal


def read(
    path: Path,
    folder: Path,
    *,
    target: Any = None,
    separator: str | None = None,
    task: str | None = None,
    splits: Sequence[str] | None = None,
    columns: Any = None,
    channels: int | None = None,
    resize: Any = None,
    crop: Any = None,
    background: str = "white",
    animated: str = "refuse",
    damaged: str = "refuse",
    length: int = 128,
    tokenizer: str | None = None,
    network: str | None = None,
    tokens: int = 4096,
    lowercase: bool = False,
    most_categories: int = 64,
) -> Decoded:
    """Inputs as `data=folder`, `text`, `arrays` or `table` makes them, by what the columns hold.

    A column of pictures, of sounds or of lists is the input; else one of text; else all numbers and words
    together. `columns` chooses where several would do; what is not read is told. `target` is one column, or
    several with a class each; without it the only one of classes, or one of a usual name. Raises `Refusal`
    as those sources and `reading.saved.saved` do.
    """
    known = SavedColumns(path, saved(path, splits, folder), most_categories)
    answers = known.answers(target)
    what, chosen, unread = known.inputs(answers, columns)
    notes = [f"columns that are not read: {', '.join(unread)}"] if unread else []
    order = known.names(answers[0])
    asked = answers if len(answers) > 1 else answers[0], separator, task
    if what in ("text", "table"):
        frames = known.frames([*answers, *chosen])
        if what == "table":
            found = table.of_parts(frames, *asked, (), most_categories, order)
        else:
            how: dict[str, Any] = {"length": length, "tokenizer": tokenizer, "tokens": tokens}
            how["network"] = network
            found = text.of_parts(frames, *asked, chosen[0], order=order, lowercase=lowercase, **how)
        return replace(found, about=found.about | {"notes": notes + found.about["notes"]})
    cells = known.cells(chosen[0])
    if what == "list":
        places, inputs = list(range(len(cells))), _lists(known, chosen[0], folder, notes)
    elif what == "sound":
        places, inputs = albums.signals(
            cells, folder, notes, channels=channels, resize=resize, crop=crop, damaged=damaged
        )
    else:
        look: dict[str, Any] = {"channels": channels, "resize": resize, "background": background}
        places, inputs = albums.pictures(
            cells, folder, notes, crop=crop, animated=animated, damaged=damaged, **look
        )
    if not places:
        raise Refusal(f"data.path: no {what} of {path} can be read.")
    where, rows, parts = joined(known.frames(answers))
    kept = rows.iloc[places].reset_index(drop=True)
    targets, about, _ = of_columns(kept, *asked, where, notes, order)
    check_parts(about, targets, parts[places], notes)
    return Decoded(inputs, targets, parts[places], about | {"notes": notes})


def _lists(known: SavedColumns, name: str, folder: Path, notes: list[str]) -> NDArray[Any]:
    """A column of lists, or of lists of lists, as one array of the shape that `data=arrays` would give it."""
    inputs, start = None, 0
    told: list[str] = []
    for chunk in known.chunks(name):
        values = arrays.shaped(known.path, name, _dense(chunk, known.path, name), told, start)
        if inputs is None:
            inputs = blank(folder, (known.rows, *values.shape[1:]), values.dtype)
        if values.shape[1:] != inputs.shape[1:]:
            raise _ragged(known.path, name)
        inputs[start : start + len(values)] = values
        start += len(values)
    notes += dict.fromkeys(told)
    assert inputs is not None
    return inputs


def _dense(chunk: Any, path: Path, name: str) -> NDArray[Any]:
    import pyarrow.compute as compute

    chunk = getattr(chunk, "storage", chunk)  # of a type that `datasets` defines
    if chunk.null_count:
        raise Refusal(f"{path}: {name} has rows that hold nothing: fill them or take them out.")
    if not hasattr(chunk, "flatten") or "list" not in str(chunk.type):
        return np.asarray(chunk.to_numpy(zero_copy_only=False))
    lengths = np.unique(compute.list_value_length(chunk).to_numpy(zero_copy_only=False))
    if len(lengths) != 1:
        raise _ragged(path, name)
    inner = _dense(chunk.flatten(), path, name)
    return inner.reshape(len(chunk), int(lengths[0]), *inner.shape[1:])


def _ragged(path: Path, name: str) -> Refusal:
    return Refusal(
        f"{path}: the lists of {name} have different lengths: bring them to one, or choose others."
    )

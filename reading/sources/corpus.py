"""Any folder or file of text as bytes, for a language model: each target is the byte after its input."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reading.decoded import PARTS, TEST, TRAIN, VAL, Decoded
from reading.digest import walk
from reading.layout import SHOWN, named_part, own_parts
from reading.stretches import TextFile, held_out
from refusal import Refusal

_LOOKED_AT = 8192
"""first bytes of a file that tell text from other things: those hold a 0 byte"""


def read(
    path: Path,
    folder: Path,
    *,
    length: int = 128,
    val_share: float = 0.02,
    test_share: float = 0.02,
    split_seed: int = 0,
) -> Decoded:
    """Inputs and targets (N, length) uint8; blocks run on from file to file of one part.

    Folders train, val and test stay what they are, and files such as wiki.train.raw. Else whole files are
    held out by `split_seed` up to the shares of all bytes; where files are too few or too large for that, the
    end of the largest is, which is told. Files that are the same go to one part. Raises `Refusal` where a
    part has less than one block.
    """
    if not isinstance(length, int) or length < 1:
        raise Refusal(f"data.length {length} must be a number of bytes of 1 or more.")
    notes: list[str] = []
    places = _places(path, notes) if path.is_dir() else {}
    if places and {TRAIN, VAL, TEST} - places.keys():
        raise Refusal(f"data.path: {path} has some of train, val and test: bring all three or none.")
    if places:
        texts = {
            part: [one.text for place in own for one in _pieces(place, notes)] for part, own in places.items()
        }
    else:
        shares = {TEST: test_share, VAL: val_share}
        texts = held_out(_pieces(path, notes), shares, split_seed, notes)
    whole_texts = {part: b"".join(texts[part]) for part in (TRAIN, VAL, TEST)}
    blocks = {part: _blocks(text, length, PARTS[part]) for part, text in whole_texts.items()}
    ends = {PARTS[part]: len(text) - len(blocks[part]) * length - 1 for part, text in whole_texts.items()}
    if any(ends.values()):
        named = ", ".join(f"{bytes_} of {part}" for part, bytes_ in ends.items() if bytes_)
        notes.append(f"the last bytes of a part that fill no block of {length} are left out: {named}")
    numbers = np.concatenate([np.full(len(one), part, np.int8) for part, one in blocks.items()])
    whole = np.concatenate(list(blocks.values()))
    about = {"task": "language", "classes": 256, "vocabulary": 256, "tokenizer": {"kind": "bytes"}}
    about |= {"notes": notes, "drawn": "fixed" if places else "anew"}
    return Decoded(np.array(whole[:, :-1]), np.array(whole[:, 1:]), numbers, about)


def _places(path: Path, notes: list[str]) -> dict[int, list[Path]]:
    """Part -> its folder, or the files whose names tell it; empty where the parts are still to be drawn.

    Raises `Refusal` for a file that belongs to no part.
    """
    folders = own_parts(path)
    if folders:
        beside = [
            file.relative_to(path).as_posix()
            for file in walk(path)
            if not any(name.startswith(".") for name in file.relative_to(path).parts)
            and file.relative_to(path).parts[0] not in {folder.name for folder in folders.values()}
        ]
        if beside:
            named = ", ".join(beside[:SHOWN]) + (
                f" and {len(beside) - SHOWN} more" if len(beside) > SHOWN else ""
            )
            notes.append(f"beside the folders of the parts, so left out: {named}")
        return {part: [folder] for part, folder in folders.items()}
    files = [file for file in walk(path) if not file.name.startswith(".")]
    parts = {part: [file for file in files if named_part(file) == part] for part in (TRAIN, VAL, TEST)}
    told = {part: own for part, own in parts.items() if own}
    others = [file for file in files if named_part(file) is None]
    # A module train.py is no part of a corpus; all three beside one another, or two and no other, are.
    homes = {file.parent for own in told.values() for file in own}
    if TRAIN not in told or len(told) < (3 if others else 2) or len(homes) > 1:
        return {}
    if others:
        raise Refusal(
            f"{others[0]} lies beside files that are called as parts, such as {told[TRAIN][0].name}: take it "
            "out, or give them names without train, val and test."
        )
    return told


def _pieces(path: Path, notes: list[str]) -> list[TextFile]:
    """Every text under `path` by its name; what is no text is told."""
    found, other = [], []
    for file in walk(path):
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        if any(part.startswith(".") for part in Path(name).parts):
            continue
        text = file.read_bytes()
        if b"\0" in text[:_LOOKED_AT]:
            other.append(name)
        elif text:
            found.append(TextFile(name, text))
    if other:
        named = ", ".join(other[:SHOWN]) + (f" and {len(other) - SHOWN} more" if len(other) > SHOWN else "")
        notes.append(f"no text, so left out: {named}")
    if not found:
        raise Refusal(f"data.path: {path} holds no text.")
    return found


def _blocks(text: bytes, length: int, part: str) -> NDArray[np.uint8]:
    """(N, length + 1): the last byte of a block is the first of the next."""
    count = (len(text) - 1) // length
    if count < 1:
        raise Refusal(
            f"the {part} split holds {len(text)} bytes, less than one block of {length + 1}: give more text, "
            "a larger share or a shorter data.length."
        )
    stream = np.frombuffer(text, np.uint8)
    return np.lib.stride_tricks.sliding_window_view(stream, length + 1)[::length][:count]

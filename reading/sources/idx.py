"""MNIST's own format: `*-images-idx3-ubyte` and `*-labels-idx1-ubyte`, packed by gzip or not.

Source: LeCun et al. (1998), http://yann.lecun.com/exdb/mnist: two zero bytes, the type of the values, the
number of axes, the length of each as big-endian 32 bits, the values.
"""

import gzip
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reading.axes import laid, measured
from reading.decoded import TEST, TRAIN, UNSPLIT, VAL, Decoded, narrowed, rounded
from reading.labels import check_parts, classes_of
from reading.layout import SHOWN
from reading.written import spelt
from refusal import Refusal

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_NAME = re.compile(r"(?i)^(.*?)[-_.](images|labels)[-_.]idx[1-4][-_.]ubyte(?:\.gz)?$")
_PARTS = {"train": TRAIN, "t10k": TEST, "test": TEST, "val": VAL, "valid": VAL}


def read(path: Path, folder: Path) -> Decoded:
    """The pairs of files in `path`: train, t10k (or test), val; one pair of another name is one pool.

    Inputs (N, 1, H, W), (N, 1, L), or (N, C, H, W) of four axes; uint8 where the file's are. Raises
    `Refusal` for a pair that is not whole, parts of whole numbers beside fractions, and for a file that is
    shorter or longer than it says.
    """
    notes: list[str] = []
    pairs = _pairs(path, notes)
    inputs, labels, parts = [], [], []
    scales: dict[str, Path] = {}
    _check_one_set(path, list(pairs))
    for stem, (images, answers) in pairs.items():
        values, own = array(images), array(answers)
        if not 2 <= values.ndim <= 4 or own.ndim != 1 or len(values) != len(own):
            raise Refusal(f"{images} holds {list(values.shape)} and {answers} {list(own.shape)}: no pair.")
        inputs.append(laid(values, "each image", notes) if values.ndim == 4 else values[:, None])
        scales[measured(values.dtype)] = images
        labels.append(own)
        parts.append(np.full(len(own), _part(stem, len(pairs)), np.int8))
    if len({one.shape[1:] for one in inputs}) > 1:
        raise Refusal(
            f"{path}: the files hold examples of {[list(one.shape[1:]) for one in inputs]}: one size."
        )
    if len(scales) > 1:
        named = " and ".join(f"{scale} ({file})" for scale, file in scales.items())
        raise Refusal(f"The images are {named}, which may be on two scales: bring all to one type.")
    together = np.concatenate(labels)
    names, targets = classes_of(list(map(spelt, together.tolist())), str(path))
    about = {"task": "classification", "classes": len(names), "names": names}
    check_parts(about, targets, np.concatenate(parts), notes)
    whole = np.concatenate(inputs)
    plain = whole if whole.dtype == np.uint8 else narrowed(whole, str(path))
    if not np.isfinite(plain).all():
        raise Refusal(f"{path} holds values that are not finite: mend them.")
    notes += rounded(whole, plain, str(path)) if plain is not whole else []
    about |= {"notes": list(dict.fromkeys(notes))}
    return Decoded(plain, targets, np.concatenate(parts), about)


def array(file: Path) -> NDArray[Any]:
    """All values of one file in their shape."""
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise Refusal(f"{file} is damaged ({error}): bring it again.") from error
    kind, axes = (content[2], content[3]) if len(content) > 3 and content[:2] == b"\0\0" else (0, 0)
    if kind not in _TYPES or len(content) < 4 + 4 * axes or not axes:
        raise Refusal(f"{file} does not begin as an idx file does: bring MNIST's own format.")
    shape = np.frombuffer(content, ">i4", axes, 4)
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(_TYPES[kind]).itemsize
    if (shape < 1).any() or len(content) != 4 + 4 * axes + size:
        raise Refusal(f"{file} is damaged: it tells of {shape.tolist()} values in {len(content)} bytes.")
    return np.frombuffer(content, _TYPES[kind], offset=4 + 4 * axes).reshape(shape)


def _pairs(path: Path, notes: list[str]) -> dict[str, tuple[Path, Path]]:
    """By the stem of their names, images and labels."""
    if not path.is_dir():
        raise Refusal(f"data.path: {path} is a file; data=idx wants the folder of images and labels.")
    found: dict[str, dict[str, Path]] = {}
    names = {file: _NAME.match(file.name) for file in sorted(path.iterdir()) if file.name[0] != "."}
    other = [file.name for file, match in names.items() if match is None]
    notes += [f"neither images nor labels, so left out: {', '.join(other[:SHOWN])}"] if other else []
    for file, match in names.items():
        if match is None:
            continue
        pair = found.setdefault(match[1], {})
        if match[2].lower() in pair:
            raise Refusal(f"{file} and {pair[match[2].lower()].name} hold the same: leave one of them.")
        pair[match[2].lower()] = file
    if not found:
        raise Refusal(f"data.path: {path} holds no *-images-idx3-ubyte and *-labels-idx1-ubyte, .gz or not.")
    alone = [next(iter(pair.values())) for pair in found.values() if len(pair) < 2]
    if alone:
        raise Refusal(f"{alone[0]} has no partner: images and labels come in pairs of the same name.")
    return {stem: (pair["images"], pair["labels"]) for stem, pair in found.items()}


def _check_one_set(path: Path, stems: list[str]) -> None:
    """Raise `Refusal` for pairs of several sets, as in EMNIST's folder: a number is another class in each."""
    told: dict[int, str] = {}
    sets: dict[str, str] = {}
    for stem in stems:
        other = told.setdefault(_part(stem, len(stems)), stem)
        first = next(iter(sets.values()), stem)
        sets.setdefault(stem.lower().rpartition("-")[0], stem)
        if other != stem or len(sets) > 1:
            raise Refusal(
                f"{path} holds {other if other != stem else first} and {stem}, of one part or two sets: set "
                "data.path to a folder that holds one pair of files for each part of one set."
            )


def _part(stem: str, pairs: int) -> int:
    part = _PARTS.get(stem.lower().rpartition("-")[2])
    if part is None and pairs > 1:
        raise Refusal(f"'{stem}' is no name of a part: call the pairs train, val and t10k or test.")
    return UNSPLIT if part is None or pairs == 1 else part

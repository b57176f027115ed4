"""MNIST-1D, generated: ten one-dimensional glyphs, padded, scaled, shifted, buried in noise and sheared.

Source: Greydanus (2020), Scaling Down Deep Learning, arXiv 2011.14439, whose templates and transformations
these are. Ours differs in that every step handles all examples at once, that each split has a random stream
of its own (a larger training set leaves the test set as it was), and that a validation set is drawn beside.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.dataset import Dataset, Split
from models.data.splits import standardise
from refusal import Refusal

Floats = NDArray[np.float64]

LENGTH = 40
"""points of one example"""
PADDING = (36, 60)
"""zeros appended to a template, fewest and most"""
SHIFTS = 48
"""circular shifts to draw from"""
SCALE, SHEAR, CORRELATED, INDEPENDENT = 0.4, 0.75, 0.25, 0.02
"""ranges of amplitude and slope; deviations of the two noises"""
BLUR = 2.0
"""deviation, in points, of the Gaussian that correlates the first noise"""

# Heights of the glyphs 0 to 9 at twelve points, from the paper.
_GLYPHS = """
5 6   6.5 6.75 7   7    7    7   6.75 6.5 6   5
5 3   3   3.4  3.8 4.2  4.6  5   5.4  5.8 5   5
5 6   6.5 6.5  6   5.25 4.75 4   3.5  3.5 4   5
5 6   6.5 6.5  6   5    5    6   6.5  6.5 6   5
5 4.4 3.8 3.2  2.6 2.6  5    5   5    5   5   5
5 3   3   3    3   5    6    6.5 6.5  6   4.5 5
5 4   3.5 3.25 3   3    3    3   3.25 3.5 4   5
5 7   7   6.6  6.2 5.8  5.4  5   4.6  4.2 5   5
5 4   3.5 3.5  4   5    5    4   3.5  3.5 4   5
5 4   3.5 3.5  4   5    5    5   5    4.7 4.3 5
"""


def load(
    *,
    batch_size: int,
    shape: Sequence[int] = (1, LENGTH),
    classes: int = 10,
    task: str = "classification",
    packages: Sequence[str] = (),
    drawn: str = "anew",
    train_size: int = 4000,
    val_size: int = 1000,
    test_size: int = 1000,
    augment: Sequence[str] = (),
    split_seed: int = 42,
) -> Dataset:
    """Inputs (N, 1, 40) float32, targets (N,), as many of each class as can be.

    The world is the ten templates and the ranges of what is done to them: as in the paper they are fixed, and
    another `split_seed` draws every example of all three parts anew. `packages` (nothing, since this file
    draws the data) and `drawn` are for who reads the config. Raises `Refusal` when a size holds fewer
    examples than there are classes.
    """
    if min(train_size, val_size, test_size) < 10:
        raise Refusal("data.train_size, data.val_size and data.test_size must be 10 or more, one per class.")
    sizes = (train_size, val_size, test_size)
    splits = [_draw(size, np.random.default_rng([split_seed, part])) for part, size in enumerate(sizes)]
    (train, val, test), scale = standardise(*splits)
    return Dataset(train, val, test, task, tuple(shape), classes, batch_size, scale, augment)


def templates() -> Floats:
    """(10, 12): the glyphs with mean 0 and deviation 1, then moved to start at 0, then over six."""
    glyphs = np.array([row.split() for row in _GLYPHS.strip().splitlines()], dtype=np.float64)
    glyphs = (glyphs - glyphs.mean(1, keepdims=True)) / glyphs.std(1, keepdims=True)
    return (glyphs - glyphs[:, :1]) / 6


def _draw(size: int, rng: np.random.Generator) -> Split:
    labels = rng.permutation(np.arange(size) % 10)
    points = _examples(templates()[labels], rng)
    inputs = torch.from_numpy(points.astype(np.float32)).unsqueeze(1)
    return Split(inputs, torch.from_numpy(labels))


def _examples(glyphs: Floats, rng: np.random.Generator) -> Floats:
    """(N, 12) glyphs -> (N, 40) examples: section 2 and figure 1 of the paper, in its order."""
    signal, drawn_on = _padded_and_dilated(glyphs, rng)
    signal = signal * (1 + SCALE * (rng.random((len(glyphs), 1)) - 0.5))
    shift = rng.integers(0, SHIFTS, (len(glyphs), 1))
    places = (np.arange(signal.shape[1]) - shift) % signal.shape[1]
    signal = np.take_along_axis(signal, places, 1)
    drawn_on = np.take_along_axis(drawn_on, places, 1)
    background = _blurred(CORRELATED * rng.standard_normal(signal.shape))
    signal = np.where(drawn_on, signal, background) + INDEPENDENT * rng.standard_normal(signal.shape)
    slope = SHEAR * (rng.random((len(glyphs), 1)) - 0.5)
    signal = signal - slope * np.linspace(-0.5, 0.5, signal.shape[1])
    return _read_at(signal, np.linspace(0, signal.shape[1] - 1, LENGTH)[None])


def _padded_and_dilated(glyphs: Floats, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    """Glyphs with a random tail of zeros, stretched to one length (N, 72), and where a glyph is drawn."""
    count, points = glyphs.shape
    tail = rng.integers(PADDING[0], PADDING[1] + 1, (count, 1))
    longest = points + PADDING[1]
    at = np.linspace(0, 1, longest) * (points + tail - 1)
    padded = np.concatenate([glyphs, np.zeros((count, PADDING[1]))], 1)
    return _read_at(padded, at), at < points


def _read_at(values: Floats, at: Floats) -> Floats:
    """(N, P) values read at fractional places (N or 1, Q) by linear interpolation -> (N, Q)."""
    at = np.broadcast_to(at, (len(values), at.shape[1]))
    left = np.minimum(at.astype(np.int64), values.shape[1] - 2)
    low, high = np.take_along_axis(values, left, 1), np.take_along_axis(values, left + 1, 1)
    return low + (at - left) * (high - low)


def _blurred(noise: Floats) -> Floats:
    """(N, P) noise smoothed along P by a Gaussian cut at four deviations, mirrored at both ends."""
    reach = int(4 * BLUR + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / BLUR) ** 2)
    weights /= weights.sum()
    mirrored = np.pad(noise, ((0, 0), (reach, reach)), mode="symmetric")
    smooth = np.zeros_like(noise)
    for offset, weight in enumerate(weights):
        smooth += weight * mirrored[:, offset : offset + noise.shape[1]]
    return smooth

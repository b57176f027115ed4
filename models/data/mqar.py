"""Multi-query associative recall, generated: read key-value pairs, then answer each key with its value.

Source: Arora et al. (2023), Zoology, arXiv 2312.04927, section 4 and appendix; attention solves it at any
width, recurrent nets need a state that grows with the number of pairs. An example with two pairs:

    input     k1 v1 k2 v2  .  .  k2  .  .  .  k1  .
    target     -  -  -  -  -  -  v2  -  -  -  v1  -        (- is not scored, . is a random token)
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.dataset import UNSCORED, Dataset, Split
from refusal import Refusal

Ints = NDArray[np.int64]


def load(
    *,
    batch_size: int,
    shape: Sequence[int] = (32,),
    classes: int = 64,
    task: str = "recall",
    packages: Sequence[str] = (),
    drawn: str = "anew",
    pairs: int = 4,
    gap_power: float = 0.01,
    train_size: int = 20_000,
    val_size: int = 1000,
    test_size: int = 1000,
    split_seed: int = 0,
) -> Dataset:
    """Inputs (N, T) int16, targets (N, T) int64, of which `pairs` are scored.

    The first half of the vocabulary are keys, the second half values. The place of a query follows a power
    law, p(gap) ~ gap ** (gap_power - 1), as repeated bigrams do in text; 1 is uniform. Another `split_seed`
    draws every example anew; `packages` (nothing, since this file draws the data) and `drawn` are for who
    reads the config.
    Raises `Refusal` when the pairs fit neither the length nor the vocabulary.
    """
    length = _checked_length(tuple(shape), classes, pairs, min(train_size, val_size, test_size))
    train, val, test = (
        _draw(size, length, classes, pairs, gap_power, np.random.default_rng([split_seed, part]))
        for part, size in enumerate((train_size, val_size, test_size))
    )
    return Dataset(train, val, test, task, (length,), classes, batch_size)


def _checked_length(shape: tuple[int, ...], classes: int, pairs: int, smallest: int) -> int:
    if len(shape) != 1 or shape[0] % 2 or pairs < 1 or shape[0] < 4 * pairs:
        raise Refusal(
            f"data.shape {list(shape)} does not hold {pairs} pairs and their queries: give one even length "
            f"of at least {4 * max(pairs, 1)}."
        )
    if not 2 * (pairs + 1) <= classes <= 2**15:
        raise Refusal(f"data.classes {classes} must lie between {2 * (pairs + 1)} and {2**15} tokens.")
    if smallest < 1:
        raise Refusal("data.train_size, data.val_size and data.test_size must be 1 or more.")
    return shape[0]


def _draw(
    size: int, length: int, classes: int, pairs: int, gap_power: float, rng: np.random.Generator
) -> Split:
    keys = _distinct(size, pairs, 1, classes // 2, rng)
    values = _distinct(size, pairs, classes // 2, classes, rng)
    inputs = rng.integers(0, classes, (size, length))
    inputs[:, 0 : 2 * pairs : 2], inputs[:, 1 : 2 * pairs : 2] = keys, values
    places = 2 * pairs + 2 * _gaps(size, pairs, length // 2 - pairs, gap_power, rng)
    targets = np.full((size, length), UNSCORED)
    np.put_along_axis(inputs, places, keys, 1)
    np.put_along_axis(targets, places, values, 1)
    return Split(torch.from_numpy(inputs.astype(np.int16)), torch.from_numpy(targets))


def _distinct(rows: int, count: int, low: int, high: int, rng: np.random.Generator) -> Ints:
    """(rows, count) integers in [low, high), none twice in a row, every choice and order equally likely.

    Floyd's algorithm on all rows at once (Bentley and Floyd 1987, CACM 30): its cost does not depend on the
    size of the range.
    """
    chosen = np.full((rows, count), -1)
    for column, top in enumerate(range(high - low - count, high - low)):
        pick = rng.integers(0, top + 1, rows)
        taken = (chosen[:, :column] == pick[:, None]).any(1)
        chosen[:, column] = np.where(taken, top, pick)
    return low + rng.permuted(chosen, axis=1)


def _gaps(rows: int, count: int, space: int, power: float, rng: np.random.Generator) -> Ints:
    """(rows, count) distinct gaps below `space`, by power law: the largest of log p plus Gumbel noise."""
    log_p = (power - 1) * np.log(np.arange(1, space + 1))
    return np.argsort(-(log_p + rng.gumbel(size=(rows, space))), axis=1)[:, :count]

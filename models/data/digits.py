"""Handwritten digits: 1,797 images of 8 x 8 pixels, 10 classes, shipped inside scikit-learn.

Source: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI repository.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.data.dataset import Dataset
from models.data.splits import standardise, three_way
from refusal import Refusal


def load(
    *,
    batch_size: int,
    shape: Sequence[int] = (1, 8, 8),
    classes: int = 10,
    task: str = "classification",
    packages: Sequence[str] = ("scikit-learn",),
    drawn: str = "anew",
    val_share: float = 0.2,
    test_share: float = 0.2,
    augment: Sequence[str] = (),
    split_seed: int = 0,
) -> Dataset:
    """Inputs (N, 1, 8, 8) float32, targets (N,). `packages` and `drawn` are for who reads the config.

    One pool is cut into three by `split_seed`: another seed draws every part anew.
    """
    # Parsing the 57 kB file takes 10 ms; importing sklearn.datasets to have it parsed takes 2.8 CPU seconds.
    table = torch.from_numpy(np.loadtxt(_file(), delimiter=",", dtype=np.int64))
    inputs = table[:, :-1].float().view(-1, 1, 8, 8)
    splits = three_way(inputs, table[:, -1], val_share=val_share, test_share=test_share, seed=split_seed)
    (train, val, test), scale = standardise(*splits)
    about = scale | {"names": [str(digit) for digit in range(10)]}
    return Dataset(train, val, test, task, tuple(shape), classes, batch_size, about, augment)


def _file() -> Path:
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise Refusal("data=digits needs scikit-learn: pip install scikit-learn.")
    return Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"

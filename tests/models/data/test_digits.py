"""Digits are scikit-learn's, read without importing it."""

import subprocess
import sys

import pytest
import torch

from models.data import digits
from refusal import Refusal


def test_the_splits_together_are_scikit_learns_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    real = datasets.load_digits()
    data = digits.load(batch_size=100)
    parts = (data.train, data.val, data.test)
    inputs, targets = (torch.cat([getattr(part, name) for part in parts]) for name in ("inputs", "targets"))
    assert targets.bincount().equal(torch.from_numpy(real.target).bincount())
    pixels = torch.from_numpy(real.data).float()
    scaled = (pixels - pixels.mean()) / pixels.std()
    together = (inputs - inputs.mean()) / inputs.std()
    assert torch.allclose(together.flatten(1).sum(0), scaled.sum(0), atol=1e-2)


def test_sizes_and_scale():
    data = digits.load(batch_size=100)
    assert [len(part) for part in (data.train, data.val, data.test)] == [1079, 359, 359]
    assert abs(float(data.train.inputs.mean())) < 1e-5 and abs(float(data.train.inputs.std()) - 1) < 1e-5


def test_a_flat_shape_is_refused_with_the_true_one():
    with pytest.raises(Refusal, match=r"set data\.shape=\[1,8,8\]"):
        digits.load(batch_size=100, shape=[64])


@pytest.mark.slow
def test_loading_does_not_import_scikit_learn():
    load = "from models.data import digits; digits.load(batch_size=9)"
    code = f"import sys; {load}; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

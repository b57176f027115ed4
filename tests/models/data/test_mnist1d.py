"""MNIST-1D is what the paper describes: checked step by step against a plain reading of one example."""

import numpy as np
import pytest
import torch
from scipy.interpolate import interp1d
from scipy.ndimage import gaussian_filter1d

from models.data import mnist1d
from refusal import Refusal


def test_templates_have_the_paper_s_scale_and_start_at_zero():
    glyphs = mnist1d.templates()
    assert glyphs.shape == (10, 12)
    assert np.allclose(glyphs.std(1), 1 / 6)
    assert np.allclose(glyphs[:, 0], 0)
    assert len(np.unique(glyphs.round(6), axis=0)) == 10


def test_reading_between_points_is_linear_interpolation():
    rng = np.random.default_rng(0)
    values, at = rng.standard_normal((5, 17)), np.sort(rng.random((5, 9)), 1) * 16
    at[:, -1] = 16
    expected = [interp1d(np.arange(17), row)(places) for row, places in zip(values, at, strict=True)]
    assert np.allclose(mnist1d._read_at(values, at), expected)


def test_correlated_noise_is_a_gaussian_filter_of_two_points():
    noise = np.random.default_rng(0).standard_normal((4, 72))
    assert np.allclose(mnist1d._blurred(noise), gaussian_filter1d(noise, 2.0, axis=1))


def test_without_noise_the_template_is_stretched_whole_somewhere_in_the_signal(monkeypatch):
    for name in ("CORRELATED", "INDEPENDENT", "SHEAR", "SCALE"):
        monkeypatch.setattr(mnist1d, name, 0.0)
    glyphs = np.repeat(mnist1d.templates(), 20, 0)
    signal = mnist1d._examples(glyphs, np.random.default_rng(0))
    assert signal.shape == (200, 40)
    # 12 of 48 to 72 points hold the glyph, so 6 to 10 of 40 do, with its highest point to within a step.
    held = (np.abs(signal) > 1e-9).sum(1)
    assert held.min() >= 3 and held.max() <= 12
    assert np.all(np.abs(np.abs(signal).max(1) - np.abs(glyphs).max(1)) < 0.3)


def test_sizes_classes_and_scale():
    data = mnist1d.load(batch_size=100)
    assert data.train.inputs.shape == (4000, 1, 40) and data.train.inputs.dtype == torch.float32
    assert len(data.val) == len(data.test) == 1000
    for split in (data.train, data.val, data.test):
        assert (split.targets.bincount() == len(split) // 10).all()
        assert abs(float(split.inputs.mean())) < 0.05 and abs(float(split.inputs.std()) - 1) < 0.05


def test_a_larger_training_set_leaves_the_others_as_they_were():
    small, large = (mnist1d.load(batch_size=10, train_size=size) for size in (200, 400))
    scale = small.test.inputs.std() / large.test.inputs.std()
    shapes = [
        (data.test.inputs - data.test.inputs.mean()) / data.test.inputs.std() for data in (small, large)
    ]
    assert torch.allclose(*shapes, atol=1e-4) and small.test.targets.equal(large.test.targets)
    assert 0.8 < float(scale) < 1.25


def test_splits_share_no_example():
    data = mnist1d.load(batch_size=10, train_size=300, val_size=300, test_size=300)
    rows = torch.cat([data.train.inputs, data.val.inputs, data.test.inputs]).flatten(1)
    assert len(rows.unique(dim=0)) == 900


def test_too_few_examples_are_refused():
    with pytest.raises(Refusal, match="10 or more"):
        mnist1d.load(batch_size=1, val_size=5)

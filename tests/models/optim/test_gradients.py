import math

import pytest
import torch

from models.optim.gradients import clip, norm_of


def gradients():
    return [torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([12.0])]


def test_the_norm_is_of_all_together():
    assert norm_of(gradients()).item() == pytest.approx(13.0)


@pytest.mark.parametrize(("largest", "expected"), [(6.5, 6.5), (1.0, 1.0), (13.5, 13.0), (100.0, 13.0)])
def test_clipping_scales_down_only(largest, expected):
    found = gradients()
    clip(found, norm_of(found), largest)
    assert norm_of(found).item() == pytest.approx(expected, rel=1e-5)
    assert found[0][0, 0] / found[0][1, 1] == pytest.approx(0.75)


def test_what_is_not_finite_shows():
    assert not math.isfinite(norm_of([torch.tensor([1.0]), torch.tensor([math.inf, 0.0])]).item())
    assert math.isnan(norm_of([torch.tensor([1.0, math.nan])]).item())

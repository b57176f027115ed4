import itertools
import math

import pytest
import torch
from torch import nn

from models.compress import gains as module
from models.compress.gains import error_vs_fp32, gains


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def inputs():
    return torch.randn(32, 64, generator=torch.Generator().manual_seed(1))


def test_32_bits_have_no_error():
    assert error_vs_fp32(net(), inputs()) == 0


def test_mixed_precision_is_within_bfloat16s_resolution():
    assert 1e-4 < error_vs_fp32(net(), inputs(), torch.bfloat16) < 0.05


def test_the_error_is_relative_to_the_examples_largest_logit():
    class Rounded(nn.Module):
        def forward(self, x):
            return x.bfloat16().float() if torch.is_autocast_enabled("cpu") else x

    x = torch.tensor([[1.0, 1 + 2**-9], [1000.0, 500.0]])
    assert error_vs_fp32(Rounded(), x, torch.bfloat16) == pytest.approx(2**-9 / (1 + 2**-9))


def test_16_bit_weights_are_compared_with_the_same_weights_in_32_bits():
    half = net().bfloat16()
    error = error_vs_fp32(half, inputs().bfloat16())
    assert 1e-4 < error < 0.05
    assert all(weight.dtype == torch.bfloat16 for weight in half.parameters())


def test_tokens_stay_tokens():
    half = nn.Embedding(10, 4).bfloat16()
    assert error_vs_fp32(half, torch.tensor([[1, 2]])) == 0


def test_a_broken_network_has_no_finite_error():
    broken = net()
    broken[0].weight.data[0, 0] = math.nan
    assert math.isnan(error_vs_fp32(broken, inputs()))


class Timed(nn.Module):
    """Takes as long as it is told to, a call at a time."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, itertools.cycle(seconds)

    def forward(self, x):
        self.clock.work(next(self.seconds), held_up=1.0)
        return x


def test_a_machine_that_slows_both_networks_leaves_their_ratio_known(clock, monkeypatch):
    monkeypatch.setattr(module, "time", clock)
    slowed = [0.03] * 3 + [0.03, 0.06]
    metrics, uneven = gains(Timed(clock, slowed), Timed(clock, [s / 3 for s in slowed]), inputs(), 8.0, 2.0)
    assert uneven is None and metrics["compress/bytes_ratio"] == 0.25
    assert metrics["compress/speedup"] == pytest.approx(3) == metrics["compress/speedup_single"]


def test_a_ratio_that_moves_is_compared_with_none(clock, monkeypatch):
    monkeypatch.setattr(module, "time", clock)
    moving = [0.01] * 3 + [0.03] * 3 + [0.02] * 3
    _, uneven = gains(Timed(clock, [0.03]), Timed(clock, moving), inputs(), 8.0, 2.0)
    assert uneven is not None and uneven.startswith("the ratio of calls in turns spread by ")

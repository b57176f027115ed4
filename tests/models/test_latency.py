import itertools
import time

import pytest
import torch
from torch import nn
from trainings import Steady

from models.energy import Meter
from models.latency import latency, measure

KEYS = {
    "infer/latency_s_p50",
    "infer/latency_s_p95",
    "infer/latency_s_p50_batch",
    "infer/latency_s_p95_batch",
    "infer/samples_per_second",
    "infer/energy_j_per_sample",
    "infer/cpu_seconds_per_sample",
}


class Slow(nn.Module):
    """Takes 2 ms, and 1 ms more for each example; every tenth call takes 20 ms more."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        assert not self.training and torch.is_inference_mode_enabled()
        self.calls += 1
        time.sleep(0.002 + 0.001 * len(x) + 0.02 * (self.calls % 10 == 0))
        return x


def test_percentiles_throughput_and_joules():
    meter = Meter(min_window_s=0.3)
    net = Slow().train()
    found, facts = measure(net, torch.zeros(8, 2), meter)
    meter.stop()
    assert set(found) == KEYS
    assert 0.003 <= found["infer/latency_s_p50"] < found["infer/latency_s_p95"]
    assert 0.010 <= found["infer/latency_s_p50_batch"] < 0.025
    assert found["infer/latency_s_p95_batch"] > 0.025
    assert found["infer/samples_per_second"] < 8 / 0.010
    assert net.training
    assert facts["batch"] == 8
    assert found["infer/energy_j_per_sample"] == pytest.approx(
        facts["energy"]["joules"] / (8 * facts["calls_batch"])
    )


def test_joules_that_the_meter_does_not_vouch_for_are_left_out():
    class Slow(Steady):
        tick_s = 60.0

    meter = Meter(min_window_s=0.0, counters=lambda device: ([Slow()], {}))
    found, facts = measure(nn.Identity(), torch.zeros(4, 2), meter)
    meter.stop()
    assert set(found) == KEYS - {"infer/energy_j_per_sample"}
    assert facts["calls"] == facts["calls_batch"] == facts["rounds"] == 3
    assert "tick" in facts["energy"]["note"]


class Uneven(nn.Module):
    """Sleeps as long as it is told to, one entry for all calls of a size in a round of 10 ms."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.calls = seconds, 0

    def forward(self, x):
        time.sleep(next(self.seconds))
        return x


def test_rounds_go_on_while_the_latency_is_not_known():
    def measured(seconds, window_s):
        meter = Meter(min_window_s=window_s)
        facts = measure(Uneven(seconds), torch.zeros(8, 2), meter)[1]
        meter.stop()
        return facts

    # A call a round, each of which is as long as the others or twice as long.
    steady = measured(itertools.repeat(0.03), 0.1)
    assert steady["rounds"] >= 5 and steady["half_width_batch"] < 0.3
    # Single and batch take turns, so each has 30, 60, 30, 60 ms.
    uneven = measured(itertools.cycle([0.03, 0.03, 0.06, 0.06]), 0.2)
    assert uneven["rounds"] > 5
    # Ten logarithms of 1 and 2 in turns have a standard deviation of 0.36: expm1(2.28 x 0.36 / 3.2) is 0.30.
    assert 0.1 < uneven["half_width"] < 0.5
    # On a busy machine waking up from a sleep is waited for, too, which is said first.
    assert uneven["energy"]["disturbed"]


def test_cpu_seconds_are_of_the_batches():
    class Busy(nn.Module):
        def forward(self, x):
            end = time.process_time() + 0.001 * len(x)
            while time.process_time() < end:
                pass
            return x

    meter = Meter()
    found = latency(Busy(), torch.zeros(8, 2), meter)
    meter.stop()
    assert found["infer/cpu_seconds_per_sample"] == pytest.approx(0.001, rel=0.1)
    if meter.window_s == 0.04:
        assert found["infer/energy_j_per_sample"] > 0


def test_a_meter_that_counts_already_is_not_started_anew():
    meter = Meter(min_window_s=0.0)
    meter.start("cpu")
    time.sleep(0.1)
    latency(nn.Identity(), torch.zeros(1, 2), meter)
    assert meter.read().seconds > 0.1
    meter.stop()


def test_it_is_short_where_energy_is_estimated():
    meter = Meter()
    meter.start("cpu")
    started = time.perf_counter()
    latency(nn.Identity(), torch.zeros(16, 2), meter)
    taken = time.perf_counter() - started
    meter.stop()
    assert taken < 10 * meter.window_s

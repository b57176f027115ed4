import itertools
import math
import statistics
import time

import pytest
import torch
from scipy import stats
from torch import nn

from made_up_clock import CORE_W, metered
from models.energy.meter import Meter
from models.measure.latency import latency, measure
from trainings import Steady

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

    def __init__(self, clock):
        super().__init__()
        self.clock, self.calls = clock, 0

    def forward(self, x):
        assert not self.training and torch.is_inference_mode_enabled()
        self.calls += 1
        self.clock.work(0.002 + 0.001 * len(x) + 0.02 * (self.calls % 10 == 0), held_up=1.0)
        return x


def test_percentiles_throughput_and_joules(clock, tmp_path):
    meter = metered(tmp_path, min_window_s=0.6)
    net = Slow(clock).train()
    found, facts = measure(net, torch.zeros(8, 2), meter)
    meter.stop()
    assert set(found) == KEYS
    # Of ten calls one is slow, so the slowest in twenty is.
    assert found["infer/latency_s_p50"] == pytest.approx(0.003)
    assert found["infer/latency_s_p95"] == pytest.approx(0.023)
    assert found["infer/latency_s_p50_batch"] == pytest.approx(0.010)
    assert found["infer/latency_s_p95_batch"] == pytest.approx(0.030)
    assert facts["batch"] == 8 and facts["rounds"] >= 5
    seconds, samples = facts["energy"]["seconds"], 8 * facts["calls_batch"]
    assert seconds >= 0.6
    assert found["infer/samples_per_second"] == pytest.approx(samples / seconds)
    assert found["infer/cpu_seconds_per_sample"] == pytest.approx(seconds / samples)
    assert found["infer/energy_j_per_sample"] == pytest.approx(CORE_W * seconds / samples)
    assert net.training


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
    """Takes as long as it is told to, one entry for all calls of a size in a round of 10 ms."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, x):
        self.clock.work(next(self.seconds), held_up=1.0)
        return x


def test_rounds_go_on_while_the_latency_is_not_known(clock, tmp_path):
    def measured(seconds, window_s):
        meter = metered(tmp_path, min_window_s=window_s)
        facts = measure(Uneven(clock, seconds), torch.zeros(8, 2), meter)[1]
        meter.stop()
        return facts

    # A call a round, each of which is as long as the others or twice as long.
    steady = measured(itertools.repeat(0.03), 0.1)
    assert steady["rounds"] == 5 and steady["half_width"] == pytest.approx(steady["half_width_batch"])
    assert steady["half_width"] == pytest.approx(0.0, abs=1e-9) and steady["energy"]["disturbed"] is None
    # Single and batch take turns, so each has 30, 60, 30, 60 ms: 0.7 s have room for eight of each.
    uneven = measured(itertools.cycle([0.03, 0.03, 0.06, 0.06]), 0.14)
    rounds = uneven["rounds"]
    assert rounds == 8 and uneven["calls"] == uneven["calls_batch"] == 8
    logarithms = [math.log(1 + at % 2) for at in range(rounds)]
    quantile = stats.t.ppf(0.975, rounds - 1)
    half = math.expm1(quantile * statistics.stdev(logarithms) / math.sqrt(rounds))
    assert uneven["half_width"] == pytest.approx(half, rel=0.03)
    assert uneven["half_width_batch"] == pytest.approx(half, rel=0.03)
    assert uneven["energy"]["disturbed"].startswith("8 rounds of calls spread by ")


def test_cpu_seconds_are_of_the_batches(clock, tmp_path):
    class Busy(nn.Module):
        def forward(self, x):
            clock.work(0.001 * len(x), held_up=5.0)
            return x

    meter = metered(tmp_path)
    found = latency(Busy(), torch.zeros(8, 2), meter)
    meter.stop()
    assert found["infer/cpu_seconds_per_sample"] == pytest.approx(0.001)
    assert found["infer/energy_j_per_sample"] == pytest.approx(0.001 * CORE_W)
    assert found["infer/samples_per_second"] == pytest.approx(1 / 0.005)


def test_a_meter_that_counts_already_is_not_started_anew():
    meter = Meter(min_window_s=0.0)
    meter.start("cpu")
    time.sleep(0.1)
    latency(nn.Identity(), torch.zeros(1, 2), meter)
    assert meter.read().seconds > 0.1
    meter.stop()


@pytest.mark.parametrize("call_s", [1e-5, 1e-3, 0.03])
def test_it_is_short_where_energy_is_estimated(clock, tmp_path, call_s):
    class Steps(nn.Module):
        def forward(self, x):
            clock.work(call_s, held_up=1.0)
            return x

    meter = metered(tmp_path)
    meter.start("cpu")
    began = clock.now_s
    latency(Steps(), torch.zeros(16, 2), meter)
    meter.stop()
    # Six calls to warm up, and a window of batches with a fifth as much of single examples, a call too many.
    assert clock.now_s - began <= 6 * call_s + 1.2 * meter.window_s + 5 * 2 * call_s

import time

import pytest
import torch

from models.measure import peak


@pytest.mark.slow
def test_the_share_is_arithmetic_over_the_peak():
    metrics = {"compute/flops_train": 2e6, "train/samples_per_second": 1e3, "train/seconds": 6.0}
    metrics["train/cpu_seconds"] = 2.0
    found, facts = peak.share(metrics, "32-true", "cpu")
    # 6,000 examples of 2 million operations in 2 CPU seconds, however long others made them wait.
    assert found["train/fraction_of_peak"] == pytest.approx(6e9 / facts["peak_flops"])
    assert facts["peak_dtype"] == "float32"
    assert peak.share(metrics, "bf16-mixed", "cpu")[1]["peak_dtype"] == "bfloat16"
    assert peak.share({"compute/flops_train": 2e6}, "32-true", "cpu") == ({}, {})


def test_the_peak_is_that_of_one_product_and_measured_once():
    found = peak.peak_flops("cpu", torch.float32, torch.get_num_threads())
    assert 1e9 < found < 1e15
    assert peak.peak_flops("cpu", torch.float32, torch.get_num_threads()) is found


def test_a_process_that_is_held_up_has_a_peak_all_the_same(monkeypatch):
    """After the first product there was no time left for a second one: the peak was 0, and was divided by."""
    peak.peak_flops.cache_clear()
    real, jumps = time.perf_counter, iter(range(0, 10**9, 10))
    monkeypatch.setattr(peak.time, "perf_counter", lambda: real() + next(jumps))
    assert 1e9 < peak.peak_flops("cpu", torch.float32, 17) < 1e15
    peak.peak_flops.cache_clear()


def test_the_peak_is_of_cpu_time_whatever_the_wall_says(monkeypatch, clock):
    def held_up(*arguments, **settings):
        clock.work(0.001, held_up=20.0)

    monkeypatch.setattr(peak.torch, "mm", held_up)
    monkeypatch.setattr(peak, "time", clock)
    peak.peak_flops.cache_clear()
    # 512 x 512 x 512 multiply-adds in a millisecond that took 20.
    assert peak.peak_flops("cpu", torch.float32, 19) == pytest.approx(2 * 512**3 / 0.001)
    peak.peak_flops.cache_clear()

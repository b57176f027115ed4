import pytest
import torch

from models import peak


def test_the_share_is_arithmetic_over_the_peak():
    metrics = {"compute/flops_train": 2e6, "train/samples_per_second": 1e3}
    found, facts = peak.share(metrics, "32-true", "cpu")
    assert found["train/fraction_of_peak"] == pytest.approx(2e9 / facts["peak_flops"])
    assert facts["peak_dtype"] == "float32"
    assert peak.share(metrics, "bf16-mixed", "cpu")[1]["peak_dtype"] == "bfloat16"
    assert peak.share({"compute/flops_train": 2e6}, "32-true", "cpu") == ({}, {})


def test_the_peak_is_that_of_one_product_and_measured_once():
    found = peak.peak_flops("cpu", torch.float32, torch.get_num_threads())
    assert 1e9 < found < 1e15
    assert peak.peak_flops("cpu", torch.float32, torch.get_num_threads()) is found

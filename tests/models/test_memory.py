import pytest
import torch

from models import memory
from models.memory import PeakMemory

MEGABYTE = 2**20


def test_a_peak_that_is_gone_again_is_seen():
    peak = PeakMemory("cpu")
    peak.start()
    held = torch.ones(64 * MEGABYTE // 4)
    del held
    assert peak.method == "resident above start"
    assert 60 * MEGABYTE < peak.read() < 80 * MEGABYTE


def test_start_forgets_an_earlier_peak():
    peak = PeakMemory("cpu")
    peak.start()
    held = torch.ones(64 * MEGABYTE // 4)
    del held
    peak.start()
    assert peak.read() < 8 * MEGABYTE


def test_where_the_reset_is_forbidden_the_method_says_so(monkeypatch):
    monkeypatch.setattr(memory, "_reset_peak", lambda: False)
    peak = PeakMemory("cpu")
    peak.start()
    assert peak.method == "resident peak of process"
    assert peak.read() > 50 * MEGABYTE


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_is_the_allocators_peak():
    peak = PeakMemory("cuda")
    peak.start()
    held = torch.ones(64 * MEGABYTE // 4, device="cuda")
    del held
    assert peak.method == "cuda allocator"
    assert peak.read() >= 64 * MEGABYTE

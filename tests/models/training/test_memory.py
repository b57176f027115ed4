from mmap import ACCESS_READ, MAP_ANONYMOUS, MAP_PRIVATE, mmap

import pytest
import torch
from forked import alone

from models.training import memory
from models.training.memory import LiveBytes, PeakMemory, activation_bytes
from models.training.untouched import restored

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


@alone
def test_what_lies_freed_in_the_process_is_seen_again_only_from_a_trimmed_start():
    peaks = {}
    for trimmed in (False, True):
        blocks = [bytearray(100_000) for _ in range(640)]
        pin = blocks[-1]  # holds the end of the heap, so that the rest stays with the process
        del blocks
        peak = PeakMemory("cpu")
        peak.start(trimmed=trimmed)
        again = [bytearray(100_000) for _ in range(600)]
        peaks[trimmed] = peak.read()
        del again, pin
    assert 55 * MEGABYTE < peaks[True] < 70 * MEGABYTE
    assert peaks[False] < 16 * MEGABYTE


@alone
def test_pages_of_files_are_nobodys_memory(tmp_path):
    (tmp_path / "library").write_bytes(b"x" * 32 * MEGABYTE)
    peak = PeakMemory("cpu")
    peak.start()
    with (tmp_path / "library").open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as pages:
        assert sum(pages[start] for start in range(0, len(pages), 4096)) > 0
        # Mapped anew: malloc may answer with pages that it kept when something before was freed.
        with mmap(-1, 16 * MEGABYTE, flags=MAP_PRIVATE | MAP_ANONYMOUS) as held:
            held.write(b"x" * len(held))
            assert 15 * MEGABYTE < peak.read() < 40 * MEGABYTE


def test_steps_that_are_undone_leave_their_copy_of_the_weights_out_of_the_peak():
    net = torch.nn.Linear(4096, 4096)  # 64 MiB, which malloc always maps anew
    peak = PeakMemory("cpu")
    peak.start(trimmed=True)
    with restored(net):
        assert peak.read() >= 64 * MEGABYTE
    peak.forget()
    assert peak.read() < 4 * MEGABYTE


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


def test_live_bytes_count_what_is_made_while_it_lives_and_views_not_at_all():
    weight = torch.ones(MEGABYTE // 4)
    with LiveBytes() as live:
        kept = weight.view(2, -1) + 1.0
        assert live.now == MEGABYTE
        torch.cat([kept, kept]).sum()
        kept.add_(1.0)
        half = kept[0]
        del kept
        assert live.now == MEGABYTE, "a view holds its storage"
        del half
    assert live.now == 0
    assert live.peak == 3 * MEGABYTE + 4, "the two halves together, and their sum"


def test_activation_bytes_are_those_of_the_graph_and_of_its_gradients():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 64, bias=False), torch.nn.Tanh(), torch.nn.Linear(64, 1))
    x, row = torch.randn(1000, 8), 4 * 1000
    found = activation_bytes(net, lambda: net(x).sum())
    # tanh's result is kept; at its gradient that of the layer above is there, and the one being computed.
    assert 3 * 64 * row <= found <= 3 * 64 * row + 10 * row
    assert activation_bytes(net, lambda: net(x[:100]).sum()) == pytest.approx(found / 10, rel=0.05)
    assert all(weight.grad is None for weight in net.parameters())


def test_weights_and_their_gradients_are_no_activations():
    net = torch.nn.Linear(1000, 1000, bias=False)
    assert activation_bytes(net, lambda: net(torch.ones(1, 1000)).sum()) < 1.05 * net.weight.nbytes
    net.requires_grad_(False)
    x = torch.ones(1, 1000, requires_grad=True)
    assert activation_bytes(net, lambda: net(x).sum()) < 0.01 * net.weight.nbytes


def test_a_look_at_the_memory_leaves_the_network_and_the_dice_as_they_were():
    parts = torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5)
    net = torch.nn.Sequential(*parts, torch.nn.Linear(8, 1)).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.rand(4)
    torch.manual_seed(3)

    activation_bytes(net, lambda: net(torch.randn(16, 8)).sum())

    assert torch.equal(torch.rand(4), drawn)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(weight.grad is None for weight in net.parameters()) and net.training

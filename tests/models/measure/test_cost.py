import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models.compress.int8_weights import Int8Weights
from models.compress.two_four import two_four_mask
from models.measure.cost import cost, measure, size


def mlp():
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


class Last(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        return self.cell(x)[0][:, -1]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        return functional.scaled_dot_product_attention(*self.qkv(x).chunk(3, -1), is_causal=True)


def test_an_mlp_counts_as_on_paper():
    found = cost(mlp(), torch.zeros(1, 64))
    first, second = 2 * 64 * 128, 2 * 128 * 10
    assert found["size/parameters"] == 64 * 128 + 128 + 128 * 10 + 10
    assert found["compute/flops_forward"] == first + second
    # Backward: both weights, and the input of the second layer; the first layer's input needs no gradient.
    assert found["compute/flops_train"] == 2 * first + 3 * second


@pytest.mark.parametrize(
    ("net", "example"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Flatten()),
            torch.randn(1, 1, 6, 6),
        ),
        (Last(nn.GRU(8, 16, batch_first=True)), torch.randn(1, 5, 8)),
        (Attention(), torch.randn(1, 2, 5, 8)),
    ],
    ids=["cnn", "gru", "attention"],
)
def test_compute_is_what_torchs_own_counter_finds(net, example):
    found, facts = measure(net, example)
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        net.eval()(example).sum().backward()
    assert found["compute/flops_train"] == counter.get_total_flops()
    assert 0 < found["compute/flops_forward"] < found["compute/flops_train"]
    assert facts == {"flops_uncounted": []}


@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_cells_count_as_on_paper(cell, gates):
    found, facts = measure(Last(cell(8, 16, batch_first=True)), torch.randn(1, 5, 8))
    inputs, states = 5 * 2 * gates * 16 * 8, 5 * 2 * gates * 16 * 16
    assert found["compute/flops_forward"] == inputs + states
    # Neither the inputs nor the first state need a gradient.
    assert found["compute/flops_train"] == 2 * inputs + 3 * states - states / 5
    assert facts == {"flops_uncounted": []} and torch.backends.mkldnn.enabled


def test_an_operation_without_a_formula_is_named():
    class Distances(nn.Linear):
        def forward(self, x):
            return torch.cdist(x, self.weight)

    found, facts = measure(Distances(8, 16), torch.randn(1, 8))
    assert facts["flops_uncounted"], found


def test_bytes_are_what_a_file_holds(tmp_path):
    net = mlp()
    torch.save(net.state_dict(), tmp_path / "weights")
    assert cost(net, torch.zeros(1, 64))["size/bytes"] == pytest.approx(
        (tmp_path / "weights").stat().st_size, rel=0.01
    )
    assert cost(net.bfloat16(), torch.zeros(1, 64).bfloat16())["size/bytes"] < 0.55 * 4 * 9610 + 3000


def test_zeros_and_shared_weights_are_seen():
    net = mlp()
    net[0].weight.data[:64] = 0
    assert cost(net, torch.zeros(1, 64))["size/nonzeros"] == 9610 - 64 * 64
    tied = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    tied[1].weight = tied[0].weight
    assert cost(tied, torch.zeros(1, 8))["size/parameters"] == 64 + 8 + 8


def test_a_frozen_network_has_no_cost_of_training():
    found = cost(mlp().requires_grad_(False), torch.zeros(1, 64))
    assert "compute/flops_train" not in found
    assert found["compute/flops_forward"] == 18944


def test_weights_in_the_form_of_sparse_kernels_are_counted_as_what_they_stand_for():
    from torch.sparse import SparseSemiStructuredTensorCUTLASS
    from torch.sparse._semi_structured_conversions import sparse_semi_structured_from_dense_cutlass

    weight = torch.randn(32, 64, dtype=torch.float16)
    weight *= two_four_mask(weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        parts = sparse_semi_structured_from_dense_cutlass(weight)
        packed = SparseSemiStructuredTensorCUTLASS(weight.shape, *parts, None, None, None)
    net = nn.Linear(64, 32)
    net.weight = nn.Parameter(packed, requires_grad=False)
    found = size(net)
    assert found["size/parameters"] == 32 * 64 + 32
    assert found["size/nonzeros"] == 32 * 64 / 2 + 32


def test_a_shared_layer_of_int8_counts_once():
    layer = nn.Linear(64, 64)
    net = Int8Weights().after(nn.Sequential(layer, nn.ReLU(), layer), SimpleNamespace(device="cpu"))
    found = size(net)
    assert found["size/parameters"] == 64 * 64 + 64
    # Rounded to nearest, what is below half a step of its row is 0.
    step = layer.weight.abs().amax(1, keepdim=True) / 127
    assert found["size/nonzeros"] == (layer.weight.abs() > step / 2).sum() + 64


def test_counting_leaves_no_trace():
    net = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)).train()
    before, state = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    cost(net, torch.randn(1, 64, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(weight.grad is None for weight in net.parameters())
    assert torch.equal(state, torch.get_rng_state())
    assert all(module.training for module in net.modules())

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from models.nets.linear import Linear
from models.optim.groups import optimizer_for
from models.optim.muon import MuonAdamW, multiplies_bfloat16, orthogonalised
from refusal import Refusal


def network():
    torch.manual_seed(0)
    body = [nn.Linear(12, 20, bias=False), nn.Linear(20, 12, bias=False), nn.Linear(12, 12, bias=False)]
    return nn.Sequential(*body, nn.LayerNorm(12), nn.Linear(12, 3))


def feed(net, step):
    generator = torch.Generator().manual_seed(step)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_it_is_torchs_muon_on_hidden_matrices_and_torchs_adamw_on_the_rest():
    ours, theirs = network(), network()
    optimizer = optimizer_for(MuonAdamW, ours)
    hidden = [layer.weight for layer in theirs[:3]]
    rest = [*theirs[3].parameters(), *theirs[4].parameters()]
    muon = torch.optim.Muon(hidden, lr=0.02, momentum=0.95, weight_decay=0.0)
    adamw = torch.optim.AdamW(rest, lr=0.003, betas=(0.9, 0.95), weight_decay=0.0)
    for step in range(8):
        feed(ours, step), feed(theirs, step)
        optimizer.step(), muon.step(), adamw.step()
    # Theirs iterates in bfloat16, ours in float32 at this size.
    for left, right in zip(ours[:3].parameters(), hidden, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=8 * 0.02 * 0.02)
    for left, right in zip([*ours[3].parameters(), *ours[4].parameters()], rest, strict=True):
        torch.testing.assert_close(left, right)


def test_weight_decay_shrinks_matrices_by_its_share_of_their_own_rate():
    plain, decayed = network(), network()
    one = optimizer_for(partial(MuonAdamW, weight_decay=0.0), plain)
    other = optimizer_for(partial(MuonAdamW, weight_decay=0.5), decayed)
    before = network()
    feed(plain, 0), feed(decayed, 0)
    one.step(), other.step()
    rates = {"0.weight": 0.02, "4.weight": 0.003, "3.weight": 0.0, "4.bias": 0.0}
    for name, rate in rates.items():
        pulled = plain.get_parameter(name) - decayed.get_parameter(name)
        torch.testing.assert_close(pulled, rate * 0.5 * before.get_parameter(name), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 6, 20), (2, 20, 6), (1, 130, 140)])
def test_singular_values_come_near_1_and_directions_stay(shape):
    torch.manual_seed(0)
    given = torch.randn(shape)
    (found,) = orthogonalised([given], 5)
    assert found.shape == given.shape and found.dtype == torch.float32
    left, values, right = torch.linalg.svd(given, full_matrices=False)
    projected = torch.linalg.svdvals(found)
    large = values > 0.05 * values.max()
    assert projected.max() < 1.3 and projected.min() > 0.1 and projected.mean() > 0.7
    turned = (left.mT @ found @ right.mT).diagonal(dim1=-2, dim2=-1)
    assert (turned[large] > 0.5).all(), "along the gradient's own singular vectors"


def test_it_iterates_in_bfloat16_only_where_the_processor_multiplies_it():
    torch.manual_seed(0)
    given = torch.randn(1, 130, 140)
    (found,) = orthogonalised([given], 5)
    x = given.double() / given.double().norm()
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    exact = float((found - x).abs().max()) < 1e-4
    assert exact is not multiplies_bfloat16()
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if "avx2" in flags:
        assert multiplies_bfloat16() == any(name in flags for name in ("avx512_bf16", "amx_tile"))


def test_matrices_that_go_together_come_back_in_their_places():
    torch.manual_seed(0)
    given = [torch.randn(1, 6, 20), torch.randn(2, 9, 9), torch.randn(3, 20, 6), torch.randn(1, 6, 20)]
    together = orthogonalised(given, 5)
    for one, found in zip(given, together, strict=True):
        torch.testing.assert_close(found, orthogonalised([one], 5)[0], rtol=1e-4, atol=1e-4)


def test_convolutions_are_flattened_and_stacks_are_matrices_each():
    convolution = nn.Conv1d(4, 6, 3, bias=False)
    experts = nn.ParameterDict({"up": nn.Parameter(torch.randn(3, 4, 6))})
    net = nn.Sequential(convolution, nn.Flatten(), nn.Linear(6, 2, bias=False))
    net.experts = experts
    optimizer = optimizer_for(MuonAdamW, net)
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    feed(net, 0)
    grads = {name: parameter.grad.clone() for name, parameter in net.named_parameters()}
    optimizer.step()
    moved = {name: (before[name] - p.detach()) / 0.02 for name, p in net.named_parameters()}
    (expected,) = orthogonalised([grads["0.weight"].flatten(1)[None]], 5)
    torch.testing.assert_close(moved["0.weight"].flatten(1), expected[0], rtol=1e-3, atol=1e-3)
    (expected,) = orthogonalised([grads["experts.up"].mT], 5)
    scale = (6 / 4) ** 0.5
    torch.testing.assert_close(moved["experts.up"].mT, scale * expected, rtol=1e-3, atol=1e-3)


def test_one_state_dict_holds_both():
    ours, resumed = network(), network()
    one, other = optimizer_for(MuonAdamW, ours), optimizer_for(MuonAdamW, resumed)
    feed(ours, 0)
    one.step()
    resumed.load_state_dict(ours.state_dict())
    # Torch takes tensors over as they are, and these must not move together.
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    feed(ours, 1), feed(resumed, 1)
    one.step(), other.step()
    assert all(torch.equal(*pair) for pair in zip(ours.parameters(), resumed.parameters(), strict=True))


def test_a_parameter_without_a_gradient_stays():
    net = network()
    optimizer = optimizer_for(MuonAdamW, net)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    feed(net, 0)
    net[0].weight.grad = net[4].bias.grad = None
    assert optimizer.step(lambda: 2.5) == 2.5
    same = [torch.equal(*pair) for pair in zip(net.parameters(), before, strict=True)]
    assert same == [True, False, False, False, False, False, True]


def test_a_network_without_a_hidden_matrix_is_refused():
    with pytest.raises(Refusal, match="optimizer=adamw"):
        optimizer_for(MuonAdamW, Linear((1, 8, 8), 10))


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"adamw_lr": -1.0}, {"momentum": 1.0}, {"ns_steps": 0}])
def test_values_out_of_range_are_refused(options):
    with pytest.raises(Refusal, match=r"optimizer\."):
        optimizer_for(partial(MuonAdamW, **options), network())

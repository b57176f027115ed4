"""The decoder with experts: what it reports is what it does, and what a trainer needs of it."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from models.measure.cost import measure
from models.nets.gpt import GPT
from models.nets.moe_gpt import MoEGPT

TOKENS = torch.randint(0, 20, (3, 12), generator=torch.Generator().manual_seed(0))


def small(**changes):
    torch.manual_seed(0)
    return MoEGPT((12,), 20, **({"width": 16, "heads": 2, "depth": 2} | changes))


def evaluated(net):
    net.eval()(TOKENS)
    return net.train().metrics()


@pytest.mark.parametrize("changes", [{}, {"chosen": 2, "expansion": 2}, {"shared": 1, "expansion": 2}])
def test_equal_arithmetic_means_equal_but_for_the_router(changes):
    dense = measure(GPT((12,), 20, width=16, heads=2, depth=2), TOKENS[:1])[0]["compute/flops_forward"]
    net = small(**changes)
    found = measure(net, TOKENS[:1])[0]["compute/flops_forward"]
    assert found == dense + 12 * 2 * (2 * 16 * 8)
    assert evaluated(net)["moe/active_flops"] == found / 12


def test_a_token_uses_its_share_of_the_short_convolutions_too():
    net = small(convolution=3, pattern="linear")
    found = measure(net, TOKENS[:1])[0]["compute/flops_forward"]
    without = measure(small(pattern="linear"), TOKENS[:1])[0]["compute/flops_forward"]
    assert found == without + 2 * (2 * 3 * 12 * 48)
    assert evaluated(net)["moe/active_flops"] == found / 12


@pytest.mark.parametrize("sharing", ["none", "all"])
def test_active_arithmetic_is_of_every_run_of_a_layer(sharing):
    # Every token takes two experts of the eight, or none, and those that it takes are what is counted.
    net = small(capacity=0.5, chosen=2, sharing=sharing, depth=2)
    net.eval()(TOKENS)
    found = net.metrics()
    counted = sum(measure(net, row[None])[0]["compute/flops_forward"] for row in TOKENS) / TOKENS.numel()
    assert found["moe/active_flops"] == pytest.approx(counted, rel=1e-12)


def test_active_parameters_are_those_of_the_chosen_experts():
    net = small(chosen=2, expansion=2, shared=1)
    total, expert = sum(weight.numel() for weight in net.parameters()), 2 * 16 * 32
    assert evaluated(net)["moe/active_parameters"] == total - 2 * 6 * expert


@pytest.mark.parametrize("length", [1, 2, 3])
def test_so_short_a_text_that_no_expert_may_take_a_token_passes_by(length):
    net = small(routing="expert", balance_loss=0.0, chosen=1, shared=1).eval()
    with torch.inference_mode():
        answered = net(TOKENS[:, :length])
    assert torch.isfinite(answered).all()
    found = net.metrics()
    assert found["moe/choices_per_token"] == found["moe/max_violation"] == found["moe/load_entropy"] == 0
    assert found["moe/dropped_share"] == 1
    # What is left is what the shared expert does.
    for layer in net.mixtures:
        layer.shared[0].requires_grad_(False)[2].weight.zero_()
        assert not layer(torch.randn(2, length, 16)).any()


def test_metrics_are_of_the_latest_evaluation_and_leave_no_trace():
    net = small(capacity=0.5)
    found = evaluated(net)
    assert net.metrics() == found and net.training
    assert 0 < found["moe/dropped_share"] < 1 and found["moe/choices_per_token"] < 1
    assert 0 <= found["moe/load_entropy"] <= 1
    assert 0 <= found["moe/max_violation"] <= found["moe/max_violation_worst"] <= 7
    net.eval()
    assert "moe/load_entropy" not in net.metrics()


def test_the_auxiliary_loss_is_the_sum_over_layers_and_given_once():
    net = small(balance_loss=0.5, z_loss=0.1)
    net(TOKENS)
    parts = [layer._loss.detach() for layer in net.mixtures]
    assert len(parts) == 2 and net.auxiliary_loss().item() == pytest.approx(sum(parts).item())
    assert float(net.auxiliary_loss()) == 0
    net.eval()(TOKENS)
    assert float(net.auxiliary_loss()) == 0
    copy.deepcopy(net)


def test_the_auxiliary_loss_reaches_every_router():
    net = small(balance_loss=1.0)
    net(TOKENS)
    net.auxiliary_loss().backward()
    assert all(layer.router.weight.grad.abs().sum() > 0 for layer in net.mixtures)


@pytest.mark.parametrize("changes", [{}, {"capacity": 1.0}, {"routing": "expert", "balance_loss": 0.0}])
@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_no_position_sees_what_it_predicts(changes, positions):
    net = small(positions=positions, **changes).eval()
    changed = TOKENS.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 20
    assert torch.allclose(net(TOKENS)[:, :7], net(changed)[:, :7], atol=1e-5)
    assert not torch.allclose(net(TOKENS)[:, 7:], net(changed)[:, 7:], atol=1e-3)


@pytest.mark.slow
def test_it_learns():
    net = small(chosen=2, bias_rate=0.01, shared=1, capacity=1.5)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2, fused=True)
    losses = []
    for _ in range(20):
        loss = cross_entropy(net(TOKENS)[:, :-1].flatten(0, 1), TOKENS[:, 1:].flatten())
        (loss + net.auxiliary_loss()).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]

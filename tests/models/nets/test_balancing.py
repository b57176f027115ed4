"""Losses against their formulas; the loss-free bias under accumulation, recomputation and resumption."""

import copy
import gc

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from models.nets import balancing
from models.nets.balancing import Load, SelectionBias, balance_loss, z_loss
from models.nets.moe import MixtureOfExperts, Routing
from models.nets.routing import token_choice
from models.training.recompute import recompute


def biased(rate=0.1):
    torch.manual_seed(0)
    made = MixtureOfExperts(6, 12, "gelu", Routing(experts=4, bias_rate=rate, balance_loss=0.01))
    torch.nn.init.normal_(made.router.weight)
    return made


def sgd(made, lr=0.1):
    return torch.optim.SGD(made.parameters(), lr)


def step(made, optimizer, *batches, call=None):
    for x in batches:
        loss = (call or made)(x).square().sum() + made.take_loss()
        loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def test_the_balance_loss_is_switch_equation_4():
    torch.manual_seed(0)
    scores = torch.rand(4, 2, 5).softmax(0)
    taken = torch.nn.functional.one_hot(scores.argmax(0), 4).movedim(-1, 0).bool()
    shares = [float((scores.argmax(0) == expert).float().mean()) for expert in range(4)]
    expected = 4 * sum(share * float(scores[expert].mean()) for expert, share in enumerate(shares))
    assert float(balance_loss(scores, taken)) == pytest.approx(expected)


def test_the_balance_loss_of_equal_loads_is_1_and_of_one_expert_their_number():
    everyone = torch.ones(4, 2, 8, dtype=torch.bool)
    assert float(balance_loss(torch.full((4, 2, 8), 0.25), everyone)) == pytest.approx(1)
    one = torch.zeros(4, 2, 8)
    one[2] = 1
    assert float(balance_loss(one, one.bool())) == pytest.approx(4)


def test_the_z_loss_is_the_squared_logarithm_of_the_sum():
    assert float(z_loss(torch.zeros(4, 2, 8))) == pytest.approx(torch.tensor(4.0).log().square())


def test_the_bias_moves_by_the_rate_and_what_a_load_lacks():
    bias, weight = SelectionBias(3, 0.25), torch.nn.Parameter(torch.zeros(3, 1))
    bias.count([3, 1, 2], weight)
    bias.update()
    assert bias.bias.tolist() == [-0.125, 0.125, 0.0]
    bias.update()
    assert bias.bias.tolist() == [-0.125, 0.125, 0.0], "no load, no movement"


def test_the_bias_changes_who_is_chosen_and_not_the_scores():
    made, x = biased().eval(), torch.randn(2, 8, 6)
    made.balance.bias.copy_(torch.tensor([100.0, 0, 0, 0]))
    gates = made._scores(x)[1][0].unsqueeze(-1)
    assert torch.allclose(made(x), gates * made.experts[0](x), atol=1e-6)


def test_the_bias_moves_once_a_step_in_training_only():
    made, x = biased(), torch.randn(2, 8, 6)
    optimizer = sgd(made)
    made(x)
    assert not made.balance.bias.any(), "only a step of the optimizer moves it"
    step(made, optimizer, x)
    assert 0 < made.balance.bias.abs().max() <= 0.1
    before = made.balance.bias.clone()
    made.eval()(x)
    optimizer.step()
    assert torch.equal(made.balance.bias, before)


def test_another_networks_optimizer_does_not_move_it():
    made, other = biased(), torch.nn.Linear(2, 2)
    made(torch.randn(2, 8, 6))
    other(torch.ones(1, 2)).sum().backward()
    sgd(other).step()
    assert not made.balance.bias.any()


def test_a_bias_does_not_outlive_the_weight_it_waits_for():
    made = biased()
    made(torch.randn(2, 8, 6))
    assert made.router.weight in balancing._WAITING
    made.take_loss()
    before = len(balancing._WAITING)
    del made
    gc.collect()
    assert len(balancing._WAITING) < before


def test_accumulated_pieces_move_it_as_the_whole_batch():
    x, whole = torch.randn(4, 8, 6), biased()
    pieces = copy.deepcopy(whole)
    step(whole, sgd(whole, 0.0), x)
    step(pieces, sgd(pieces, 0.0), *x.tensor_split(4))
    assert whole.balance.bias.any() and torch.equal(whole.balance.bias, pieces.balance.bias)


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["nothing", "matmuls"])
def test_a_recomputed_layer_trains_as_the_plain_one(keep):
    plain = torch.nn.Sequential(torch.nn.Linear(6, 6), biased(0.07))
    again = copy.deepcopy(plain)
    optimizers = sgd(plain), sgd(again)
    with recompute(again, ["1"], keep):
        for _ in range(3):
            x = torch.randn(3, 8, 6)
            for net, optimizer in zip((plain, again), optimizers, strict=True):
                (net(x).square().sum() + net[1].take_loss()).backward()
                optimizer.step()
                optimizer.zero_grad()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_reentrant_checkpoint_counts_once():
    plain, x = biased(), torch.randn(3, 8, 6, requires_grad=True)
    again = copy.deepcopy(plain)
    for net, call in ((plain, plain), (again, lambda x: checkpoint(again, x, use_reentrant=True))):
        call(x).square().sum().backward()
        assert sum(net.balance._load) == 24
        net.take_loss()


def test_training_goes_on_bit_for_bit_from_what_was_saved():
    batches = torch.randn(6, 2, 8, 6)
    straight = biased()
    optimizer = sgd(straight)
    for x in batches[:3]:
        step(straight, optimizer, x)
    saved = copy.deepcopy(straight.state_dict())
    assert "balance.bias" in saved
    resumed = biased()
    resumed.load_state_dict(saved)
    for made, own in ((straight, optimizer), (resumed, sgd(resumed))):
        for x in batches[3:]:
            step(made, own, x)
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_bias_evens_out_what_scores_make_uneven():
    torch.manual_seed(0)
    scores = torch.rand(4, 8, 64) + torch.tensor([0.5, 0.2, 0.0, 0.0])[:, None, None]
    seen, chooser = Load(4), SelectionBias(4, 0.05)
    weight = torch.nn.Parameter(torch.zeros(4, 1))
    for _ in range(100):
        load = token_choice(chooser(scores), 1).flatten(1).sum(1).tolist()
        chooser.count(load, weight)
        chooser.update()
        seen.clear()
        seen.add(load, tokens=512, served=512, idle=0)
    assert seen.violation < 0.05
    assert chooser.bias.argsort().tolist()[:2] == [0, 1]


def test_a_network_can_be_copied_after_a_training_step_and_its_evaluation():
    made = biased()
    made(torch.randn(2, 8, 6))
    copy.deepcopy(made.eval())


def test_entropy_and_violation_of_known_loads():
    load = Load(4)
    load.add([4, 4, 4, 4], tokens=16, served=16, idle=0)
    assert load.entropy == pytest.approx(1) and load.violation == 0
    load.clear()
    load.add([16, 0, 0, 0], tokens=16, served=16, idle=0)
    assert load.entropy == 0 and load.violation == 3
    load.clear()
    load.add([3, 1, 0, 0], tokens=4, served=4, idle=0)
    load.add([1, 3, 0, 0], tokens=4, served=4, idle=0)
    assert load.entropy == pytest.approx(0.5) and load.violation == 1

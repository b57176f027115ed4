"""A layer of experts: its answer against a loop over tokens, its limits, its two ways of calling experts."""

import math

import pytest
import torch
from torch.func import functional_call

from cases import each
from models.measure.cost import measure
from models.nets.moe import MixtureOfExperts, Routing
from refusal import Refusal

KINDS = {
    "switch": Routing(experts=4),
    "top2": Routing(experts=4, chosen=2),
    "sigmoid": Routing(experts=4, chosen=3, score="sigmoid"),
    "shared": Routing(experts=4, shared=2),
    "capacity": Routing(experts=4, capacity=0.8),
    "biased": Routing(experts=4, chosen=2, bias_rate=0.1, balance_loss=0.0),
    "expert": Routing(experts=4, chosen=2, routing="expert", balance_loss=0.0),
}


def layer(options, width=6, seed=0):
    torch.manual_seed(seed)
    made = MixtureOfExperts(width, 2 * width, "gelu", options)
    torch.nn.init.normal_(made.router.weight)
    if made.balance is not None:
        made.balance.bias.copy_(torch.tensor([1.0, -1.0, 0.5, 0.0]))
    return made


def by_hand(made, x):
    """(T, width) of one sequence (T, width), token by token, for token choice."""
    options, served, outputs = made.options, [0] * made.options.experts, []
    most = math.inf
    if options.capacity:
        most = math.ceil(options.capacity * options.chosen * len(x) / options.experts)
    for token in x:
        logits = made.router.weight @ token
        scores = logits.softmax(0) if options.score == "softmax" else logits.sigmoid()
        ranking = scores if made.balance is None else scores + made.balance.bias
        best = ranking.topk(options.chosen).indices.tolist()
        total = sum(scores[expert] for expert in best) if options.chosen > 1 else 1.0
        out = sum((expert(token) for expert in made.shared), torch.zeros_like(token))
        for expert in best:
            served[expert] += 1
            if served[expert] <= most:
                out = out + scores[expert] / total * made.experts[expert](token)
        outputs.append(out)
    return torch.stack(outputs)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "expert"])
def test_the_answer_is_that_of_a_loop_over_tokens(kind):
    made, x = layer(KINDS[kind]), torch.randn(3, 10, 6)
    expected = torch.stack([by_hand(made, sequence) for sequence in x])
    for mode in (True, False):
        assert torch.allclose(made.train(mode)(x), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_is_answered_alike_in_any_batch(kind):
    made, x = layer(KINDS[kind]).eval(), torch.randn(5, 10, 6)
    assert torch.allclose(made(x)[2:3], made(x[2:3]), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_calling_every_expert_with_every_token_gives_the_same(kind):
    made, x = layer(KINDS[kind]).eval(), torch.randn(3, 10, 6)
    weights = {name: weight.detach() for name, weight in made.named_parameters()}

    def squares(weights):
        return functional_call(made, weights, (x,)).square().sum()

    gradients = torch.func.grad(squares)(weights)
    made(x).square().sum().backward()
    for name, weight in made.named_parameters():
        assert torch.allclose(gradients[name], weight.grad, atol=1e-4), name


@pytest.mark.slow
def test_export_takes_the_layer():
    made, x = layer(KINDS["top2"]).eval(), torch.randn(2, 5, 6)
    exported = torch.export.export(made, (x,)).module()
    assert torch.allclose(exported(x), made(x), atol=1e-6)


@pytest.mark.parametrize("kind", ["switch", "top2", "capacity", "shared", "biased"])
def test_no_token_sees_later_ones_in_either_mode(kind):
    made, x = layer(KINDS[kind]), torch.randn(2, 10, 6)
    changed = torch.cat([x[:, :6], torch.randn(2, 4, 6)], 1)
    for mode in (True, False):
        made.train(mode)
        assert torch.allclose(made(x)[:, :6], made(changed)[:, :6], atol=1e-6)


def test_expert_choice_sees_later_tokens_in_training_and_none_in_evaluation():
    made, x = layer(KINDS["expert"]), torch.randn(2, 10, 6)
    changed = torch.cat([x[:, :6], 3 * torch.randn(2, 4, 6)], 1)
    assert not torch.allclose(made(x)[:, :6], made(changed)[:, :6], atol=1e-3)
    made.eval()
    assert torch.allclose(made(x)[:, :6], made(changed)[:, :6], atol=1e-6)


@pytest.mark.parametrize(("kind", "used"), [("switch", 1), ("top2", 2), ("shared", 3)])
def test_the_operations_counted_are_the_active_ones(kind, used):
    made = layer(KINDS[kind])
    counted = measure(made, torch.randn(1, 10, 6))[0]["compute/flops_forward"]
    assert counted == 10 * (used * 2 * 2 * 6 * 12 + 2 * 6 * 4)


def test_dropped_tokens_pass_by_with_nothing():
    made = layer(Routing(experts=2, capacity=0.2)).eval()
    out = made(torch.randn(1, 10, 6))
    load, silent = made.load, int((out == 0).all(-1).sum())
    assert (load.tokens, load.served, load.idle) == (10, 10 - silent, silent)
    assert silent >= 8 and sum(load.asked) == 10


def test_evaluation_counts_from_its_last_start():
    made = layer(KINDS["top2"]).eval()
    for _ in range(3):
        made(torch.randn(2, 10, 6))
    assert made.load.tokens == 60 and sum(made.load.asked) == 120
    made.train()(torch.randn(2, 10, 6))
    assert made.load.tokens == 60
    assert made.eval().load.tokens == 0


def test_the_router_is_exact_under_autocast():
    made, x = layer(KINDS["switch"]).eval(), torch.randn(3, 10, 6)
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = made._scores(x)
        assert made(x).isfinite().all()
    assert logits.dtype == torch.float32 and torch.equal(logits, made._scores(x)[0])


@each(
    ("changes", "advice"),
    [
        ({"experts": 17}, "16 or less"),
        ({"experts": 15, "shared": 2}, "model.experts to 14 or less"),
        ({"shared": -1}, "model.shared to 0 or more"),
        ({"experts": 0}, "model.experts 0"),
        ({"chosen": 9}, "set it to 8 or less"),
        ({"chosen": 0}, "model.chosen 0"),
        ({"capacity": 0.0}, "for example 1.25"),
        ({"routing": "random"}, "token or expert"),
        ({"score": "tanh"}, "softmax or sigmoid"),
        ({"z_loss": -1.0}, "model.z_loss"),
        ({"bias_rate": math.nan}, "model.bias_rate"),
        ({"routing": "expert"}, "model.balance_loss=0"),
        ({"routing": "expert", "balance_loss": 0.0, "capacity": 1.0}, "model.capacity=null"),
    ],
)
def test_impossible_routing_is_refused_with_the_key_to_change(changes, advice):
    with pytest.raises(Refusal, match=advice):
        Routing(**changes)

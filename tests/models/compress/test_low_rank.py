"""Low-rank factorisation: nearest in weights or in outputs, and only where it shrinks."""

import pytest
import torch
from torch import nn

from compressing import compressed, pipeline
from models.compress.deltas import refuse_deltas
from models.compress.low_rank import Factorise, factors, largest_rank, rank_for_energy, roots
from models.nets.cnn import CNN
from models.nets.gpt import GPT
from models.nets.structured import LowRank
from models.nets.transformer import Transformer
from refusal import Refusal
from trainings import network


def test_a_matrix_of_low_rank_is_found_exactly_and_factors_share_the_scale() -> None:
    weight = torch.randn(20, 4) @ torch.randn(4, 30)
    up, down = factors(weight, 4)
    assert torch.allclose(up @ down, weight, atol=1e-4)
    assert torch.allclose(up.T @ up, down @ down.T, atol=1e-3)


def test_the_error_is_what_eckart_young_leaves() -> None:
    weight = torch.randn(20, 30)
    up, down = factors(weight, 5)
    lost = (weight - up @ down).square().sum()
    assert lost == pytest.approx(float(torch.linalg.svdvals(weight)[5:].square().sum()), rel=1e-4)


def test_with_inputs_the_outputs_are_nearer_than_the_weights_alone_bring_them() -> None:
    layer = nn.Linear(30, 20, bias=False)
    inputs = torch.randn(500, 30) @ torch.diag(torch.logspace(0, -3, 30))
    (root,) = roots(layer, {"": layer}, [inputs]).values()
    assert torch.allclose(root @ root.T, (inputs.T @ inputs).double(), rtol=0.01, atol=0.01)
    errors = []
    for known in (None, root):
        up, down = factors(layer.weight, 5, known)
        errors.append(float((inputs @ (layer.weight.detach() - up @ down).T).square().sum()))
    assert errors[1] < 0.5 * errors[0]


def test_energy_keeps_the_least_rank_that_holds_it() -> None:
    singular = torch.tensor([2.0, 1.0, 1.0, 0.0])
    assert [rank_for_energy(singular, energy) for energy in (0.5, 0.66, 0.7, 0.9, 1.0)] == [1, 1, 2, 3, 4]


def test_a_share_of_the_parameters_is_reached_and_what_stays_is_told(tmp_path, one_thread) -> None:
    net, made = compressed(
        tmp_path, Factorise(share=0.6, finetune_steps=20), net=network(width=128), steps_of_training=60
    )
    facts = made.facts()["0"]
    count = sum(weight.numel() for weight in net.parameters())
    assert facts["parameters"] == pytest.approx(count / (12 * 128 + 128 + 128 * 4 + 4))
    assert 0.4 < facts["parameters"] <= 0.6
    assert set(facts["ranks"]) | set(facts["skipped"]) == {"0", "3"}
    assert made.context.score(net) > made.context.score(made.trained) - 0.1


def test_layers_that_would_not_shrink_stay(tmp_path, one_thread) -> None:
    net, made = compressed(tmp_path, Factorise(rank=4, finetune_steps=0), net=network(width=64))
    assert isinstance(net[0], LowRank) and isinstance(net[3], nn.Linear)
    assert "would not shrink it" in made.facts()["0"]["skipped"]["3"]
    assert largest_rank(net[3]) == int(0.8 * 64 * 4 / 68)


def test_before_training_the_optimizer_gets_the_factors(tmp_path, one_thread) -> None:
    net, made = compressed(tmp_path, Factorise(rank=4, when="before"), net=network(width=64))
    assert isinstance(made.dense[0], nn.Linear)
    up, down = factors(made.dense[0].weight, 4)
    assert not torch.equal(net[0].up.weight, up) and net[0].down.weight.shape == down.shape
    assert torch.equal(made.trained[0].up.weight, net[0].up.weight)


def test_saved_weights_find_their_ranks_and_shared_layers_stay_shared(tmp_path) -> None:
    def make():
        return Transformer((1, 40), 10, width=64, depth=3, sharing="all").eval()

    step = Factorise(share=0.5, when="before")
    made = pipeline(tmp_path, step)
    thin = step.before(make(), made.context)
    again = step.rebuild(make(), thin.state_dict(), torch.randn(1, 1, 40))
    again.load_state_dict(thin.state_dict())
    inputs = torch.randn(2, 1, 40)
    assert torch.equal(again(inputs), thin(inputs))
    # Layers of the one block, each once, whatever the depth.
    assert sum(isinstance(module, LowRank) for module in again.modules()) == len(step.facts["ranks"])
    assert step.facts["parameters"] <= 0.5


@pytest.mark.parametrize(
    ("knobs", "advice"),
    [
        ({}, "needs one of rank, energy and share, and has 0"),
        ({"rank": 4, "share": 0.5}, "has 2"),
        ({"rank": 0}, "rank 0 is too small"),
        ({"energy": 1.5}, "energy 1.5 is no share"),
        ({"share": 0.5, "when": "during"}, "before, after"),
    ],
)
def test_impossible_knobs_are_refused(knobs, advice) -> None:
    with pytest.raises(Refusal, match=advice):
        Factorise(**knobs)


def test_networks_without_a_layer_to_shrink_are_refused_before_training(tmp_path) -> None:
    with pytest.raises(Refusal, match="no linear layer that two factors would shrink"):
        pipeline(tmp_path, Factorise(rank=8), net=CNN((12, 1), 4, width=8, depth=1))
    with pytest.raises(Refusal, match=r"share 0\.1 cannot be reached"):
        pipeline(tmp_path, Factorise(share=0.1), net=network())
    assert not (tmp_path / "trial").exists()


def test_a_block_with_deltas_of_each_layer_is_refused() -> None:
    net = GPT((8,), 16, width=16, depth=2, heads=2, sharing="relaxed")
    with pytest.raises(Refusal, match=r"model\.sharing=relaxed"):
        refuse_deltas(net, "low_rank")
    refuse_deltas(GPT((8,), 16, width=16, depth=2, heads=2, sharing="all"), "low_rank")

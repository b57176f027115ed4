"""Magnitude pruning at once: exact counts, the right weights, and zeros that last."""

import pytest
import torch

from compressing import compressed
from models.compress.magnitude import Magnitude, magnitude_mask, magnitude_masks
from refusal import Refusal
from trainings import network


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.7, 0.98])
def test_exactly_the_smallest_are_left_out(sparsity) -> None:
    weight = torch.randn(13, 7)
    mask = magnitude_mask(weight, sparsity)
    assert int((~mask).sum()) == round(sparsity * 91)
    if 0 < sparsity < 1:
        assert weight[~mask].abs().max() <= weight[mask].abs().min()
    assert torch.equal(magnitude_mask(weight * mask, sparsity), mask)


def test_ties_do_not_change_the_count() -> None:
    assert int(magnitude_mask(torch.ones(4, 5), 0.3).sum()) == 14


def test_global_compares_across_weights_and_layer_does_not() -> None:
    found = {"small": 0.1 * torch.rand(10, 10), "large": 1 + torch.rand(10, 10)}
    apart = magnitude_masks(found, 0.5, "layer")
    assert [int(mask.sum()) for mask in apart.values()] == [50, 50]
    together = magnitude_masks(found, 0.5, "global")
    assert [int(mask.sum()) for mask in together.values()] == [0, 100]
    assert together["small"].shape == (10, 10)


def test_zeros_survive_fine_tuning(tmp_path, one_thread) -> None:
    net, made = compressed(tmp_path, Magnitude(0.7, finetune_steps=30))
    for layer in (net[0], net[3]):
        assert int((layer.weight == 0).sum()) == round(0.7 * layer.weight.numel())
    assert (net[0].bias != 0).all()
    assert not torch.equal(made.trained[0].weight[net[0].weight != 0], net[0].weight[net[0].weight != 0])
    facts = made.facts()["0"]
    assert facts["sparsity"] == pytest.approx(0.7, abs=0.01) and "clock does not" in facts["speed"]


def test_zeros_survive_the_fine_tuning_of_a_later_step(tmp_path, one_thread) -> None:
    net, _ = compressed(tmp_path, Magnitude(0.5), Magnitude(0.3, finetune_steps=20))
    assert int((net[0].weight == 0).sum()) == 96


@pytest.mark.parametrize(
    ("knobs", "advice"),
    [
        ({"sparsity": 1.0}, "sparsity 1.0 is no share"),
        ({"sparsity": 0}, "sparsity 0 is no share"),
        ({"sparsity": "half"}, "sparsity half is no share"),
        ({"scope": "block"}, "choose one of layer, global"),
    ],
)
def test_impossible_knobs_are_refused(knobs, advice) -> None:
    with pytest.raises(Refusal, match=advice):
        Magnitude(**knobs)


def test_nothing_to_prune_is_refused_before_training(tmp_path) -> None:
    with pytest.raises(Refusal, match="no weight to prune"):
        compressed(tmp_path, Magnitude(skip=["*"]))
    assert not (tmp_path / "trial").exists() and network()

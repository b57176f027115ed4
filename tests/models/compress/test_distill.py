"""Distillation: the terms are those of the papers, the teacher is not touched, the student is moved by it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from models.compress.compression import Compression
from models.compress.distill import Distill, captured, hard_labels, similarity, soft_labels
from models.data.dataset import UNSCORED
from models.pipeline import Pipeline
from refusal import Refusal
from trainings import blobs, network, parts, weights


def pipeline(tmp_path, compress, *, net=None, **changes):
    own = parts(tmp_path, **changes)
    own.pop("loggers")
    own.pop("net")
    return Pipeline(compress, net if net is not None else network(), **own)


@pytest.mark.slow
@given(st.floats(0.5, 20.0), st.integers(0, 100))
def test_soft_labels_are_the_divergence_of_the_softened_answers(temperature: float, seed: int) -> None:
    torch.manual_seed(seed)
    logits, answers = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    p, q = (torch.softmax(one / temperature, -1) for one in (answers, logits))
    expected = temperature**2 * (p * (p / q).log()).sum(-1).mean()
    torch.testing.assert_close(soft_labels(logits, answers, temperature), expected)
    assert soft_labels(answers, answers, temperature).abs() < 1e-12


def test_the_gradient_of_soft_labels_keeps_its_size_over_temperatures() -> None:
    torch.manual_seed(0)
    logits, answers = torch.randn(8, 4, requires_grad=True), torch.randn(8, 4)
    sizes = [
        torch.autograd.grad(soft_labels(logits, answers, temperature), logits)[0].norm().item()
        for temperature in (8.0, 32.0)
    ]
    assert math.isclose(sizes[0], sizes[1], rel_tol=0.1)


def test_hard_labels_are_the_likeliest_class() -> None:
    logits, answers = torch.randn(6, 4), torch.randn(6, 4)
    assert torch.equal(hard_labels(logits, answers), functional.cross_entropy(logits, answers.argmax(-1)))


def test_similarity_sees_through_rotations_and_widths() -> None:
    torch.manual_seed(0)
    features = torch.randn(6, 8)
    rotation = torch.linalg.qr(torch.randn(8, 8))[0]
    wide = torch.cat([features @ rotation, torch.zeros(6, 5)], 1)
    assert similarity(features, wide) < 1e-10 < similarity(features, torch.randn(6, 13))


def test_features_are_what_the_last_layer_reads_and_the_hook_goes() -> None:
    net, seen = network(), {}
    with captured(net, seen):
        net(blobs().val.inputs)
    assert seen["features"].shape[-1] == net[3].in_features
    assert not net[3]._forward_pre_hooks


def agreement(student: nn.Module, teacher: nn.Module) -> float:
    inputs = blobs().val.inputs
    with torch.no_grad():
        return functional.mse_loss(student(inputs).softmax(-1), teacher(inputs).softmax(-1)).item()


@pytest.mark.slow
@pytest.mark.parametrize("features", [0.0, 10.0])
def test_a_student_comes_closer_to_its_teacher(tmp_path, one_thread, features: float) -> None:
    teacher = network(seed=7, width=32)
    before = weights(teacher).clone()
    alone = pipeline(tmp_path / "alone", {}).fit([]).net
    step = Distill(teacher, weight=1.0, temperature=1.0, features=features)
    taught = pipeline(tmp_path / "taught", {"distill": step}, steps=200)
    student = taught.fit([]).net
    assert agreement(student, teacher) < 0.5 * agreement(alone, teacher)
    assert torch.equal(weights(teacher), before) and not taught.reshapes


def test_a_weight_of_zero_is_the_training_without_a_teacher(tmp_path, one_thread) -> None:
    plain = pipeline(tmp_path / "plain", {}).fit([]).net
    step = {"distill": Distill(network(seed=7), weight=0.0)}
    same = pipeline(tmp_path / "taught", step).fit([]).net
    torch.testing.assert_close(weights(same), weights(plain))


def test_places_that_are_not_scored_are_not_taught() -> None:
    step = Distill(network())
    logits, answers = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    targets = torch.tensor([[0, UNSCORED, 1], [UNSCORED, UNSCORED, 2]])
    scored = targets.flatten() != UNSCORED
    expected = soft_labels(logits.flatten(0, 1)[scored], answers.flatten(0, 1)[scored], 4.0)
    assert torch.equal(step._taught(logits, answers, targets), expected)


@pytest.mark.slow
def test_the_uncompressed_network_teaches_the_fine_tuning_only(tmp_path, one_thread) -> None:
    step = Distill("self", weight=1.0)
    made = pipeline(tmp_path, {"other": Shaken(), "distill_self": step})
    trained = made.fit([]).net
    plain = pipeline(tmp_path / "plain", {}).fit([]).net
    assert torch.equal(weights(trained), weights(plain))
    final = made.compress(trained)
    assert agreement(final, plain) < agreement(Shaken.shaken(plain), plain)


class Shaken(Compression):
    """Shakes the weights, then fine-tunes."""

    @staticmethod
    def shaken(net: nn.Module) -> nn.Module:
        torch.manual_seed(0)
        other = network()
        other.load_state_dict({k: v + 0.3 * torch.randn_like(v) for k, v in net.state_dict().items()})
        return other

    def after(self, net, context):
        net.load_state_dict(self.shaken(net).state_dict())
        return context.finetune(net, 60)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Distill(None), "no teacher"),
        (lambda: Distill(network(), labels="loud"), "soft or hard"),
        (lambda: Distill(network(), temperature=0.0), "temperature above 0"),
        (lambda: Distill(network(), weight=1.5), r"weight in \[0, 1\]"),
    ],
)
def test_bad_numbers_are_refused(make, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        make()


def test_a_teacher_of_another_task_is_refused_before_training(tmp_path) -> None:
    teacher = nn.Linear(12, 7)
    with pytest.raises(Refusal, match="teacher answers"):
        pipeline(tmp_path, {"distill": Distill(teacher)})
    with pytest.raises(Refusal, match="alone fine-tunes nothing"):
        pipeline(tmp_path, {"distill_self": Distill("self")})

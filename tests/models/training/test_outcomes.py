"""What is kept of each test example: packed small, and its mean is the split's own score."""

import json
import math

import pytest
import torch
from torch import nn

from models.data.dataset import Split
from models.training.evaluate import evaluate
from models.training.outcomes import each, packed
from research.stats.draws import outcomes
from research.types import Result


def read(metric: str, facts: dict) -> list[float]:
    stored = json.loads(json.dumps(facts, allow_nan=False))  # as the database keeps it
    found = outcomes(metric, Result(trial_id=1, metrics={}, facts=stored))
    assert found is not None
    return list(found)


def logits_of(count: int, classes: int, *more: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, *more)
    return torch.randn(*shape, classes, generator=generator), torch.randint(
        0, classes, shape, generator=generator
    )


@pytest.mark.parametrize("count", [1, 7, 8, 359, 1000])
def test_each_answer_of_a_classifier_is_kept_and_read_as_it_was(count: int) -> None:
    logits, targets = logits_of(count, 5)
    scores, facts = evaluate(nn.Identity(), Split(logits, targets), "classification", 64, 5, detailed=True)
    assert read("test/accuracy", facts) == (logits.argmax(1) == targets).double().tolist()
    losses = read("test/loss", facts)
    assert len(losses) <= 128 and math.fsum(losses) / len(losses) == pytest.approx(scores["loss"], rel=1e-6)
    assert facts["examples"]["accuracy"]["count"] == count


def test_ten_thousand_examples_take_less_than_three_kilobytes() -> None:
    _, facts = evaluate(
        nn.Identity(), Split(*logits_of(10_000, 10)), "classification", 1000, 10, detailed=True
    )
    assert len(json.dumps(facts["examples"])) < 3000


def test_losses_are_means_of_neighbours_and_their_mean_is_the_score() -> None:
    logits, targets = logits_of(300, 4)
    _, facts = evaluate(nn.Identity(), Split(logits, targets), "classification", 50, 4, detailed=True)
    nats = nn.functional.cross_entropy(logits, targets, reduction="none")
    by_hand = [float(part.sum()) * 100 / 300 for part in nats.split(3)]
    assert read("test/loss", facts) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("count", [5, 130])
def test_sequences_count_what_is_scored_only(count: int) -> None:
    logits, targets = logits_of(count, 6, 4)
    targets[:, 1:] = torch.where(torch.arange(count * 3).view(count, 3) % 4 == 0, -100, targets[:, 1:])
    scores, facts = evaluate(nn.Identity(), Split(logits, targets), "language", 3, 6, detailed=True)
    right = ((logits.argmax(-1) == targets) & (targets != -100)).sum(1).double()
    groups = math.ceil(count / math.ceil(count / 128))
    scale = groups / int((targets != -100).sum())
    by_hand = [float(part.sum()) * scale for part in right.split(math.ceil(count / 128))]
    assert read("test/accuracy", facts) == pytest.approx(by_hand, rel=1e-6)
    bits = read("test/bits_per_byte", facts)
    assert math.fsum(bits) / len(bits) == pytest.approx(scores["bits_per_byte"], rel=1e-6)


def test_what_is_not_finite_is_wrong_and_stays_not_finite() -> None:
    logits, targets = logits_of(9, 3)
    logits[4] = math.nan
    _, facts = evaluate(nn.Identity(), Split(logits, targets), "classification", 4, 3, detailed=True)
    assert read("test/accuracy", facts)[4] == 0.0
    assert math.isnan(read("test/loss", facts)[4])


def test_one_class_too_many_examples_for_bits_are_groups() -> None:
    sums = torch.ones(2**16 + 1, 3, dtype=torch.float64)
    assert packed(sums)["accuracy"]["count"] <= 128
    assert torch.equal(each(*logits_of(6, 4))[:, 2], torch.ones(6, dtype=torch.float64))

import pytest
import torch
from torch.nn import functional

from models.data import dataset
from models.training.objective import UNSCORED, CrossEntropy, scored
from refusal import Refusal


def logits(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classes_and_tokens_are_scored_alike(smoothing):
    targets = torch.arange(12) % 5
    flat = CrossEntropy(smoothing)(logits(12, 5), targets)
    assert flat == functional.cross_entropy(logits(12, 5), targets, label_smoothing=smoothing)
    tokens = CrossEntropy(smoothing)(logits(12, 5).view(3, 4, 5), targets.view(3, 4))
    torch.testing.assert_close(tokens, flat)


def test_unscored_positions_count_nowhere():
    targets = torch.tensor([[1, UNSCORED, 2], [UNSCORED, 0, UNSCORED]])
    kept = targets.flatten() != UNSCORED
    found = CrossEntropy()(logits(2, 3, 4), targets)
    expected = functional.cross_entropy(logits(2, 3, 4).view(6, 4)[kept], targets.flatten()[kept])
    torch.testing.assert_close(found, expected)
    assert scored(targets) == 3
    assert UNSCORED == dataset.UNSCORED


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_is_a_share(smoothing):
    with pytest.raises(Refusal, match=r"loss\.label_smoothing"):
        CrossEntropy(smoothing)

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from models.data.dataset import Split
from models.training.evaluate import auroc_per_class, detail, evaluate


def answers(n=257, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, classes, generator=generator), torch.randint(0, classes, (n,), generator=generator)


class Replay(nn.Module):
    """Answers with its input: the split's inputs are the logits."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(x)


def test_every_score_of_a_classifier_is_scikit_learns():
    logits, targets = answers()
    scores, facts = evaluate(Replay(), Split(logits, targets), "classification", 64, 5, detailed=True)
    truth, guess, chance = targets.numpy(), logits.argmax(1).numpy(), logits.double().softmax(1).numpy()
    expected = {
        "accuracy": sk.accuracy_score(truth, guess),
        "f1": sk.f1_score(truth, guess, average="macro"),
        "precision": sk.precision_score(truth, guess, average="macro"),
        "recall": sk.recall_score(truth, guess, average="macro"),
        "auroc": sk.roc_auc_score(truth, chance, multi_class="ovr", average="macro"),
        "loss": sk.log_loss(truth, chance),
    }
    assert scores == pytest.approx(expected, rel=1e-5)
    assert facts["confusion"] == sk.confusion_matrix(truth, guess).tolist()
    assert facts["f1_per_class"] == pytest.approx(sk.f1_score(truth, guess, average=None).tolist())
    assert facts["scored"] == 257


@pytest.mark.parametrize("batch_size", [1, 64, 1000])
def test_the_batch_size_does_not_change_a_score(batch_size):
    logits, targets = answers()
    scores, _ = evaluate(Replay(), Split(logits, targets), "classification", batch_size, 5)
    assert set(scores) == {"loss", "accuracy"}
    assert scores["loss"] == pytest.approx(nn.functional.cross_entropy(logits, targets).item(), rel=1e-6)


def test_macro_scores_ignore_classes_that_never_occur_as_scikit_learn_does():
    logits, targets = answers(classes=4)
    targets, logits[:, 3] = targets.clamp(max=2), -50.0
    scores, facts = detail(logits, targets)
    truth, guess = targets.numpy(), logits.argmax(1).numpy()
    assert scores["f1"] == pytest.approx(sk.f1_score(truth, guess, average="macro"))
    assert "auroc" not in scores
    assert facts["auroc"] is None
    assert facts["auroc_per_class"][3] is None
    assert facts["auroc_per_class"][0] == pytest.approx(
        sk.roc_auc_score(truth == 0, logits.double().softmax(1)[:, 0])
    )


def test_a_split_of_one_class_has_no_auroc_and_does_not_crash():
    scores, facts = detail(torch.randn(8, 3), torch.zeros(8, dtype=torch.int64))
    assert "auroc" not in scores
    assert facts["auroc_per_class"] == [None, None, None]


def test_language_is_scored_in_bits_per_byte():
    logits, targets = torch.randn(6, 7, 11), torch.randint(0, 11, (6, 7)).to(torch.uint8)
    scores, facts = evaluate(Replay(), Split(logits, targets), "language", 4, 11)
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten().long()).item()
    assert scores["bits_per_byte"] == pytest.approx(loss / math.log(2), rel=1e-6)
    assert scores["accuracy"] == pytest.approx(float((logits.argmax(-1) == targets).float().mean()))
    assert facts["scored"] == 42


def test_recall_counts_only_scored_positions():
    logits = nn.functional.one_hot(torch.tensor([[0, 1, 2, 3]]), 5).float() * 9
    targets = torch.tensor([[-100, 1, -100, 0]])
    scores, facts = evaluate(Replay(), Split(logits, targets), "recall", 1, 5, detailed=True)
    assert scores["accuracy"] == 0.5
    assert facts.keys() == {"scored", "examples"} and facts["scored"] == 2
    assert math.isfinite(scores["loss"])


def test_a_split_with_nothing_scored_has_no_score():
    scores, _ = evaluate(Replay(), Split(torch.zeros(1, 2, 3), torch.full((1, 2), -100)), "recall", 1, 3)
    assert math.isnan(scores["accuracy"])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_broken_logits_are_wrong_and_are_reported(value):
    logits, targets = torch.eye(4) * 9, torch.arange(4)
    logits[2, 2] = value
    scores, facts = evaluate(Replay(), Split(logits, targets), "classification", 2, 4, detailed=True)
    assert scores["accuracy"] == 0.75
    assert facts["nonfinite_logits"] == 1
    assert all(math.isnan(scores[name]) for name in ("f1", "precision", "recall", "auroc", "loss"))
    assert np.sum(facts["confusion"]) == 3


def test_each_module_gets_its_own_mode_back():
    net = nn.Sequential(Replay(), nn.Dropout(0.9))
    net.train()
    net[1].eval()
    evaluate(net, Split(*answers()), "classification", 64, 5)
    assert [module.training for module in net.modules()] == [True, True, True, False]


def test_a_network_with_other_classes_is_named():
    with pytest.raises(ValueError, match="answers 5 classes, the data has 6"):
        evaluate(Replay(), Split(*answers()), "classification", 64, 6)


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_ties_are_half_a_chance_in_each_area(decimals):
    logits, targets = answers(n=400, classes=6, seed=1)
    logits = logits.double().round(decimals=decimals)
    areas = auroc_per_class(logits, targets)
    chance = logits.softmax(1)
    expected = [sk.roc_auc_score(targets == index, chance[:, index]) for index in range(6)]
    assert areas == pytest.approx(expected, rel=1e-12)
    # By the definition: all pairs of one that is of the class and one that is not.
    inside, outside = chance[targets == 0, 0], chance[targets != 0, 0]
    gap = inside[:, None] - outside
    assert areas[0] == pytest.approx(float(((gap > 0).double() + 0.5 * (gap == 0)).mean()), rel=1e-12)


def test_unscored_targets_count_in_no_score():
    logits, targets = answers()
    hidden = torch.where(torch.arange(257) % 3 == 0, -100, targets)
    scores, facts = evaluate(Replay(), Split(logits, hidden), "classification", 64, 5, detailed=True)
    kept = hidden >= 0
    truth, guess = targets[kept].numpy(), logits[kept].argmax(1).numpy()
    assert scores["f1"] == pytest.approx(sk.f1_score(truth, guess, average="macro"))
    assert facts["confusion"] == sk.confusion_matrix(truth, guess).tolist()

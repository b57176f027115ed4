"""Several classes at once: loss, scores and baseline, beside scikit-learn's."""

import numpy as np
import pytest
import torch

import own_data
import train
from models.data.dataset import Dataset, Split
from models.measure.constant import constant
from models.training.evaluate import evaluate
from models.training.multilabel import detail
from models.training.objective import BinaryCrossEntropy, CrossEntropy, SquaredError
from refusal import Refusal

metrics = pytest.importorskip("sklearn.metrics")


def drawn(seed, ties=False, count=200, classes=5):
    rng = np.random.default_rng(seed)
    targets = rng.random((count, classes)) < np.array([0.5, 0.3, 0.2, 0.05, 0.6])
    logits = rng.normal(size=(count, classes)) + 1.5 * targets - 1
    return (np.round(logits) if ties else logits).astype(np.float32), targets


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_scikit_learns(seed, ties):
    logits, targets = drawn(seed, ties)
    scores, facts = detail(torch.from_numpy(logits), torch.from_numpy(targets))
    answered = logits > 0
    for name, score in (
        ("f1", metrics.f1_score),
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
    ):
        assert scores[name] == pytest.approx(score(targets, answered, average="macro", zero_division=0))
    assert scores["f1_micro"] == pytest.approx(metrics.f1_score(targets, answered, average="micro"))
    assert scores["auroc"] == pytest.approx(metrics.roc_auc_score(targets, logits))
    assert scores["average_precision"] == pytest.approx(metrics.average_precision_score(targets, logits))
    assert facts["f1_per_class"] == pytest.approx(metrics.f1_score(targets, answered, average=None))


def test_a_class_that_nobody_has_is_left_out_of_the_areas_alone():
    logits, targets = drawn(0)
    targets[:, 2] = False
    scores, facts = detail(torch.from_numpy(logits), torch.from_numpy(targets))
    kept = [0, 1, 3, 4]
    assert scores["auroc"] == pytest.approx(metrics.roc_auc_score(targets[:, kept], logits[:, kept]))
    assert facts["auroc_per_class"][2] is None and facts["average_precision_per_class"][2] is None
    assert scores["f1"] == pytest.approx(
        metrics.f1_score(targets, logits > 0, average="macro", zero_division=0)
    )


class Given(torch.nn.Module):
    def forward(self, x):
        return x


def test_an_evaluation_has_loss_and_accuracy_of_whole_examples():
    logits, targets = drawn(1)
    split = Split(torch.from_numpy(logits), torch.from_numpy(targets))
    scores, facts = evaluate(Given(), split, "multilabel", 16, 5, detailed=True)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(targets, logits > 0))
    assert scores["loss"] == pytest.approx(
        np.mean([metrics.log_loss(targets[:, at], 1 / (1 + np.exp(-logits[:, at]))) for at in range(5)]),
        rel=1e-5,
    )
    assert facts["scored"] == 200 and facts["examples"].keys() == {"accuracy", "loss"}
    logits[3, 2] = np.nan
    scores, _ = evaluate(Given(), split, "multilabel", 16, 5, detailed=True)
    assert np.isnan(scores["loss"]) and np.isnan(scores["f1"])


def test_the_loss_is_of_each_class_on_its_own():
    logits, targets = (torch.from_numpy(part) for part in drawn(2))
    share = logits.sigmoid().double()
    by_hand = -torch.where(targets, share.log(), (1 - share).log()).mean()
    assert BinaryCrossEntropy()(logits, targets).item() == pytest.approx(by_hand.item(), rel=1e-6)
    smooth = targets * 0.8 + 0.1
    by_hand = -(smooth * share.log() + (1 - smooth) * (1 - share).log()).mean()
    assert BinaryCrossEntropy(0.2)(logits, targets).item() == pytest.approx(by_hand.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "targets", "said"),
    [
        (CrossEntropy(), torch.ones(4, 3, dtype=torch.bool), "set loss=binary_cross_entropy"),
        (
            SquaredError(),
            torch.ones(4, 3, dtype=torch.bool),
            "binary_cross_entropy where an example has several",
        ),
        (BinaryCrossEntropy(), torch.ones(4, dtype=torch.int64), "set loss=cross_entropy"),
    ],
)
def test_a_loss_of_another_task_is_refused(loss, targets, said):
    with pytest.raises(Refusal, match=said):
        loss(torch.zeros(4, 3), targets)


def dataset(task, targets, classes, **about):
    rows = torch.arange(len(targets))
    inputs = torch.zeros(len(targets), 1, 2)
    train, test = (Split(inputs, targets, rows[part]) for part in (slice(0, 6), slice(6, None)))
    return Dataset(train, test, test, task, (1, 2), classes, 2, about)


def test_the_baseline_is_the_best_constant_answer():
    classes = dataset("classification", torch.tensor([0, 1, 1, 1, 2, 0, 1, 2]), 3, names=["a", "b", "c"])
    found = constant(classes)
    assert found["answer"] == "always b" and found["accuracy"] == 0.5
    assert found["loss"] == pytest.approx(-(np.log(4 / 9) + np.log(2 / 9)) / 2)
    marks = torch.tensor([[1, 0], [1, 0], [1, 1], [1, 0], [0, 0], [1, 0], [1, 0], [1, 1]]).bool()
    several = constant(dataset("multilabel", marks, 2))
    assert several["accuracy"] == 0.5
    assert several["loss"] == pytest.approx(-np.log([6 / 8, 6 / 8, 6 / 8, 2 / 8]).mean())
    values = constant(dataset("regression", torch.arange(8.0)[:, None], 1))
    assert values["rmse"] == pytest.approx(np.sqrt((3.5**2 + 4.5**2) / 2)) and values["mae"] == 4.0


@pytest.mark.slow
def test_texts_with_several_classes_are_learnt(resolve, tmp_path):
    config = resolve(*own_data.several(tmp_path / "own"), "budget.steps=200")
    assert config["data"]["task"] == "multilabel" and config["data"]["classes"] == 3
    answer = train.trial(config, overrides=[])
    figures = answer["metrics"]
    assert figures["test/f1"] > 0.9 and figures["test/average_precision"] > 0.9
    assert figures["test/accuracy"] > answer["facts"]["baseline"]["accuracy"]

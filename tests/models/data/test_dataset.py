"""A Dataset refuses what is not true of its tensors, and its splits share nothing."""

import dataclasses

import pytest
import torch

from models.data.dataset import UNSCORED, Dataset, Split
from models.data.splits import hold_out, standardise, three_way
from refusal import Refusal


def split(count=6, shape=(2, 3), classes=3):
    return Split(torch.randn(count, *shape), torch.arange(count) % classes)


def dataset(**changes):
    fields = {"task": "classification", "shape": [2, 3], "classes": 3, "batch_size": 2}
    splits = {name: changes.pop(name, split()) for name in ("train", "val", "test")}
    return Dataset(**splits, **(fields | changes))


def test_a_true_description_is_taken_and_its_shape_becomes_a_tuple():
    assert dataset().shape == (2, 3)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"shape": [6]}, r"set data\.shape=\[2,3\]"),
        ({"classes": 2}, r"set data\.classes=3"),
        ({"classes": 4}, r"set data\.classes=3"),
        ({"task": "regression"}, "answers ask for classification"),
        ({"task": "guessing"}, "classification, multilabel, regression, language, recall"),
        ({"batch_size": 7}, "between 1 and 6"),
        ({"batch_size": 0}, "between 1 and 6"),
        ({"val": split(count=0)}, "val split holds 0"),
        ({"test": Split(torch.randn(3, 2, 3), torch.zeros(2).long())}, "3 inputs and 2 targets"),
    ],
)
def test_what_is_not_true_is_refused_with_the_value_to_set(change, advice):
    with pytest.raises(Refusal, match=advice):
        dataset(**change)


@pytest.mark.parametrize("part", ["inputs", "targets"])
def test_tokens_outside_the_vocabulary_are_refused(part):
    tokens = {"inputs": torch.zeros(4, 5, dtype=torch.uint8), "targets": torch.zeros(4, 5, dtype=torch.int64)}
    good = Split(**tokens)
    tokens[part][1, 1] = 9
    with pytest.raises(Refusal, match=r"set data\.classes=10"):
        dataset(train=Split(**tokens), val=good, test=good, task="language", shape=[5], classes=8)


@pytest.mark.parametrize("task", ["classification", "language"])
def test_a_task_of_the_other_kind_is_refused(task):
    tokens = Split(torch.zeros(4, 5, dtype=torch.uint8), torch.zeros(4, 5, dtype=torch.uint8))
    change = {"train": tokens, "shape": [5], "classes": 1} if task == "classification" else {}
    with pytest.raises(Refusal, match=f"data.task {task} does not fit"):
        dataset(task=task, **change)


def test_positions_that_are_not_scored_are_no_class():
    tokens = Split(torch.zeros(4, 5, dtype=torch.uint8), torch.full((4, 5), UNSCORED))
    assert dataset(train=tokens, val=tokens, test=tokens, task="recall", shape=[5], classes=8).classes == 8


def test_to_moves_both_tensors_of_a_split_and_keeps_the_rest():
    moved = split().to("meta")
    assert moved.inputs.device.type == moved.targets.device.type == "meta"
    data = dataset()
    again = data.to("cpu")
    assert (again.shape, again.task, again.batch_size) == (data.shape, data.task, data.batch_size)
    assert again.val.inputs.equal(data.val.inputs)


def test_three_way_uses_every_example_once_and_depends_on_the_seed_only():
    rows = torch.arange(50)
    parts = three_way(rows, rows, val_share=0.2, test_share=0.1, seed=1)
    assert [len(part) for part in parts] == [35, 10, 5]
    assert torch.cat([part.inputs for part in parts]).sort().values.equal(rows)
    again = three_way(rows, rows, val_share=0.2, test_share=0.1, seed=1)
    other = three_way(rows, rows, val_share=0.2, test_share=0.1, seed=2)
    assert again[2].inputs.equal(parts[2].inputs)
    assert not other[2].inputs.equal(parts[2].inputs)


def test_hold_out_takes_validation_from_training():
    rows = torch.arange(20)
    train, val = hold_out(Split(rows, rows), 0.25, seed=0)
    assert (len(train), len(val)) == (15, 5)
    assert torch.cat([train.targets, val.targets]).sort().values.equal(rows)


@pytest.mark.parametrize(("val", "test"), [(0.0, 0.2), (0.5, 0.5), (0.2, 1.0), (-0.1, 0.2)])
def test_shares_that_leave_a_split_empty_are_refused(val, test):
    rows = torch.arange(20)
    with pytest.raises(Refusal, match=r"0\.2 and 0\.2"):
        three_way(rows, rows, val_share=val, test_share=test, seed=0)
    with pytest.raises(Refusal, match="between 0 and 1"):
        hold_out(Split(rows, rows), 0.0, seed=0)


def test_the_scale_comes_from_training_alone_one_per_channel():
    train = Split(
        torch.stack([torch.full((4,), 3.0), torch.arange(4.0)]).repeat(5, 1, 1), torch.zeros(5).long()
    )
    other = dataclasses.replace(train, inputs=train.inputs + 100)
    (scaled, moved), about = standardise(train, other)
    assert torch.allclose(scaled.inputs.mean((0, 2)), torch.zeros(2), atol=1e-6)
    assert torch.allclose(scaled.inputs[:, 1].std(), torch.tensor(1.0))
    assert torch.isfinite(scaled.inputs).all()
    assert (moved.inputs[:, 1] > 50).all()
    assert about["mean"] == pytest.approx([3.0, 1.5]) and about["deviation"] == pytest.approx(
        [1e-6, 1.1471], rel=1e-3
    )

"""A person's own data as tensors: one scale from the training part, one memory for all parts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import own_data
import train
from models.data import own
from models.data.batches import Batches, sequential
from models.training.evaluate import evaluate
from reading.kept import decoded
from refusal import Refusal

pytest.importorskip("PIL")


@pytest.fixture
def load(tmp_path):
    own_data.folder(tmp_path / "pets")

    def load(**options):
        place = {"path": str(tmp_path / "pets"), "cache": str(tmp_path / "cache"), "source": "folder"}
        return own.load(**({"batch_size": 8} | place | options))

    return load


def test_shape_classes_and_task_are_learnt(load):
    data = load()
    assert (data.shape, data.classes, data.task) == ((3, 8, 8), 3, "classification")
    assert [len(part) for part in (data.train, data.val, data.test)] == [48, 6, 6]
    assert data.about["names"] == list(own_data.CLASSES)


@pytest.mark.parametrize(
    ("change", "advice"),
    [({"shape": [1, 8, 8]}, r"set data\.shape=\[3,8,8\]"), ({"classes": 5}, r"set data\.classes=3")],
)
def test_what_a_person_says_must_be_so(load, change, advice):
    with pytest.raises(Refusal, match=advice):
        load(**change)


def test_one_scale_of_the_training_part_is_on_all_parts_and_kept(load, tmp_path):
    data = load()
    raw = decoded({"source": "folder", "path": str(tmp_path / "pets"), "cache": str(tmp_path / "cache")})
    learnt = raw.inputs[data.train.rows.numpy()].astype(np.float64)
    mean, deviation = learnt.mean((0, 2, 3)), learnt.std((0, 2, 3), ddof=1)
    assert data.about["mean"] == pytest.approx(mean, rel=1e-6)
    assert data.about["deviation"] == pytest.approx(deviation, rel=1e-6)
    for split in (data.train, data.val, data.test):
        expected = (raw.inputs[split.rows.numpy()] - mean[:, None, None]) / deviation[:, None, None]
        assert split.whole()[0].numpy() == pytest.approx(expected, abs=1e-5)


def test_parts_and_loadings_share_the_mapped_memory(load):
    one, other = load(), load()
    assert one.train.inputs.data_ptr() == one.test.inputs.data_ptr()
    files = [
        line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "inputs.npy" in line
    ]
    assert len(set(files)) == 1 and one.train.inputs.dtype == other.train.inputs.dtype == torch.uint8


def test_batches_are_the_rows_of_the_training_part_on_the_scale(load):
    data = load()
    inputs, targets = data.train.whole()
    seen = [next(batches) for batches in [Batches(data.train, 8, seed=0)] for _ in range(6)]
    drawn, answers = (torch.cat(part) for part in zip(*seen, strict=True))
    order = [int((inputs == one).flatten(1).all(1).nonzero()[0]) for one in drawn]
    assert sorted(order) == list(range(48)) and torch.equal(targets[order], answers)
    assert torch.equal(torch.cat([part for part, _ in sequential(data.train, 7)]), inputs)
    assert drawn.dtype == torch.float32 and answers.dtype == torch.int64


def test_values_are_learnt_on_a_scale_and_told_in_their_unit(resolve, tmp_path):
    config = resolve(*own_data.values(tmp_path / "own"))["data"]
    assert (config["task"], config["classes"], config["shape"]) == ("regression", 1, [2, 1])
    data = train.build(config)
    _, targets = data.train.whole()
    assert targets.mean() == pytest.approx(0, abs=1e-5) and targets.std() == pytest.approx(1, abs=1e-5)
    raw = data.train.answers()
    assert data.about["answer_mean"] == pytest.approx(raw.mean().item(), rel=1e-6)

    class Middle(torch.nn.Module):
        def forward(self, x):
            return torch.zeros(len(x), 1)

    scores, facts = evaluate(Middle(), data.test, "regression", 16, 1, detailed=True)
    errors = data.test.answers()[:, 0].double() - data.about["answer_mean"]
    assert scores["rmse"] == pytest.approx(errors.square().mean().sqrt().item(), rel=1e-5)
    assert scores["mae"] == pytest.approx(errors.abs().mean().item(), rel=1e-5)
    spread = (errors - errors.mean()).square().mean()
    assert scores["r2"] == pytest.approx(1 - (errors.square().mean() / spread).item(), rel=1e-4)
    assert facts["scored"] == len(data.test) and facts["examples"].keys() == {"loss", "mae"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("loss=cross_entropy", "set loss=squared_error"),
        ("score=val/accuracy", r"set score=val/rmse and loss"),
    ],
)
def test_what_only_classes_have_is_refused_for_values(resolve, tmp_path, change, said):
    config = resolve(*own_data.values(tmp_path / "own"), change)
    with pytest.raises(Refusal, match=said):
        train.trial(config, overrides=[])


@pytest.mark.slow
def test_values_are_regressed(resolve, tmp_path):
    own = own_data.values(tmp_path / "own")
    answer = train.trial(resolve(*own, "budget.steps=400", "compress=[prune30]"), overrides=[])
    figures = answer["metrics"]
    assert figures["test/r2"] > 0.9 and figures["test/rmse"] < 15 and answer["score"] == figures["val/rmse"]
    assert "test/accuracy" not in figures


@pytest.mark.slow
@pytest.mark.parametrize("source", own_data.MADE)
def test_it_trains_and_leaves_with_its_weights_what_they_need(resolve, tmp_path, source):
    config = resolve("budget.steps=30", *own_data.line(source, tmp_path / "own"))
    answer = train.trial(config, overrides=[])
    about = json.loads((Path(answer["folder"]) / "data.json").read_text())
    assert about["shape"] == config["data"]["shape"] and about["task"] == config["data"]["task"]
    assert answer["facts"]["examples_of"]["train"] > 20
    assert answer["metrics"]["test/loss"] > 0

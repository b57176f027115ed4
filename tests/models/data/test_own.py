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


@pytest.mark.slow
@pytest.mark.parametrize("source", own_data.MADE)
def test_it_trains_and_leaves_with_its_weights_what_they_need(resolve, tmp_path, source):
    config = resolve("budget.steps=30", *own_data.line(source, tmp_path / "own"))
    answer = train.trial(config, overrides=[])
    about = json.loads((Path(answer["folder"]) / "data.json").read_text())
    assert about["shape"] == config["data"]["shape"] and about["task"] == config["data"]["task"]
    assert answer["facts"]["examples_of"]["train"] > 20
    assert answer["metrics"]["test/loss"] > 0

"""Text as bytes: the next byte is the target, and no file is in two splits."""

import pytest
import torch

from models.data import pytext
from refusal import Refusal


@pytest.fixture
def folder(tmp_path):
    for number in range(20):
        (tmp_path / f"deep{number % 3}").mkdir(exist_ok=True)
        (tmp_path / f"deep{number % 3}" / f"{number}.txt").write_bytes(bytes([65 + number]) * 100)
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "foreign.txt").write_bytes(b"z" * 1000)
    return tmp_path


def load(folder, **changes):
    options = {"path": str(folder), "suffixes": [".txt"], "val_share": 0.2, "test_share": 0.2}
    return pytext.load(**({"batch_size": 2, "shape": [8]} | options | changes))


def test_each_file_belongs_to_one_split_and_every_byte_is_from_one(folder):
    data = load(folder)
    letters = [set(split.inputs.unique().tolist()) for split in (data.train, data.val, data.test)]
    assert [len(found) for found in letters] == [12, 4, 4]
    assert set.union(*letters) == set(range(65, 85))


def test_targets_are_the_next_bytes_held_as_bytes(folder):
    train = load(folder).train
    assert train.inputs.dtype == train.targets.dtype == torch.uint8
    assert train.inputs[:, 1:].equal(train.targets[:, :-1])
    assert train.inputs[1:, 0].equal(train.targets[:-1, -1])


def test_the_seed_chooses_and_the_cap_holds(folder):
    assert load(folder).test.inputs.equal(load(folder).test.inputs)
    assert not load(folder).test.inputs.equal(load(folder, split_seed=1).test.inputs)
    capped = load(folder, max_bytes=1050)
    assert sum(split.inputs.numel() for split in (capped.train, capped.val, capped.test)) <= 1050


def test_the_standard_library_is_there_without_a_path():
    data = pytext.load(batch_size=4, max_bytes=200_000, shape=[32])
    assert b"import" in bytes(data.train.inputs.flatten().tolist())


def test_bytes_that_are_no_text_are_taken_as_they_are(folder):
    (folder / "deep0" / "0.txt").write_bytes(bytes(range(256)) * 2)
    assert load(folder).classes == 256


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"path": "/nowhere/at/all"}, "set data.path to a folder of text"),
        ({"suffixes": [".md"]}, "data.suffixes to its endings"),
        ({"shape": [4, 8]}, "one length in bytes"),
        ({"shape": [0]}, "one length in bytes"),
        ({"shape": [5000]}, "less than one block of 5001"),
        ({"max_bytes": 150}, "less than one block"),
        ({"val_share": 0.9, "test_share": 0.2}, "0.02 and 0.02"),
        ({"classes": 70}, "set data.classes="),
    ],
)
def test_what_cannot_be_cut_is_refused(folder, change, advice):
    with pytest.raises(Refusal, match=advice):
        load(folder, **change)

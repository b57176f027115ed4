"""Several classes of one example: of columns of ones and zeros, of one column with a separator, of arrays."""

import json

import numpy as np
import pytest

from reading.decoded import Decoded
from reading.kept import decoded
from reading.splits import split
from refusal import Refusal

pytest.importorskip("pandas")


@pytest.fixture
def read(tmp_path):
    def read(source, path, **options):
        return decoded({"source": source, "path": str(path), "cache": str(tmp_path / "cache"), **options})

    return read


def written(file, *lines):
    file.write_text("\n".join(lines))
    return file


def test_a_column_for_each_class(tmp_path, read):
    file = written(tmp_path / "own.csv", "size,red,round", "1,1,0", "2,0,0", "3,true,1", "4,FALSE,1")
    data = read("table", file, target=["round", "red"])
    assert data.task == "multilabel" and data.about["names"] == ["round", "red"]
    assert data.targets.tolist() == [[False, True], [False, False], [True, True], [True, False]]
    assert data.about["notes"] == ["1 of 4 examples have none of the 2 classes"]
    assert data.inputs[:, 0, 0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("cell", "said"), [("2", "red is '2'"), ("", "red is 'nan'"), ("maybe", "red is 'maybe'")]
)
def test_what_is_neither_one_nor_zero_is_refused_by_its_row(tmp_path, read, cell, said):
    file = written(tmp_path / "own.csv", "size,red,round", "1,1,0", f"2,{cell},1")
    with pytest.raises(Refusal, match=f"row 2: {said}"):
        read("table", file, target=["red", "round"])


def test_a_separator_in_one_column(tmp_path, read):
    file = written(tmp_path / "own.csv", "text,genre", "a,war | love", "b,love", "c,", "d,love|love")
    data = read("text", file, target="genre", separator="|", tokenizer="byte")
    assert data.about["names"] == ["love", "war"]
    assert data.targets.tolist() == [[True, True], [True, False], [False, False], [True, False]]
    assert "1 of 4 examples have none of the 2 classes" in data.about["notes"]
    with pytest.raises(Refusal, match=r"data\.task=regression does not fit"):
        read("text", file, target="genre", separator="|", task="regression")
    with pytest.raises(Refusal, match=r"data\.separator '' must be the sign"):
        read("text", file, target="genre", separator="")


def test_lists_in_json_lines(tmp_path, read):
    rows = [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": []}, {"text": "c", "labels": ["y"]}]
    file = written(tmp_path / "own.jsonl", *map(json.dumps, rows))
    assert read("text", file, tokenizer="byte").targets.tolist() == [[True] * 2, [False] * 2, [False, True]]
    with pytest.raises(Refusal, match="labels holds lists and neither numbers nor words"):
        read("table", file, target="text")


def test_one_class_for_each_is_not_taken_for_several(tmp_path, read):
    file = written(tmp_path / "own.csv", "size,kind", "1,a", "2,b")
    with pytest.raises(Refusal, match=r"each example has one answer; for several set data\.separator"):
        read("table", file, target="kind", task="multilabel")


def test_arrays_of_ones_and_zeros(tmp_path, read):
    x, y = np.arange(8.0).reshape(4, 2), np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0]])
    np.savez(tmp_path / "own.npz", x=x, y=y)
    data = read("arrays", tmp_path / "own.npz")
    assert data.task == "multilabel" and data.targets.tolist() == y.astype(bool).tolist()
    one_hot = np.eye(3)[[0, 2, 1, 0]]
    np.savez(tmp_path / "hot.npz", x=x, y=one_hot)
    assert read("arrays", tmp_path / "hot.npz").targets.tolist() == [0, 2, 1, 0]
    asked = read("arrays", tmp_path / "hot.npz", task="multilabel")
    assert asked.targets.tolist() == one_hot.astype(bool).tolist()


def test_pictures_with_a_column_for_each_class(tmp_path, read):
    image = pytest.importorskip("PIL.Image")
    for part in ("train", "val"):
        (tmp_path / "data" / part).mkdir(parents=True)
        for number in range(3):
            image.fromarray(np.full((4, 4), number, np.uint8)).save(
                tmp_path / "data" / part / f"{number}.png"
            )
    rows = [
        f"{part}/{number}.png,{number > 0:d},{number > 1:d}"
        for part in ("train", "val")
        for number in range(3)
    ]
    written(tmp_path / "data" / "labels.csv", "file_name,wet,cold", *rows)
    data = read("folder", tmp_path / "data", target=["wet", "cold"])
    assert data.targets.tolist() == [[False, False], [True, False], [True, True]] * 2
    assert data.parts.tolist() == [0, 0, 0, 1, 1, 1] and data.about["names"] == ["wet", "cold"]


def test_classes_that_tell_nothing_are_refused(tmp_path, read):
    np.savez(tmp_path / "own.npz", x=np.arange(8.0).reshape(4, 2), y=np.zeros((4, 3), int))
    with pytest.raises(Refusal, match="no class tells one example from another"):
        read("arrays", tmp_path / "own.npz")


def test_a_class_that_is_tested_and_never_learnt_is_refused(tmp_path, read):
    (tmp_path / "data").mkdir()
    written(tmp_path / "data" / "train.csv", "text,labels", "a,x|y", "b,y")
    written(tmp_path / "data" / "test.csv", "text,labels", "c,z|y", "d,y")
    with pytest.raises(Refusal, match="The class 'z' is in test and not in train"):
        read("text", tmp_path / "data", separator="|", tokenizer="byte")


def test_rare_classes_are_held_out_in_their_shares():
    rng = np.random.default_rng(0)
    targets = rng.random((1000, 4)) < np.array([0.5, 0.3, 0.1, 0.02])
    about = {"task": "multilabel", "classes": 4}
    data = Decoded(np.zeros((1000, 1)), targets, np.full(1000, -1, np.int8), about, np.arange(1000))
    for seed in range(5):
        rows, notes = split(data, 0.1, 0.2, seed)
        assert notes == [] and abs(len(rows["test"]) - 200) <= 2
        rare = targets[:, 3].sum()
        assert abs(targets[rows["test"], 3].sum() - 0.2 * rare) <= 1

"""A table of labels beside pictures: every file has one row, every row its file, and no label is missing."""

import csv

import numpy as np
import pytest

from reading.kept import decoded
from refusal import Refusal

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def read(tmp_path):
    def read(**options):
        place = {"path": str(tmp_path / "data"), "cache": str(tmp_path / "cache")}
        return decoded({"source": "folder", **place, **options})

    return read


def sheet(file, rows):
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerows(rows)


@pytest.fixture
def flat(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("x.png", "y.png", "z.png"):
        Image.fromarray(np.zeros((6, 4), np.uint8)).save(tmp_path / "data" / name)
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["metadata.csv", "labels.csv", "train.csv"])
def test_a_table_beside_the_pictures_names_their_classes(flat, read, name):
    sheet(flat / name, [("file_name", "label"), ("z.png", "owl"), ("x.png", "cat"), ("y.png", "owl")])
    data = read()
    assert data.about["names"] == ["cat", "owl"] and data.targets.tolist() == [0, 1, 1]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_table_beside_the_pictures_may_have_other_separators(flat, read, separator):
    rows = ["file_name,label", "z.png,owl", "x.png,cat", "y.png,owl"]
    (flat / "labels.csv").write_text("\n".join(rows).replace(",", separator))
    assert read().targets.tolist() == [0, 1, 1]


def test_the_column_of_the_classes_can_be_named(flat, read):
    sheet(
        flat / "a.csv",
        [("file", "kind", "owner"), ("z.png", "owl", "b"), ("x.png", "cat", "b"), ("y.png", "owl", "c")],
    )
    with pytest.raises(Refusal, match=r"which of kind, owner holds the classes.*set data\.target"):
        read()
    assert read(target="owner").about["names"] == ["b", "c"]
    with pytest.raises(Refusal, match="has the columns kind, owner"):
        read(target="colour")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("x.png", "1"), ("y.png", "-1"), ("z.png", "0")], "1 examples have the label '-1'"),
        ([("x.png", "1"), ("y.png", ""), ("z.png", "0")], "have the label ''"),
        ([("x.png", "1"), ("y.png", "nan"), ("z.png", "0")], "have the label 'nan'"),
        ([("x.png", "1"), ("y.png", "0")], "no row for 1 of 3 files, such as z.png"),
        ([("x.png", "1"), ("x.png", "0")], "line 3: x.png has a row already"),
        ([("w.png", "1")], "line 2: there is no file w.png"),
        ([], "has no rows"),
        ([("x.png", "1"), ("y.png", "0", "2"), ("z.png", "0")], "line 3 has 3 values under 2 names"),
    ],
)
def test_labels_that_are_missing_are_never_a_class(flat, read, rows, said):
    sheet(flat / "labels.csv", [("file_name", "label"), *rows])
    with pytest.raises(Refusal, match=said):
        read()

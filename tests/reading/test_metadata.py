"""Tables of labels as Hugging Face has them, beside pictures: read, or refused, never passed over."""

import json

import numpy as np
import pytest

from reading.decoded import TEST, TRAIN, VAL
from reading.kept import decoded
from refusal import Refusal

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def read(tmp_path):
    def read(path, **options):
        place = {"path": str(path), "cache": str(tmp_path / "cache")}
        return decoded({"source": "folder", **place, **options})

    return read


@pytest.fixture
def pictures(tmp_path):
    def pictures(*names):
        for at, name in enumerate(names):
            (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4), at, np.uint8)).save(tmp_path / "data" / name)
        return tmp_path / "data"

    return pictures


def lines(file, *rows):
    if file.suffix == ".parquet":
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.Table.from_pylist(list(rows)), file)
    else:
        file.write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture(params=["metadata.jsonl", "metadata.parquet"])
def sheet(request):
    return request.param


def test_metadata_as_hugging_face_has_it(tmp_path, read, pictures, sheet):
    place = pictures("train/0.png", "train/1.png", "validation/0.png", "test/0.png", "test/1.png")
    for part, labels in {"train": [7, 3], "validation": [3], "test": [3, 7]}.items():
        rows = [{"file_name": f"{at}.png", "label": one, "by": "me"} for at, one in enumerate(labels)]
        lines(place / part / sheet, *rows)
    data = read(place)
    assert data.about["names"] == ["3", "7"] and data.targets.tolist() == [1, 0, 0, 0, 1]
    assert data.parts.tolist() == [TRAIN, TRAIN, VAL, TEST, TEST]
    assert f"columns of {sheet} that are not read: by" in data.about["notes"]


def test_metadata_may_have_several_classes_and_values(tmp_path, read, pictures, sheet):
    place = pictures("0.png", "1.png", "2.png")
    rows = [
        {"file_name": f"{at}.png", "tags": tags, "age": at / 2} for at, tags in enumerate(["ab", "b", "a"])
    ]
    lines(place / sheet, *({**row, "tags": list(row["tags"])} for row in rows))
    assert read(place, target="tags").targets.tolist() == [[1, 1], [0, 1], [1, 0]]
    data = read(place, target="age", task="regression")
    assert data.targets[:, 0].tolist() == [0, 0.5, 1]
    lines(place / sheet, *(row | {"label": None} for row in rows))
    with pytest.raises(Refusal, match="3 examples have the label ''"):
        read(place)


@pytest.mark.parametrize(
    ("labels", "said"),
    [([1, "1", 2], "label holds 1 as a number and as a word"), ([True, 1, 0], "label holds true or false")],
)
def test_labels_of_two_kinds_are_refused(read, pictures, labels, said):
    place = pictures("0.png", "1.png", "2.png")
    lines(
        place / "metadata.jsonl", *({"file_name": f"{at}.png", "label": one} for at, one in enumerate(labels))
    )
    with pytest.raises(Refusal, match=rf"metadata\.jsonl: {said}"):
        read(place)


def test_a_packed_part_is_refused_and_what_lies_beside_is_told(tmp_path, read, pictures):
    place = pictures("train/a/0.png", "train/b/0.png")
    (place / "train.txt").write_text("a/0.png")
    assert read(place).about["notes"] == ["no picture and no signal, so left out: train.txt"]
    (place / "test.zip").write_bytes(b"PK")
    with pytest.raises(Refusal, match=r"test\.zip lies beside the folders"):
        read(place)


def test_captions_do_not_take_the_place_of_class_folders(tmp_path, read, pictures, sheet):
    place = pictures("cat/0.png", "cat/1.png", "dog/0.png")
    names = ["cat/0.png", "cat/1.png", "dog/0.png"]
    lines(place / sheet, *({"file_name": name, "text": f"of {name}"} for name in names))
    with pytest.raises(Refusal, match=r"metadata\.[a-z]+ has no column of classes.*set data\.target=text"):
        read(place)
    lines(place / sheet, *({"file_name": name, "label": name[4]} for name in names))
    data = read(place)
    assert data.about["names"] == ["0", "1"] and data.targets.tolist() == [0, 1, 0]
    assert data.about["notes"] == [f"the classes are those of {sheet}, not the folders' names"]


def test_metadata_that_is_cut_or_says_a_name_twice_is_refused(tmp_path, read, pictures):
    place = pictures("0.png", "1.png")
    lines(place / "metadata.parquet", {"file_name": "0.png", "label": 1}, {"file_name": "1.png", "label": 2})
    whole = (place / "metadata.parquet").read_bytes()
    (place / "metadata.parquet").write_bytes(whole[:-9])
    with pytest.raises(Refusal, match=r"metadata\.parquet is no table that can be read"):
        read(place)
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    twice = arrow.table([["0.png", "1.png"], [1, 2], [3, 4]], names=["file_name", "label", "label"])
    parquet.write_table(twice, place / "metadata.parquet")
    with pytest.raises(Refusal, match=r"metadata\.parquet has two columns called 'label'"):
        read(place)


def test_a_class_may_be_called_with_lines_below(tmp_path, read, pictures):
    assert read(pictures("__unknown__/0.png", "cat/0.png")).about["names"] == ["__unknown__", "cat"]


@pytest.mark.parametrize("file", ["labels.csv", "metadata.jsonl"])
def test_fractions_beside_pictures_are_values_as_in_a_table(read, pictures, file):
    place, values = pictures("0.png", "1.png", "2.png"), [1.5, 2, 0.25]
    if file == "labels.csv":
        rows = [f"{at}.png,{value}" for at, value in enumerate(values)]
        (place / file).write_text("\n".join(["file_name,label", *rows]))
    else:
        lines(place / file, *({"file_name": f"{at}.png", "label": value} for at, value in enumerate(values)))
    data = read(place)
    assert data.task == "regression" and data.targets.tolist() == [[value] for value in values]
    assert read(place, task="classification").about["classes"] == 3


def test_names_of_folders_are_classes_though_they_are_fractions(read, pictures):
    assert read(pictures("1.5/0.png", "2.5/1.png")).about["names"] == ["1.5", "2.5"]


def test_many_whole_numbers_beside_pictures_are_classes_and_told(read, pictures):
    place = pictures(*(f"{at}.png" for at in range(65)))
    (place / "labels.csv").write_text("\n".join(["file_name,label", *(f"{at}.png,{at}" for at in range(65))]))
    data = read(place)
    assert data.about["classes"] == 65 and data.about["notes"][0].endswith(
        "65 whole numbers are classes; data.task=regression reads them as values"
    )


def test_numbers_with_commas_are_no_classes_of_pictures(read, pictures):
    place = pictures("0.png", "1.png", "2.png")
    (place / "labels.csv").write_text("file_name;label\n0.png;1,5\n1.png;2,5\n2.png;3\n")
    with pytest.raises(Refusal, match=r"labels\.csv: label holds numbers with commas or signs"):
        read(place)

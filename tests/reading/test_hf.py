"""What `datasets` has saved, and parquet: every kind of column comes out right, or is refused."""

import io
import json
from importlib.util import find_spec

import numpy as np
import pytest

from reading.decoded import TEST, TRAIN, UNSPLIT, VAL
from reading.kept import decoded
from refusal import Refusal

if find_spec("datasets") is None:
    pytest.skip("pip install -e '.[data]' brings datasets", allow_module_level=True)
arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)


@pytest.fixture(autouse=True, scope="module")
def brought():
    """Imported here: at the top each worker would do it, and its hook into every opened file lasts."""
    global datasets
    import datasets


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


@pytest.fixture
def read(tmp_path):
    def read(path=tmp_path / "data", **options):
        return decoded({"source": "hf", "path": str(path), "cache": str(tmp_path / "cache"), **options})

    return read


def pictures(labels, names=None):
    names = names or datasets.ClassLabel(names=["owl", "cat", "dog"])
    features = datasets.Features(image=datasets.Image(), label=names)
    values = [Image.fromarray(COLOUR[at % 4]) for at in range(len(labels))]
    return datasets.Dataset.from_dict({"image": values, "label": labels}, features=features)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_pictures_and_classes_keep_their_place_and_their_names(tmp_path, read):
    pictures([1, 2, 0, 1]).save_to_disk(tmp_path / "data")
    data = read()
    assert data.inputs.tolist() == COLOUR.transpose(0, 3, 1, 2).tolist()
    assert data.about["names"] == ["owl", "cat", "dog"] and data.targets.tolist() == [1, 2, 0, 1]
    assert data.parts.tolist() == [UNSPLIT] * 4 and data.about["notes"] == []


def test_splits_stay_what_they_are_also_in_several_files(tmp_path, read):
    splits = {"train": pictures([0, 1, 2, 0]), "validation": pictures([1, 2, 0]), "test": pictures([0, 1, 2])}
    datasets.DatasetDict(splits).save_to_disk(
        tmp_path / "data", num_shards={"train": 3, "validation": 1, "test": 1}
    )
    data = read()
    assert data.targets.tolist() == [0, 1, 2, 0, 1, 2, 0, 0, 1, 2]
    assert [int((data.parts == part).sum()) for part in (TRAIN, VAL, TEST)] == [4, 3, 3]
    assert (data.inputs[:4] == COLOUR.transpose(0, 3, 1, 2)).all() and data.facts()["drawn"] == "fixed"


def test_parquet_as_the_hub_has_it(tmp_path, read):
    (tmp_path / "data" / "data").mkdir(parents=True)
    whole = pictures([0, 1, 2, 0])
    for shard in range(2):
        name = f"train-0000{shard}-of-00002.parquet"
        whole.shard(2, shard, contiguous=True).to_parquet(tmp_path / "data" / "data" / name)
    data = read()
    assert data.targets.tolist() == [0, 1, 2, 0] and data.parts.tolist() == [TRAIN] * 4
    assert data.inputs.tolist() == COLOUR.transpose(0, 3, 1, 2).tolist()
    assert not list((tmp_path / "cache").rglob("*.arrow*")), "what was unpacked is gone"
    (tmp_path / "data" / "data" / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(Refusal, match="bring all shards"):
        read()


def test_one_missing_class_is_told_and_nobodys_label_is_refused(tmp_path, read):
    pictures([1, 2, 2, 1]).save_to_disk(tmp_path / "data")
    data = read()
    assert data.about["names"] == ["cat", "dog"]
    assert data.about["notes"] == ["no example is of the classes owl: they are left out"]
    pictures([0, 1, -1, -1]).save_to_disk(tmp_path / "other")
    with pytest.raises(Refusal, match=r"2 examples have the label '-1', which says that nobody labelled"):
        read(tmp_path / "other")


def test_several_configurations_are_refused_by_name(tmp_path, read):
    for name in ("fr", "en"):
        pictures([0, 1, 2]).save_to_disk(tmp_path / "saved" / name)
        (tmp_path / "packed" / name).mkdir(parents=True)
        pictures([0, 1, 2]).to_parquet(tmp_path / "packed" / name / "train-00000-of-00001.parquet")
    for place in ("saved", "packed"):
        with pytest.raises(Refusal, match=r"several configurations or data sets \(en, fr\)"):
            read(tmp_path / place)
    assert len(read(tmp_path / "packed" / "en").inputs) == 3


def test_a_split_that_says_no_part_is_refused_until_the_splits_are_chosen(tmp_path, read):
    splits = {name: pictures([0, 1, 2]) for name in ("train", "validation_matched", "unsupervised")}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "data")
    with pytest.raises(Refusal, match=r"validation_matched is no part.*data\.splits=\[train,test\]"):
        read()
    data = read(splits=["train", "validation_matched"])
    assert data.parts.tolist() == [TRAIN] * 3 + [VAL] * 3
    with pytest.raises(Refusal, match="names nothing"):
        read(splits=["nothing"])
    with pytest.raises(Refusal, match="choose one that is called train"):
        read(splits=["validation_matched"])


@pytest.mark.parametrize("bytes_left", [-4, 200])
def test_rows_that_were_cut_off_are_refused_by_the_file(tmp_path, read, bytes_left):
    pictures([0, 1, 2]).save_to_disk(tmp_path / "data")
    (file,) = (tmp_path / "data").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:bytes_left])
    with pytest.raises(Refusal, match=r"\.arrow is cut short"):
        read()


def test_a_damaged_picture_is_named_by_its_row(tmp_path, read):
    whole = png(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    values = [{"bytes": whole, "path": "a"}, {"bytes": whole[: len(whole) // 2], "path": "b"}]
    table = arrow.table({"image": values * 2, "label": ["x", "y", "y", "x"]})
    parquet.write_table(table, tmp_path / "own.parquet")
    with pytest.raises(Refusal, match=r"own\.parquet, row 2 is damaged .*data\.damaged=skip"):
        read(tmp_path / "own.parquet")
    data = read(tmp_path / "own.parquet", damaged="skip")
    assert data.targets.tolist() == [0, 1] and "2 of 4 files are damaged" in data.about["notes"][0]


def test_a_row_that_only_names_its_picture_is_refused(tmp_path, read):
    table = arrow.table({"image": [{"bytes": None, "path": "/there/a.png"}], "label": ["x"]})
    schema = arrow.schema([("image", arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())]))])
    table = table.set_column(0, "image", table["image"].cast(schema.field("image").type))
    parquet.write_table(table, tmp_path / "own.parquet")
    with pytest.raises(Refusal, match=r"row 1 names the file /there/a\.png and does not hold it"):
        read(tmp_path / "own.parquet")


def test_text_and_what_stands_beside_it(tmp_path, read):
    features = datasets.Features(
        idx=datasets.Value("int32"),
        sentence=datasets.Value("string"),
        label=datasets.ClassLabel(names=["bad", "good"]),
    )
    rows = {"idx": [0, 1, 2], "sentence": ["so bad", "very good", "good"], "label": [0, 1, 1]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "data")
    data = read(tokenizer="byte", length=4)
    assert data.inputs.tolist()[2] == [letter + 1 for letter in b"good"] and data.facts()["vocabulary"] == 257
    assert data.about["names"] == ["bad", "good"] and data.targets.tolist() == [0, 1, 1]
    assert data.about["notes"] == [
        "columns that are not read: idx",
        "2 of 3 texts have more than data.length=4 tokens and are cut",
    ]


def test_two_texts_are_refused_until_one_is_chosen(tmp_path, read):
    rows = {"text": ["a b", "c d"], "title": ["x", "y"], "label": ["p", "q"]}
    parquet.write_table(arrow.table(rows), tmp_path / "own.parquet")
    with pytest.raises(Refusal, match=r"text and title cannot be read together.*data\.columns=NAME"):
        read(tmp_path / "own.parquet")
    data = read(tmp_path / "own.parquet", columns="title", tokenizer="byte", length=1)
    assert data.inputs.tolist() == [[ord("x") + 1], [ord("y") + 1]]
    assert data.about["notes"] == ["columns that are not read: text"]


def test_numbers_and_words_are_a_table(tmp_path, read):
    rows = {
        "size": [1.5, None, 3.0],
        "colour": ["red", "blue", "red"],
        "on": [True, False, True],
        "when": arrow.array([1, 2, 3], arrow.date32()),
        "price": [0.5, 1.5, 2.25],
    }
    parquet.write_table(arrow.table(rows), tmp_path / "own.parquet")
    data = read(tmp_path / "own.parquet", target="price")
    assert data.task == "regression" and data.targets[:, 0].tolist() == [0.5, 1.5, 2.25]
    assert np.nan_to_num(data.inputs[:, :, 0], nan=-1).tolist() == [
        [1.5, 0, 0, 1, 0, 1], [-1, 1, 1, 0, 1, 0], [3, 0, 0, 1, 0, 1],
    ]  # fmt: skip
    assert data.about["notes"] == ["columns that are not read: when"]


def test_lists_and_arrays_of_two_axes(tmp_path, read):
    x = RNG.integers(0, 255, (5, 6, 7), dtype=np.uint8)
    features = datasets.Features(x=datasets.Array2D((6, 7), "uint8"), label=datasets.Value("int64"))
    saved = datasets.Dataset.from_dict({"x": list(x), "label": [3, 5, 3, 5, 3]}, features=features)
    saved.save_to_disk(tmp_path / "data", num_shards=2)
    data = read()
    assert data.inputs.dtype == np.uint8 and data.inputs.tolist() == x[:, None].tolist()
    assert data.about["names"] == ["3", "5"]
    signals = {"x": [[1.5, 2.0, 3.0], [4.0, 5.0, 6.0]], "label": ["a", "b"]}
    parquet.write_table(arrow.table(signals), tmp_path / "own.parquet")
    assert read(tmp_path / "own.parquet").inputs[:, :, 0].tolist() == signals["x"]
    parquet.write_table(
        arrow.table({"x": [[1.0, 2.0], [4.0]], "label": ["a", "b"]}), tmp_path / "ragged.parquet"
    )
    with pytest.raises(Refusal, match="lists of x have different lengths"):
        read(tmp_path / "ragged.parquet")


def test_a_list_of_classes_is_several_classes(tmp_path, read):
    features = datasets.Features(
        text=datasets.Value("string"), labels=datasets.Sequence(datasets.ClassLabel(names=["b", "a", "c"]))
    )
    rows = {"text": ["one", "two", "three"], "labels": [[0, 1], [], [1]]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "data")
    data = read()
    assert data.task == "multilabel" and data.about["names"] == ["b", "a", "c"]
    assert data.targets.tolist() == [[True, True, False], [False] * 3, [False, True, False]]
    assert data.about["notes"][:2] == [
        "1 of 3 examples have none of the 3 classes",
        "all examples or none have c, which tells nothing",
    ]


def test_sounds_are_read_as_wav(tmp_path, read):
    import wave

    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(8000)
        sound.writeframes(np.array([0, 16384, -32768], "<i2").tobytes())
    value = {"bytes": file.getvalue(), "path": "a.wav"}
    told = {
        "info": {
            "features": {"audio": {"_type": "Audio"}, "label": {"names": ["x", "y"], "_type": "ClassLabel"}}
        }
    }
    table = arrow.table({"audio": [value, value], "label": [0, 1]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(told)})
    parquet.write_table(table, tmp_path / "own.parquet")
    assert read(tmp_path / "own.parquet").inputs[0].tolist() == [[0, 0.5, -1]]


def test_what_holds_no_rows_and_no_answers_is_refused(tmp_path, read):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refusal, match="neither what save_to_disk leaves nor parquet"):
        read(tmp_path / "empty")
    parquet.write_table(arrow.table({"a": [1.0, 2.0], "b": [1, 2]}), tmp_path / "own.parquet")
    with pytest.raises(Refusal, match=r"has the columns a, b: set data\.target to one of them"):
        read(tmp_path / "own.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more PAR1")
    with pytest.raises(Refusal, match="rows cannot be read"):
        read(tmp_path / "broken.parquet")


def test_what_pandas_numbers_rows_by_is_no_input(tmp_path, read):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "label": ["x", "y", "x", "y"]}).sort_values("label")
    frame.to_parquet(tmp_path / "own.parquet")
    assert "__index_level_0__" in parquet.read_schema(tmp_path / "own.parquet").names
    assert read(tmp_path / "own.parquet").inputs[:, :, 0].tolist() == [[1.0], [3.0], [2.0], [4.0]]


def test_a_split_by_a_word_and_a_table_of_another_kind(tmp_path, read):
    for name in ("train", "test"):
        (tmp_path / "data").mkdir(exist_ok=True)
        parquet.write_table(
            arrow.table({"a": [1, 2], "label": [0, 1]}), tmp_path / "data" / f"{name}.parquet"
        )
    assert read(splits="train").parts.tolist() == [TRAIN] * 2
    (tmp_path / "own.csv").write_text("a,label\n1,x\n2,y\n")
    with pytest.raises(Refusal, match="neither parquet nor Arrow: choose data=table"):
        read(tmp_path / "own.csv")


def test_splits_of_different_columns_are_refused(tmp_path, read):
    (tmp_path / "data").mkdir()
    parquet.write_table(arrow.table({"a": [1, 2], "label": [0, 1]}), tmp_path / "data" / "train.parquet")
    for other in ({"a": [1, 2], "b": [1, 2], "label": [0, 1]}, {"a": ["x", "y"], "label": [0, 1]}):
        parquet.write_table(arrow.table(other), tmp_path / "data" / "test.parquet")
        with pytest.raises(Refusal, match=r"the column [ab] is not the same in train and test"):
            read()

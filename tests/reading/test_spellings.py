"""Answers as people write them: 01 is not 1, NA is no class, and what could be either is refused by name."""

import json
import unicodedata

import numpy as np
import pytest

from reading.kept import decoded
from refusal import Refusal

pandas = pytest.importorskip("pandas")
arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def read(tmp_path):
    def read(source, path, **options):
        place = {"path": str(path), "cache": str(tmp_path / "cache")}
        return decoded({"source": source, **place, **options})

    return read


@pytest.fixture
def classes(tmp_path, read):
    """(names, targets) of a CSV of these answers, as a table, as texts or as labels of pictures."""

    def classes(source, answers):
        cells = [f'"{answer}"' if "," in answer else answer for answer in answers]
        if source == "folder":
            (tmp_path / "data").mkdir()
            for at in range(len(cells)):
                Image.fromarray(np.full((4, 4), at, np.uint8)).save(tmp_path / "data" / f"{at}.png")
            rows = [f"{at}.png,{cell}" for at, cell in enumerate(cells)]
            (tmp_path / "data" / "labels.csv").write_text("\n".join(["file_name,label", *rows]))
            data = read("folder", tmp_path / "data")
        else:
            rows = [f"{at},{cell}" for at, cell in enumerate(cells)]
            (tmp_path / "own.csv").write_text("\n".join(["text,label", *rows]))
            how = {"tokenizer": "byte"} if source == "text" else {}
            data = read(source, tmp_path / "own.csv", target="label", **how)
        return data.about["names"], data.targets.tolist()

    return classes


@pytest.mark.parametrize("source", ["table", "text", "folder"])
@pytest.mark.parametrize(
    ("answers", "names", "targets"),
    [
        (["02", "01", "10", "01"], ["01", "02", "10"], [1, 0, 2, 0]),
        (["true", "false", "true"], ["false", "true"], [1, 0, 1]),
        (["Cat", "cat", "Cat"], ["Cat", "cat"], [0, 1, 0]),
        (["1", "-1", "1"], ["-1", "1"], [1, 0, 1]),
        (["no", "None of them", "no"], ["None of them", "no"], [1, 0, 1]),
    ],
)
def test_classes_are_called_as_they_are_written(classes, source, answers, names, targets):
    assert classes(source, answers) == (names, targets)


@pytest.mark.parametrize("source", ["table", "text", "folder"])
@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (["01", "1", "2"], "the labels '01' and '1' are one in two spellings"),
        (["7", "007", "2"], "the labels '007' and '7' are one in two spellings"),
        (["New York", "New  York", "Rome"], r"the labels 'New  York' and 'New York' are one"),
        (["cat", "cat\u00a0", "dog"], r"the labels 'cat' and 'cat\\xa0' are one"),
        (["cat", "c\u200bat", "dog"], r"the labels 'cat' and 'c\\u200bat' are one"),
        (
            [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")] + ["tea"],
            r"'cafe\\u0301' and 'caf",
        ),
        (["NA", "cat", "dog"], "NA|have no label"),
        (["n/a", "cat", "dog"], "1 examples have the label 'n/a'"),
        (["NaN", "1", "2"], "NaN|have no label"),
        (["-1.0", "0.0", "1.0"], "the label '-1"),
    ],
)
def test_what_may_be_one_class_or_none_is_refused_by_name(tmp_path, classes, source, answers, said):
    with pytest.raises(Refusal, match=said) as refused:
        classes(source, answers)
    assert ("labels.csv" if source == "folder" else "own.csv") in str(refused.value)


def test_classes_that_differ_by_capitals_alone_are_told(tmp_path, read):
    (tmp_path / "own.csv").write_text("a,kind\n1,Cat\n2,cat\n3,Cat\n")
    (note,) = read("table", tmp_path / "own.csv", target="kind").about["notes"]
    assert note.endswith("column kind: Cat and cat differ by capital letters alone and are two classes")


def test_labels_as_whole_floats_are_numbers(tmp_path, read):
    (tmp_path / "own.csv").write_text("a,kind\n1,1.0\n2,0.0\n3,1.0\n")
    assert read("table", tmp_path / "own.csv", target="kind").about["names"] == ["0", "1"]


def test_codes_among_the_inputs_are_told_apart(tmp_path, read):
    (tmp_path / "own.csv").write_text("part,month,kind\n007,01,x\n7,02,y\n007,10,x\n")
    data = read("table", tmp_path / "own.csv", target="kind")
    assert data.inputs[:, :, 0].tolist() == [[1, 0, 1], [0, 1, 2], [1, 0, 10]], "007, 7, month"
    assert data.about["columns"] == [
        {"name": "part", "categories": ["007", "7"]},
        {"name": "month", "gaps": False},
    ]


def test_na_is_a_gap_among_numbers_and_a_word_among_words(tmp_path, read):
    (tmp_path / "own.csv").write_text("size,where,kind\n1,NA,x\nNA,EU,y\n3,,x\n")
    data = read("table", tmp_path / "own.csv", target="kind")
    assert data.about["columns"][1]["categories"] == ["?", "EU", "NA"]
    assert data.inputs[:, 1, 0].tolist() == [0, 1, 0] and np.isnan(data.inputs[1, 0, 0])
    (tmp_path / "own.csv").write_text("text,label\nNA,x\nnan,y\nso it is,x\n")
    assert len(read("text", tmp_path / "own.csv", tokenizer="byte").inputs) == 3


def test_a_column_is_of_numbers_in_all_parts_or_of_words(tmp_path, read):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.csv").write_text("a,kind\n1,01\n2,02\n3,10\n")
    (tmp_path / "own" / "test.csv").write_text("a,kind\n1,10\nn/a,10\n")
    data = read("table", tmp_path / "own", target="kind")
    assert data.about["names"] == ["01", "02", "10"] and data.targets.tolist() == [0, 1, 2, 2, 2]
    assert data.about["columns"] == [{"name": "a", "categories": ["1", "2", "3", "n/a"]}]
    assert data.inputs[:, 0, 0].tolist() == [1, 0, 0, 1, 0]


@pytest.mark.parametrize(("name", "there"), [("test.csv.gz", "test"), ("val.xlsx", "val"), ("test", "test")])
def test_a_part_that_cannot_be_read_is_refused_and_not_drawn_anew(tmp_path, read, name, there):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.csv").write_text("a,kind\n1,x\n2,y\n")
    if name == "test":
        (tmp_path / "own" / name).mkdir()
    else:
        (tmp_path / "own" / name).write_bytes(b"x")
    with pytest.raises(Refusal, match=f"{name} is called as a part and is no table"):
        read("table", tmp_path / "own", target="kind")
    (tmp_path / "own" / name).rename(tmp_path / "own" / "about.md")
    notes = read("table", tmp_path / "own", target="kind").about["notes"]
    assert notes == ["no table, so left out: about.md"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,kind\n1,x\n2,y\n".encode("utf-16"), "save it anew, in UTF-8"),
        ("a,kind\n1,x\n2,y\n".encode("utf-16-le"), "zero bytes"),
        ("a,kind\n1,café\n2,y\n".encode("latin-1"), "save it anew, in UTF-8"),
        (b'text,kind\n"she said \\"no\\"",x\nb,y\n', "no table that can be read"),
        (b"a,kind,kind \n1,x,y\n", "two columns called 'kind'"),
        (b"a,Kind,kInd\n1,x,y\n2,y,x\n", "has the columns a, Kind, kInd"),
        (b"a\0b,kind\n1,x\n2,y\n", "zero bytes"),
        (b"a,kind\n1\0,x\n1,y\n", "zero bytes"),
        (b"a,kind\n1,True\n2,TRUE\n3,no\n", "'TRUE' and 'True' are one in two spellings"),
        (b"a,Label,label\n1,x,y\n2,y,x\n", "has the columns Label, label: set"),
    ],
)
def test_a_csv_that_can_be_read_in_two_ways_is_refused(tmp_path, read, content, said):
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(Refusal, match=said):
        read("table", tmp_path / "own.csv", target=None if b"abel" in content else "kind")


def test_names_of_columns_have_no_blanks_around_them_and_may_be_numbers(tmp_path, read):
    (tmp_path / "own.csv").write_text('0,size, 2\n5,"1\n2",x\n6,3,y\n')
    data = read("table", tmp_path / "own.csv", target=2, leave_out=[0])
    assert data.about["names"] == ["x", "y"] and data.about["columns"][0]["categories"] == ["1\n2", "3"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (['{"a": 1, "kind": "x", "kind": "y"}'], "says 'kind' twice in one object"),
        (['{"a": 1, "kind": "1"}', '{"a": 2, "kind": 1}'], "kind holds 1 as a number and as a word"),
        (['{"a": 1, "kind": true}', '{"a": 2, "kind": 1}'], "kind holds true or false beside others"),
        (['{"a": 1, "kind": "x"}', "{}"], "line 2 is no object"),
        (['{"a": 1, "kind": "x"}', '{"a": 2, "kind": null}'], "1 rows have no kind, the first in row 2"),
    ],
)
def test_json_lines_lose_nothing(tmp_path, read, rows, said):
    (tmp_path / "own.jsonl").write_text("\n".join(rows))
    with pytest.raises(Refusal, match=said):
        read("table", tmp_path / "own.jsonl", target="kind")


def test_texts_that_are_numbers_stay_as_they_are_written(tmp_path, read):
    (tmp_path / "own.csv").write_text("text,label\n12,x\n13.0,y\n007,x\n")
    data = read("text", tmp_path / "own.csv", tokenizer="byte", length=4)
    said = [bytes(token - 1 for token in row if token).decode() for row in data.inputs.tolist()]
    assert said == ["12", "13.0", "007"]


def test_a_class_beside_lists_of_classes_is_one_of_them(tmp_path, read):
    rows = [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": "y"}, {"text": "c", "labels": None}]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = read("text", tmp_path / "own.jsonl", tokenizer="byte")
    assert data.targets.tolist() == [[True, True], [False, True], [False, False]]


def test_numbers_with_gaps_are_classes_by_their_names(tmp_path, read):
    (tmp_path / "own.csv").write_text("text,genres\na,3\nb,\nc,12\n")
    data = read("text", tmp_path / "own.csv", target="genres", separator="|", tokenizer="byte")
    assert data.about["names"] == ["3", "12"] and data.targets.tolist() == [[1, 0], [0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (arrow.array(["b", "a", "b"]).dictionary_encode(), ["a", "b"]),
        (arrow.array([10.0, 2.0, 10.0]).dictionary_encode(), ["2", "10"]),
        (arrow.array([2**64 - 1, 3, 3], arrow.uint64()), ["3", str(2**64 - 1)]),
        (arrow.array([True, False, True]), ["False", "True"]),
        (arrow.array(["01", "02", "01"]), ["01", "02"]),
        (arrow.array([b"x", b"y", b"x"]), "kind holds bytes, which are no classes"),
        (arrow.array([{"a": 1}, {"a": 2}, {"a": 1}]), "kind holds dicts, which are no classes"),
        (arrow.array([1, None, 2]), "1 rows have no kind, the first in row 2"),
    ],
)
@pytest.mark.parametrize("source", ["table", "hf"])
def test_answers_of_parquet(tmp_path, read, source, values, names):
    parquet.write_table(arrow.table({"a": [1.5, 2.5, 3.5], "kind": values}), tmp_path / "own.parquet")
    if isinstance(names, str):
        with pytest.raises(Refusal, match=names):
            read(source, tmp_path / "own.parquet", target="kind")
        return
    data = read(source, tmp_path / "own.parquet", target="kind")
    assert data.about["names"] == names and data.inputs[:, :, 0].tolist() == [[1.5], [2.5], [3.5]]


def test_a_dictionary_of_words_is_an_input_and_a_table_beside_parquet_no_split(tmp_path, read):
    (tmp_path / "own").mkdir()
    words = arrow.array(["u", "v", "u"]).dictionary_encode()
    parquet.write_table(
        arrow.table({"a": words, "label": ["x", "y", "x"]}), tmp_path / "own" / "train.parquet"
    )
    data = read("hf", tmp_path / "own")
    assert data.about["columns"] == [{"name": "a", "categories": ["u", "v"]}]
    (tmp_path / "own" / "test.csv").write_text("a,label\nu,x\n")
    with pytest.raises(Refusal, match=r"test\.csv is called as a split and is no parquet"):
        read("hf", tmp_path / "own")


def test_what_was_the_index_of_a_frame_is_a_column(tmp_path, read):
    frame = pandas.DataFrame({"a": [1.0, 2.0, 3.0], "kind": ["x", "y", "x"]}).set_index("kind")
    frame.to_parquet(tmp_path / "own.parquet")
    assert read("table", tmp_path / "own.parquet", target="kind").about["names"] == ["x", "y"]


def test_arrays_that_are_not_read_are_told_and_two_of_one_name_refused(tmp_path, read):
    x, y = np.arange(6.0).reshape(3, 2), np.array([b"cat", b"dog", b"cat"])
    np.savez(tmp_path / "own.npz", x=x, y=y, ids=np.arange(3))
    data = read("arrays", tmp_path / "own.npz")
    assert data.about["names"] == ["cat", "dog"] and data.about["notes"] == ["arrays that are not read: ids"]
    np.savez(tmp_path / "two.npz", x=x, X=x, y=y)
    with pytest.raises(Refusal, match=r"two\.npz holds x and X"):
        read("arrays", tmp_path / "two.npz")
    np.savez(tmp_path / "times.npz", x=x, y=np.arange(3).astype("datetime64[D]"))
    with pytest.raises(Refusal, match=r"answers are of the type datetime64\[D\]"):
        read("arrays", tmp_path / "times.npz")

"""Tables: numbers, words and gaps as columns, answers as classes or values; nothing guessed in silence."""

import json
from decimal import Decimal

import numpy as np
import pytest

from cases import each
from reading.decoded import TEST, TRAIN
from reading.kept import decoded
from refusal import Refusal

pandas = pytest.importorskip("pandas")
TEXT = "size,colour,kind\n1,red,cat\n2.5,blue,dog\n,,cat\n4,red,dog\n"


@pytest.fixture
def read(tmp_path):
    def read(text=TEXT, name="own.csv", **options):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        place = {"path": str(tmp_path / name), "cache": str(tmp_path / "cache")}
        return decoded({"source": "table", "target": "kind", **place, **options})

    return read


def test_numbers_words_and_gaps_become_columns(read):
    data = read()
    table = data.inputs[:, :, 0]
    assert np.isnan(table[2, 0]) and table[[0, 1, 3], 0].tolist() == [1, 2.5, 4]
    assert table[:, 1].tolist() == [0, 0, 1, 0], "where the size is missing"
    assert table[:, 2:].tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]], "?, blue, red"
    assert data.about["columns"] == [
        {"name": "size", "gaps": True},
        {"name": "colour", "categories": ["?", "blue", "red"]},
    ]
    assert data.about["names"] == ["cat", "dog"] and data.targets.tolist() == [0, 1, 0, 1]


def test_the_same_table_in_other_formats_is_the_same(read, tmp_path):
    plain = read()
    frame = pandas.DataFrame({"size": [1, 2.5, None, 4], "colour": ["red", "blue", None, "red"]})
    frame["kind"] = ["cat", "dog", "cat", "dog"]
    frame.to_parquet(tmp_path / "x.parquet")
    rows = [
        {key: None if value != value else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    others = [
        read(TEXT.replace(",", ";"), "semicolons.csv"),
        read(TEXT.replace(",", "\t"), "tabs.tsv"),
        read(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode(), "windows.csv"),
        read((tmp_path / "x.parquet").read_bytes(), "again.parquet"),
        read(lines, "lines.jsonl"),
    ]
    for other in others:
        np.testing.assert_array_equal(other.inputs, plain.inputs)
        assert other.targets.tolist() == plain.targets.tolist()


def test_words_that_look_like_nothing_are_words(read):

    data = read("a,kind\nnull,x\nNone,y\n,x\n")
    assert data.about["columns"][0]["categories"] == ["?", "None", "null"]


def test_numbers_as_answers_are_values_or_classes(read):
    few = "a,kind\n" + "\n".join(f"{row},{row % 3}" for row in range(9))
    many = "a,kind\n" + "\n".join(f"{row},{row}" for row in range(100))
    assert read(few).task == "classification" and read(many).task == "regression"
    assert read(few, task="regression").targets[:, 0].tolist() == [row % 3 for row in range(9)]
    assert read(many, task="classification").about["classes"] == 100


def test_names_of_columns_may_be_in_quotes(read):
    plain = read("a,b,kind\n1,3,x\n2,4,y\n")
    for names in ('"a, b",b,kind', '"a\nin cm",b,kind', "'a';b;kind"):
        rows = "\n1,3,x\n2,4,y\n".replace(",", ";" if ";" in names else ",")
        data = read(names + rows, f"{len(names)}.csv")
        np.testing.assert_array_equal(data.inputs, plain.inputs)


def test_what_pandas_numbers_rows_by_is_no_input(read):
    data = read(",a,kind\n0,5,x\n1,6,x\n2,7,y\n")
    assert data.inputs[:, :, 0].tolist() == [[5], [6], [7]]
    assert data.about["notes"] == ["Unnamed: 0 has no name and numbers the rows: left out"]


def test_words_among_numbers_are_told(read):
    rows = "\n".join(f"{row if row else 'none'},{row % 2}" for row in range(20))
    told = ["a holds words beside numbers, such as 'none': each is a category of its own"]
    assert read(f"a,kind\n{rows}\n").about["notes"] == told
    lines = "\n".join(json.dumps({"a": str(row), "kind": row % 2}) for row in range(9))
    told = ["a holds numbers that are written as words: each is a category of its own"]
    assert read(lines, "x.jsonl").about["notes"] == told


def test_a_column_without_a_value_is_told(read):
    assert read("a,b,kind\n1,,x\n2,,y\n").about["notes"] == ["the columns b never change"]


def test_what_differs_by_rounding_alone_is_one_value(read):
    data = read("a,kind\n0.3,x\n0.30000000000000004,y\n0.3,x\n")
    assert len(set(data.inputs[:, 0, 0].tolist())) == 1


def test_a_long_text_is_read_whole(read):
    data = read("a,kind\n" + "x" * 200_000 + ",dog\ny,cat\n")
    assert [len(word) for word in data.about["columns"][0]["categories"]] == [200_000, 1]


def test_exact_decimals_of_parquet_are_numbers(read, tmp_path):
    frame = pandas.DataFrame({"a": [Decimal("1.25"), None, Decimal("3.5")], "kind": ["x", "y", "x"]})
    frame.to_parquet(tmp_path / "x.parquet")
    data = read((tmp_path / "x.parquet").read_bytes(), "own.parquet")
    assert data.inputs[[0, 2], 0, 0].tolist() == [1.25, 3.5] and data.inputs[:, 1, 0].tolist() == [0, 1, 0]


def test_a_folder_has_parts(tmp_path):
    (tmp_path / "own").mkdir()
    for part in ("train", "test"):
        (tmp_path / "own" / f"{part}.csv").write_text(TEXT)
    place = {"path": str(tmp_path / "own"), "cache": str(tmp_path / "cache")}
    data = decoded({"source": "table", "target": "kind", **place})
    assert sorted(data.parts.tolist()) == [TRAIN] * 4 + [TEST] * 4


@each(
    ("text", "options", "said"),
    [
        (TEXT, {"target": "colours"}, r"has the columns size, colour, kind: set data\.target"),
        (TEXT, {"target": None}, r"set data\.target to one of them"),
        (TEXT, {"leave_out": ["sise"]}, "leave_out names 'sise'"),
        (TEXT, {"leave_out": ["size", "colour"]}, "no column beside kind"),
        (TEXT, {"most_categories": 2}, "colour has 3 different words such as '\\?'"),
        (TEXT + "5,red,\n", {}, "1 rows have no kind, the first in row 5"),
        (TEXT + "inf,red,cat\n", {}, "size is not finite in row 5"),
        ("1,2,3\n4,5,6\n", {}, "begins with values"),
        ("a,a,kind\n1,2,x\n", {}, "two columns called 'a'"),
        ("a,kind\n", {}, "has no rows"),
        ("", {}, "own.csv"),
        ("a,kind\n1,x\n2,x\n", {}, "all examples are of one class, 'x'"),
        (b"a,kind\n\xff\xfe,x\n", {}, "no table that can be read"),
        ("a,kind\n1,x\n2,y,3\n", {}, "line 3 has 3 values under 2 names"),
        ("a,kind\n1,x\n2\n", {}, "line 3 has 1 values under 2 names"),
        ('a,kind\n1,"x\n', {}, "no table that can be read|one class"),
        ("a,kind\n1,-1\n2,0\n3,1\n", {}, "label '-1'"),
        ("a;kind\n1,5;x\n2;y\n", {}, "a holds numbers with commas or signs, such as '1,5': write"),
        ("a;kind\n1;1,25\n2;3,5\n", {}, "kind holds numbers with commas or signs, such as '1,25'"),
        ('a,kind\n"1,234",x\n"12",y\n', {}, "a holds numbers with commas or signs, such as '1,234'"),
        ("a,kind\n5%,x\n12.5%,y\n", {}, "such as '5%': write"),
        ("a,kind\n$5,x\n$7,y\n", {}, r"such as '\$5': write"),
        ("a,kind\n1, cat\n2,cat\n3,dog\n", {}, "the labels ' cat' and 'cat' are one in two spellings"),
        ("at,kind\n1700000001,x\n1700000002,y\n", {}, "at holds values from 1700000001.0 to 1700000002.0"),
        ("a,kind\n1,x\n2,y\nn/a,y\n", {"most_categories": 2}, "such as 'n/a'.*leave the cells empty"),
    ],
)
def test_what_cannot_be_taken_is_refused(read, text, options, said):
    with pytest.raises(Refusal, match=said):
        read(text, **options)


def test_another_kind_of_file_is_refused(read):
    with pytest.raises(Refusal, match=r"own\.xlsx is no table"):
        read(b"PK\3\4", "own.xlsx")


@each("number", ["1.234,50", "1 234", "1'234.5", "0,5e3", "1.234.567,8", "12,5 €"])
def test_numbers_as_europeans_write_them_are_no_categories(tmp_path_factory, number):
    place = tmp_path_factory.mktemp("table")
    (place / "own.csv").write_text(f"size;kind\n{number};a\n2;b\n3;a\n")
    with pytest.raises(Refusal, match="size"):
        own = {"path": str(place / "own.csv"), "cache": str(place / "c")}
        decoded({"source": "table", "target": "kind", **own})


def test_versions_stay_words(read):
    assert read("version,kind\n1.234.567,cat\n1.234.568,dog\n").about["columns"][0]["categories"]


def test_whole_numbers_that_are_rounded_are_told(read):
    notes = read("at,kind\n1700000060,cat\n1700000120,dog\n1700000180,cat\n").about["notes"]
    assert [note for note in notes if note.startswith("at holds whole numbers above 16777216")]
    few = read("at,kind\n1024,cat\n2048,dog\n", "few.csv").about["notes"]
    assert not [note for note in few if "above" in note]

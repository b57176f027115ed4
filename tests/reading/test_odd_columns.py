"""Columns of times, exact decimals, lists and mixed words: numbers, words, or refused by name."""

import datetime
import json
import re
from decimal import Decimal

import numpy as np
import pytest

from cases import each
from reading.kept import decoded
from refusal import Refusal

pandas = pytest.importorskip("pandas")
arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
DAYS = [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), datetime.date(2020, 1, 1)]


@pytest.fixture
def read(tmp_path):
    def read(source, columns, **options):
        parquet.write_table(arrow.table(columns), tmp_path / "own.parquet")
        place = {"path": str(tmp_path / "own.parquet"), "cache": str(tmp_path / "cache")}
        return decoded({"source": source, "target": "kind", **place, **options})

    return read


ODD = [
    (DAYS, "dates"),
    (list(map(pandas.Timestamp, DAYS)), "timestamps"),
    ([datetime.timedelta(1), datetime.timedelta(2), datetime.timedelta(1)], "timedeltas"),
    ([datetime.time(1), datetime.time(2), datetime.time(1)], "times"),
    (arrow.array(DAYS).dictionary_encode(), "dates"),
    ([[[1, 2]], [[3]], [[1, 2]]], "lists"),
    ([[DAYS[0]], [DAYS[1]], [DAYS[1]]], "dates"),
    ([{"a": 1}, {"a": 2}, {"a": 1}], "dicts"),
    ([b"x", b"y", b"x"], "bytes"),
]


@pytest.mark.slow
@each(("values", "what"), ODD, ids=lambda case: f"{case[1]} {case[0]}"[:40])
def test_what_is_neither_number_nor_word_is_no_class(read, values, what):
    columns = {"a": [1.5, 2.5, 3.5], "kind": values}
    for source in ("table", "hf"):
        for options in ({}, {"separator": "|"}):
            with pytest.raises(Refusal, match=rf"own\.parquet.* kind holds {what}, which are no classes"):
                read(source, columns, **options)


@each(("values", "what"), ODD, ids=lambda case: f"{case[1]} {case[0]}"[:40])
def test_what_is_neither_number_nor_word_is_no_input_of_a_table_and_may_be_left_out(read, values, what):
    columns = {"a": values, "b": [1.5, 2.5, 3.5], "kind": ["x", "y", "x"]}
    with pytest.raises(Refusal, match=r"a holds (lists|" + what + r") and neither.*leave_out=\[a\]"):
        read("table", columns)
    assert read("table", columns, leave_out=["a"]).inputs[:, :, 0].tolist() == [[1.5], [2.5], [3.5]]


@pytest.mark.parametrize("source", ["table", "hf"])
def test_exact_decimals_are_numbers(read, source):
    columns = {"a": [Decimal("1.50"), Decimal("2.25"), None], "kind": [Decimal(1), Decimal(10), Decimal(1)]}
    data = read(source, columns)
    assert data.about["names"] == ["1", "10"] and data.inputs[:2, 0, 0].tolist() == [1.5, 2.25]
    values = read(source, {"a": [1, 2, 3], "kind": [Decimal("1.5"), Decimal("2.5"), Decimal("1.5")]})
    assert values.targets.tolist() == [[1.5], [2.5], [1.5]]


def test_classes_in_lists_of_a_table_of_labels_are_words(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "data").mkdir()
    for at in range(3):
        image.fromarray(np.full((2, 2), at, np.uint8)).save(tmp_path / "data" / f"{at}.png")
    for cells, what in ((DAYS, "dates"), ([b"x", b"y", b"x"], "bytes"), ([[[1]], [[2]], [[1]]], "lists")):
        columns = {"file_name": ["0.png", "1.png", "2.png"], "label": cells}
        parquet.write_table(arrow.table(columns), tmp_path / "data" / "metadata.parquet")
        with pytest.raises(Refusal, match=rf"metadata\.parquet: label holds {what}, which are no classes"):
            decoded({"source": "folder", "path": str(tmp_path / "data"), "cache": str(tmp_path / "cache")})


@pytest.fixture
def table(tmp_path):
    def table(text, name="own.csv"):
        (tmp_path / name).write_text(text)
        place = {"path": str(tmp_path / name), "cache": str(tmp_path / "cache")}
        return decoded({"source": "table", "target": "kind", **place})

    return table


def test_the_word_for_nothing_is_another_category_than_nothing(table):
    data = table("a,kind\n?,x\n,y\nred,x\n?,y\n")
    assert data.about["columns"] == [{"name": "a", "categories": ["?", "??", "red"]}]
    assert data.inputs[:, :, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert data.about["notes"] == ["a holds the word '?' beside empty cells, whose category is '??'"]
    alone = table("a,kind\n?,x\nred,y\n?,x\n", "alone.csv")
    assert alone.about["columns"][0]["categories"] == ["?", "red"] and alone.about["notes"] == []


@each(
    ("cells", "said"),
    [
        ([1, "1", 2], "a holds 1 as a number and as a word"),
        ([True, 1, 0], "a holds true or false beside others"),
        ([True, "True", False], "a holds True as a number and as a word|beside others"),
    ],
)
def test_inputs_that_look_alike_and_are_not_are_refused(tmp_path_factory, cells, said):
    place = tmp_path_factory.mktemp("lines")
    rows = [json.dumps({"a": cell, "kind": "xyx"[at]}) for at, cell in enumerate(cells)]
    (place / "own.jsonl").write_text("\n".join(rows))
    with pytest.raises(Refusal, match=said):
        own = {"path": str(place / "own.jsonl"), "cache": str(place / "cache")}
        decoded({"source": "table", "target": "kind", **own})


def test_large_whole_numbers_that_become_one_are_told(read):
    (note,) = read("table", {"a": [2**53 + 1, 2**53, 5], "kind": ["x", "y", "x"]}).about["notes"]
    assert note.endswith("such as 9007199254740993 to 9007199254740992")


def test_words_of_an_input_that_look_alike_are_told(table):
    data = table("a,b,kind\nred,1,x\nRed,1.0,y\n red,u,x\nblue,v,y\n")
    assert [note.partition("own.csv: ")[2] for note in data.about["notes"]] == [
        "a: ' red' and 'Red' look alike and are two categories",
        "a: ' red' and 'red' look alike and are two categories",
        "b: '1' and '1.0' look alike and are two categories",
    ]


def test_classes_beyond_what_floats_tell_apart_are_refused(table):
    with pytest.raises(Refusal, match="above 9007199254740992 stand beside others such as 1\\.0"):
        table("a,kind\n1,9007199254740993\n2,9007199254740992\n3,1.0\n")


def test_words_and_gaps_that_are_never_learnt_are_told(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.csv").write_text("a,b,kind\nu,1,x\nv,2,y\nu,3,x\n")
    (tmp_path / "own" / "test.csv").write_text("a,b,kind\nw,,x\nv,2,y\n")
    place = {"path": str(tmp_path / "own"), "cache": str(tmp_path / "cache")}
    data = decoded({"source": "table", "target": "kind", **place})
    assert data.about["notes"] == [
        "a has words in no row of train: w",
        "b has empty cells in val or test and none in train",
    ]


@each(
    ("cells", "told"),
    [
        ([1700000000.25, 1700000130.5, 1700000500.75], True),
        ([1e6, 1e6 + 0.1, 1e6 + 0.25], True),
        ([0.1, 0.2, 0.7], False),
        ([1e-30, 2e-30, 1e-20], False),
        ([5.1, None, 5.1], False),
        ([None, None, None], False),
    ],
)
def test_values_that_32_bits_hardly_tell_apart_are_told(tmp_path_factory, cells, told):
    place = tmp_path_factory.mktemp("coarse")
    rows = [f"{'' if cell is None else repr(cell)},{'xyx'[at]},1" for at, cell in enumerate(cells)]
    (place / "own.csv").write_text("\n".join(["a,kind,b", *rows]))
    own = {"path": str(place / "own.csv"), "cache": str(place / "cache")}
    notes = decoded({"source": "table", "target": "kind", **own}).about["notes"]
    assert any(note.startswith("a holds values that 32 bits round by up to") for note in notes) is told
    np.savez(place / "own.npz", x=np.array(cells, float)[:, None], y=np.arange(3))
    if None not in cells:
        own["path"] = str(place / "own.npz")
        assert bool(decoded({"source": "arrays", **own}).about["notes"]) is told


def test_row_names_without_a_name_are_told_or_read(tmp_path):
    place = {"path": str(tmp_path / "own.parquet"), "cache": str(tmp_path / "cache"), "target": "kind"}
    frame = pandas.DataFrame({"a": [1.5, 2.5, 3.5], "kind": ["x", "y", "x"]}, index=["u", "v", "u"])
    frame.to_parquet(tmp_path / "own.parquet")
    assert decoded({"source": "table", **place}).inputs[:, :, 0].tolist() == [
        [1, 0, 1.5],
        [0, 1, 2.5],
        [1, 0, 3.5],
    ]
    told = decoded({"source": "hf", **place}).about["notes"]
    assert told == ["columns that are not read: __index_level_0__"]
    frame.set_axis([5, 3, 9]).to_parquet(tmp_path / "own.parquet")
    assert decoded({"source": "table", **place}).inputs[:, :, 0].tolist() == [[1.5], [2.5], [3.5]]


@each(
    ("rows", "options", "said"),
    [
        (
            "a,label,class\n1,x,u\n2,y,v\n",
            {"target": None},
            "those of label and not of class",
        ),
        ("a,kind\n1,x|y\n2,y\n3,x\n", {}, r"'x\|y' is one class .*data\.separator='\|'"),
        ("a,kind\n1,x; y\n2,y\n3,x\n", {}, r"'x; y' is one class .*data\.separator=';'"),
        ("a|kind\n1|['x', 'y']\n2|['y']\n", {}, r"\['x', 'y'\]' is one class .* lists in JSON lines"),
        ("a,kind\n1,x|y\n2,y|z\n3,x\n", {}, None),
        ("a,kind\n1,New York\n2,York\n3,Rome\n", {}, None),
    ],
)
def test_answers_that_may_be_others_are_told(tmp_path_factory, rows, options, said):
    place = tmp_path_factory.mktemp("answers")
    (place / "own.csv").write_text(rows)
    own = {"path": str(place / "own.csv"), "cache": str(place / "cache"), "target": "kind", **options}
    notes = decoded({"source": "table", **own}).about["notes"]
    assert not notes if said is None else re.search(said, notes[0])


def test_answers_that_are_all_one_value_are_refused(table):
    with pytest.raises(Refusal, match=r"all answers are 5\.5"):
        table("a,kind\n1,5.5\n2,5.5\n3,5.5\n")

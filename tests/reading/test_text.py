"""Texts: the same tokens for the same text, nothing dropped in silence, labels as in any table."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

import own_data
from reading.kept import decoded
from reading.tokens import Bytes, Pairs
from refusal import Refusal

pytest.importorskip("pandas")
tokenizers = pytest.importorskip("tokenizers")
TEXT = 'text,label\nthe cat naps,cat\nthe dog barks,dog\n"the cat, again",cat\n'
LEARNT = ["the cat naps", "the dog barks", "a naïve café, 猫"] * 5


@pytest.fixture
def read(tmp_path):
    def read(content=TEXT, name="own.csv", **options):
        (tmp_path / name).write_text(content)
        place = {"path": str(tmp_path / name), "cache": str(tmp_path / "cache"), "tokens": 300, "length": 16}
        return decoded({"source": "text", **place, **options})

    return read


@given(st.text(max_size=40))
def test_bytes_are_the_text_itself(text):
    assert bytes(token - 1 for token in Bytes().all_of([text])[0]).decode() == text


PAIRS = Pairs(LEARNT, 300)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_every_text_comes_back_from_its_pairs_and_none_is_padding(text):
    tokens = PAIRS.all_of([text])[0]
    again = tokenizers.Tokenizer.from_str(PAIRS.about()["json"])
    assert again.decode(tokens, skip_special_tokens=False).removeprefix(" ") == text.removeprefix(" ")
    assert 0 not in tokens and all(token < PAIRS.vocabulary for token in tokens)


def test_frequent_pairs_are_one_token_and_learning_again_is_the_same():
    assert len(PAIRS.all_of(["the cat"])[0]) == 2 < len(Bytes().all_of(["the cat"])[0])
    assert Pairs(LEARNT, 300).about() == PAIRS.about()


def test_the_environment_is_left_as_it_was(monkeypatch):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    Pairs(LEARNT, 300)
    assert "TOKENIZERS_PARALLELISM" not in os.environ


def test_texts_are_padded_behind_and_labels_are_names(read):
    data = read()
    assert data.shape == (16,) and data.about["names"] == ["cat", "dog"]
    assert data.targets.tolist() == [0, 1, 0]
    assert int(data.inputs.max()) < data.facts()["vocabulary"] <= 300
    row = data.inputs[0].tolist()
    end = row.index(0)
    assert end > 0 and not any(row[end:]) and data.about["notes"] == []


def test_what_is_cut_is_told(read):
    data = read(length=3, tokenizer="byte")
    assert data.about["notes"] == ["3 of 3 texts have more than data.length=3 tokens and are cut"]
    assert data.inputs[0].tolist() == [value + 1 for value in b"the"] and data.about["vocabulary"] == 257


def test_case_is_kept_unless_it_is_not_wanted(read):
    loud = TEXT.replace("the cat naps", "THE CAT NAPS")
    assert read(loud, tokenizer="byte").inputs[0, 0] == ord("T") + 1
    assert read(loud, tokenizer="byte", lowercase=True).inputs[0, 0] == ord("t") + 1


def test_only_what_is_for_training_teaches_the_tokenizer(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    for part, word in (("train", "common"), ("test", "zyxwvu")):
        rows = [{"text": f"{word} {word}", "label": name} for name in ("a", "b")] * 20
        (own / f"{part}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    place = {"path": str(own), "cache": str(tmp_path / "cache")}
    data = decoded({"source": "text", **place})
    made = tokenizers.Tokenizer.from_str(data.about["tokenizer"]["json"])
    assert len(made.encode("common").ids) == 1 and len(made.encode("zyxwvu").ids) > 3


def test_the_tokenizer_of_a_network_is_taken_as_it_is(read, tmp_path):
    names = own_data.tokenizer(tmp_path / "net")
    data = read(tokenizer=str(tmp_path / "net"), length=6)
    told = [[names[token] for token in row] for row in data.inputs.tolist()]
    assert told[:2] == [["[CLS]", "the", "cat", "naps", "[SEP]", "[PAD]"], [*told[1]]]
    assert told[2] == ["[CLS]", "the", "cat", ",", "again", "[SEP]"] and data.about["notes"] == []
    short = read(tokenizer=str(tmp_path / "net"), length=4)
    assert [names[token] for token in short.inputs[2].tolist()] == ["[CLS]", "the", "cat", "[SEP]"]
    assert short.about["notes"] == ["3 of 3 texts have more than data.length=4 tokens and are cut"]
    assert data.facts()["vocabulary"] == len(names) and data.facts()["padding"] == 0


def test_another_padding_changes_places_with_the_token_0(read, tmp_path):
    names = own_data.tokenizer(tmp_path / "net", pad="<pad>", first=["naps"])
    data = read(tokenizer=str(tmp_path / "net" / "tokenizer.json"), length=6)
    assert data.about["tokenizer"]["padding"] == names.index("<pad>") == 1
    assert data.inputs[0].tolist() == [3, 5, 6, 1, 4, 0], "naps is 0 there"
    made = tokenizers.Tokenizer.from_str(data.about["tokenizer"]["json"])
    assert made.encode("the cat naps").ids == [3, 5, 6, 0, 4]


def test_without_a_word_it_is_that_of_the_network_and_a_change_of_it_is_seen(read, tmp_path):
    names = own_data.tokenizer(tmp_path / "net")
    assert read(network=str(tmp_path / "net")).about["tokenizer"]["of"] == "net"
    assert read(network=str(tmp_path / "net"), tokenizer="byte").about["tokenizer"]["kind"] == "byte"
    assert read(network=str(tmp_path)).about["tokenizer"]["kind"] == "bpe"
    text = (tmp_path / "net" / "tokenizer.json").read_text()
    (tmp_path / "net" / "tokenizer.json").write_text(text.replace('"cat"', '"cow"'))
    assert read(network=str(tmp_path / "net")).inputs[0, 2] == names.index("[UNK]")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (TEXT + ",cat\n", {}, "1 rows have no text, the first in row 4"),
        (TEXT + '"  ",cat\n', {}, "1 rows have no text, the first in row 4"),
        (TEXT + "hello,\n", {}, "1 rows have no label"),
        ("words,label\nx,a\ny,b\n", {"text": "text"}, r"set data\.text to one of them"),
        ("a,b,label\nx,y,a\ny,x,b\n", {}, r"set data\.text to one of them"),
        (TEXT, {"target": "kind"}, r"set data\.target to one of them"),
        (TEXT, {"tokenizer": "word"}, "set it to bpe or byte"),
        (TEXT, {"tokenizer": "NET", "length": 2}, "above the 2 tokens around each text"),
        (TEXT, {"tokenizer": "BAD"}, "cannot be read"),
        (TEXT, {"tokenizer": "ENDLESS"}, "has no token for the end of a text"),
        (TEXT, {"tokens": 10}, r"data\.tokens 10 must lie between"),
        (TEXT, {"length": 0}, r"data\.length 0"),
        ("text,label\nx,a\ny,a\n", {}, "all examples are of one class"),
    ],
)
def test_what_cannot_be_taken_is_refused(read, tmp_path, text, options, said):
    own_data.tokenizer(tmp_path / "NET")
    own_data.tokenizer(tmp_path / "ENDLESS", pad="none")
    (tmp_path / "BAD").mkdir()
    (tmp_path / "BAD" / "tokenizer.json").write_text("{}")
    if (tmp_path / str(options.get("tokenizer"))).is_dir():
        options = {**options, "tokenizer": str(tmp_path / options["tokenizer"])}
    with pytest.raises(Refusal, match=said):
        read(text, **options)


def test_lists_are_no_texts(read):
    line = json.dumps({"text": ["hello", "0"], "label": "a"})
    with pytest.raises(Refusal, match="text holds lists and no texts: write each text as one string"):
        read("\n".join([line, line.replace('"a"', '"b"')]), "own.jsonl")

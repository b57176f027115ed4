"""The loader beside an export reads texts and rows of tables as the lab has read them."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import own_data
from models.exports.loader import _predict, _tokens, loader
from reading.sources import table
from reading.tokens import padded, tokenizer_of


@pytest.mark.parametrize("kind", ["bpe", "byte", "given"])
def test_texts_become_the_tokens_that_were_learnt_from(kind: str, tmp_path: Path) -> None:
    texts = ["The owl hoots at night", "naïve ☃ cats purr", "x" * 40, "naps the, cat " * 5]
    if kind == "given":
        own_data.tokenizer(tmp_path / "net", pad="<pad>", first=["naps"])
        kind = str(tmp_path / "net")
    made = tokenizer_of(kind, [text.lower() for text in texts], 300, 12)
    about = {"task": "classification", "shape": [12], "tokenizer": made.about(), "lowercase": True}
    (tmp_path / "tokenizer.json").write_text(made.about().get("json", ""))
    told: dict[str, Any] = {"HERE": tmp_path, "tokenizers": pytest.importorskip("tokenizers")}
    exec("\n".join(_tokens(about)), told)
    assert (
        told["tokens"](texts) == padded(made.all_of([text.lower() for text in texts]), 12, made.ends).tolist()
    )


TABLE = """size,colour,age,kind
1.5,red,3,a
,blue,4,b
2.0,?,5,a
3.25,,6,b
"""


def test_rows_of_a_table_become_the_columns_that_were_learnt_from(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    (tmp_path / "own.csv").write_text(TABLE)
    read = table.read(tmp_path / "own.csv", tmp_path, target="kind")
    about = {"task": "classification", "classes": 2, "shape": list(read.inputs.shape[1:])} | read.about
    source = loader("openvino", about, rounded=False)
    told: dict[str, Any] = {"np": np, "ABOUT": about, "compiled": lambda x: [x]}
    exec("\n".join(source.splitlines()[source.splitlines().index("def table(rows):") :]), told)
    rows = list(csv.DictReader(TABLE.splitlines()))
    frame = pandas.read_csv(tmp_path / "own.csv")
    for asked in (rows, frame, frame.to_dict("records"), read.inputs, read.inputs[:, :, 0]):
        assert np.array_equal(told["predict"](asked), read.inputs, equal_nan=True)
    assert np.array_equal(told["predict"](rows[0]), read.inputs[:1])
    for name, odd in (("colour", "green"), ("age", "")):
        with pytest.raises(ValueError, match=f"{name} is '{odd}', of which the training has seen nothing"):
            told["predict"]([rows[0] | {name: odd}])


@pytest.mark.parametrize("torch_alone", [True, False])
def test_one_text_is_one_text_and_not_its_letters(torch_alone: bool) -> None:
    about = {"task": "classification", "classes": 3, "shape": [6], "tokenizer": {"kind": "byte"}}
    form = "safetensors" if torch_alone else "openvino"
    told: dict[str, Any] = {"torch": torch, "np": np, "network": lambda x: x, "compiled": lambda x: [x]}
    exec("\n".join([*_tokens(about), *_predict(form, about, torch=torch_alone)]), told)
    assert told["predict"]("cat").tolist() == told["predict"](["cat"]).tolist() == [[100, 98, 117, 0, 0, 0]]


def test_the_bytes_of_a_corpus_are_its_tokens() -> None:
    told: dict[str, Any] = {}
    exec("\n".join(_tokens({"task": "language", "shape": [6]})), told)
    assert told["tokens"](["né", "long enough"]) == [[110, 195, 169, 0, 0, 0], list(b"long e")]

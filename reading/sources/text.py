"""Texts with a class each: CSV, parquet or JSON lines with a column of text and one of labels."""

from pathlib import Path
from typing import Any

import numpy as np

from reading.answers import answers
from reading.decoded import TRAIN, UNSPLIT, Decoded
from reading.frames import column, plain, tables
from reading.labels import ANSWERS, check_parts
from reading.tokens import padded, tokenizer_of
from refusal import Refusal

_TEXTS = ("text", "sentence", "review", "content", "body", "message", "description", "title")


def read(
    path: Path,
    folder: Path,
    *,
    target: str | None = None,
    text: str | None = None,
    length: int = 128,
    tokenizer: str = "bpe",
    tokens: int = 4096,
    lowercase: bool = False,
) -> Decoded:
    """Inputs (N, length) integer tokens, 0 behind a text's end; targets (N,).

    A tokenizer that learns does so from the training part, or from all texts where the parts are still to be
    held out. Texts that are cut are told. Raises `Refusal` for a row without text or label.
    """
    if not isinstance(length, int) or length < 1:
        raise Refusal(f"data.length {length} must be a number of tokens of 1 or more.")
    import pandas

    parts = tables(path)
    where, first = next(iter(parts.values()))
    names = [str(name) for name in first.columns]
    answer = column(where, names, target, ANSWERS, "target")
    told = column(where, [name for name in names if name != answer], text, _TEXTS, "text")
    whole = pandas.concat([own for _, own in parts.values()], ignore_index=True)
    numbers = np.repeat(np.array(list(parts), np.int8), [len(own) for _, own in parts.values()])
    texts = [one.lower() if lowercase else one for one in _texts(whole[told], told, where)]
    labels = plain(whole[answer], answer, where)
    learnt = [one for one, part in zip(texts, numbers, strict=True) if part in (TRAIN, UNSPLIT)]
    made = tokenizer_of(tokenizer, learnt, tokens)
    rows = [made.of(one) for one in texts]
    targets, about = answers(labels, "classification", f"{where}, column {answer}")
    notes: list[str] = []
    check_parts(about["names"], targets, numbers, notes)
    cut = sum(len(row) > length for row in rows)
    if cut:
        notes.append(f"{cut} of {len(rows)} texts have more than data.length={length} tokens and are cut")
    about |= {
        "notes": notes,
        "vocabulary": made.vocabulary,
        "tokenizer": made.about(),
        "lowercase": lowercase,
    }
    return Decoded(padded(rows, length), targets, numbers, about)


def _texts(values: Any, name: str, where: Path) -> list[str]:
    words = ["" if missing else str(one) for one, missing in zip(values, values.isna(), strict=True)]
    empty = [row for row, one in enumerate(words, start=1) if not one.strip()]
    if empty:
        raise Refusal(
            f"{where}: {len(empty)} rows have no {name}, the first in row {empty[0]}: take them out."
        )
    return words

"""Texts with a class each, or several: CSV, parquet or JSON lines with a column of text and one of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reading.answers import of_columns
from reading.decoded import TRAIN, UNSPLIT, Decoded
from reading.frames import column, joined, odd_in, tables
from reading.labels import check_parts
from reading.tokens import padded, tokenizer_of
from refusal import Refusal

TEXTS = ("text", "sentence", "review", "content", "body", "message", "description", "title")


def read(
    path: Path,
    folder: Path,
    *,
    target: Any = None,
    separator: str | None = None,
    task: str | None = None,
    text: str | None = None,
    length: int = 128,
    tokenizer: str | None = None,
    network: str | None = None,
    tokens: int = 4096,
    lowercase: bool = False,
) -> Decoded:
    """Inputs (N, length) integer tokens, 0 behind a text's end; targets as `reading.answers` makes them.

    The tokenizer is `bpe`, `byte` or the place of one, or None: that of the folder `network`, else bpe. One
    that learns does so from the training part, or from all texts where the parts are still to be held out.
    Texts that are cut are told. Raises `Refusal` for a row without text or label.
    """
    how: dict[str, Any] = {"length": length, "tokenizer": tokenizer, "tokens": tokens, "lowercase": lowercase}
    how["network"] = network
    notes: list[str] = []
    found = of_parts(
        tables(path, target, notes, TEXTS if text is None else [str(text)]),
        target,
        separator,
        task,
        text,
        **how,
    )
    return replace(found, about=found.about | {"notes": notes + found.about["notes"]})


def of_parts(
    parts: Mapping[int, tuple[Any, Any]],
    target: Any,
    separator: str | None,
    task: str | None,
    text: str | None,
    *,
    length: int,
    tokenizer: str | None,
    network: str | None,
    tokens: int,
    lowercase: bool,
    order: Sequence[str] = (),
) -> Decoded:
    """The same of part -> (what a sentence calls it, pandas frame); `order` is that of the classes."""
    if not isinstance(length, int) or length < 1:
        raise Refusal(f"data.length {length} must be a number of tokens of 1 or more.")
    where, whole, numbers = joined(parts)
    notes: list[str] = []
    # Numbers of stars are classes; values are regressed where a person says so.
    targets, about, answers = of_columns(whole, target, separator, task, where, notes, order)
    rest = [str(name) for name in whole.columns if name not in answers]
    told = column(where, rest, text, TEXTS, "text")
    unread = [name for name in rest if name != told]
    notes += [f"columns that are not read: {', '.join(unread)}"] if unread else []
    texts = [one.lower() if lowercase else one for one in _texts(whole[told], told, where)]
    learnt = [one for one, part in zip(texts, numbers, strict=True) if part in (TRAIN, UNSPLIT)]
    made = tokenizer_of(tokenizer, learnt, tokens, length, network)
    rows = made.all_of(texts)
    check_parts(about, targets, numbers, notes)
    cut = sum(len(row) > length for row in rows)
    if cut:
        notes.append(f"{cut} of {len(rows)} texts have more than data.length={length} tokens and are cut")
    about |= {
        "notes": notes,
        "vocabulary": made.vocabulary,
        "tokenizer": made.about(),
        "lowercase": lowercase,
    }
    return Decoded(padded(rows, length, made.ends), targets, numbers, about)


def _texts(values: Any, name: str, where: Any) -> list[str]:
    odd = odd_in(values)
    if odd is not None:
        raise Refusal(f"{where}: {name} holds {odd} and no texts: write each text as one string.")
    words = ["" if missing else str(one) for one, missing in zip(values, values.isna(), strict=True)]
    empty = [row for row, one in enumerate(words, start=1) if not one.strip()]
    if empty:
        raise Refusal(
            f"{where}: {len(empty)} rows have no {name}, the first in row {empty[0]}: take them out."
        )
    return words

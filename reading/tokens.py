"""Texts as tokens: bytes, or pairs of bytes that were merged because they are frequent."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from refusal import Refusal

PADDING = 0
"""token of a place behind the end of a text"""
_BYTES = 256


@final
class Bytes:
    """A byte is a token: its value and one, since 0 is the padding."""

    vocabulary = _BYTES + 1

    def all_of(self, texts: Sequence[str]) -> list[list[int]]:
        """All tokens of each text."""
        return [[value + 1 for value in text.encode()] for text in texts]

    def about(self) -> dict[str, Any]:
        """What makes the same tokens elsewhere."""
        return {"kind": "byte"}


@final
class Pairs:
    """Byte pair encoding (Sennrich et al. 2016, arXiv 1508.07909) on bytes, so that every text has tokens."""

    def __init__(self, texts: Sequence[str], vocabulary: int) -> None:
        tokenizers = _library()
        self._made = tokenizers.Tokenizer(tokenizers.models.BPE())
        self._made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
        self._made.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=["<pad>"],
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        with _in_one_thread():
            self._made.train_from_iterator(texts, trainer)
        self.vocabulary = int(self._made.get_vocab_size())

    def all_of(self, texts: Sequence[str]) -> list[list[int]]:
        """All tokens of each text."""
        with _in_one_thread():
            return [made.ids for made in self._made.encode_batch_fast(list(texts))]

    def about(self) -> dict[str, Any]:
        """What makes the same tokens elsewhere: the file that `tokenizers.Tokenizer.from_str` reads."""
        return {"kind": "bpe", "json": self._made.to_str()}


def tokenizer_of(kind: str, texts: Sequence[str], vocabulary: int) -> Bytes | Pairs:
    """The tokenizer of a kind, learnt from `texts` where it learns. Raises `Refusal` for another kind."""
    if kind not in ("byte", "bpe"):
        raise Refusal(f"data.tokenizer {kind} is unknown: set it to bpe or byte.")
    least = _BYTES + 2
    if kind == "bpe" and not least <= vocabulary <= 2**16:
        raise Refusal(f"data.tokens {vocabulary} must lie between {least} and {2**16}.")
    return Bytes() if kind == "byte" else Pairs(texts, vocabulary)


def padded(tokens: Sequence[Sequence[int]], length: int) -> NDArray[Any]:
    """(N, length), what is longer cut at its end, what is shorter filled with `PADDING`."""
    highest = max((max(one, default=0) for one in tokens), default=0)
    rows = np.full((len(tokens), length), PADDING, np.int16 if highest < 2**15 else np.int32)
    for row, own in zip(rows, tokens, strict=True):
        kept = own[:length]
        row[: len(kept)] = kept
    return rows


@contextmanager
def _in_one_thread() -> Iterator[None]:
    """Threads of the library would not live on in the processes that this one forks."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


def _library() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as missing:
        raise Refusal("data.tokenizer=bpe needs tokenizers: pip install -e '.[data]'.") from missing
    return tokenizers

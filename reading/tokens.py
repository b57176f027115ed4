"""Texts as tokens: bytes, frequent pairs of bytes, or what the tokenizer of a network makes of them."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from refusal import Refusal

PADDING = 0
"""token of a place behind the end of a text"""
_BYTES = 256
_FILE, _SAYS = "tokenizer.json", "tokenizer_config.json"
"""what the library `tokenizers` reads, and what lies beside it"""
_PADS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>")
"""tokens that are usual behind a text, where nothing says which one is"""


@final
class Bytes:
    """A byte is a token: its value and one, since 0 is the padding."""

    vocabulary, ends = _BYTES + 1, 0

    def all_of(self, texts: Sequence[str]) -> list[list[int]]:
        """All tokens of each text."""
        return [[value + 1 for value in text.encode()] for text in texts]

    def about(self) -> dict[str, Any]:
        """What makes the same tokens elsewhere."""
        return {"kind": "byte"}


@final
class Pairs:
    """Byte pair encoding (Sennrich et al. 2016, arXiv 1508.07909) on bytes, so that every text has tokens."""

    ends = 0

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


@final
class Brought:
    """The tokenizer that a network learnt with, as the library `tokenizers` has written it down.

    Its tokens stay what they are but for two: its padding and the token 0 change places, since 0 is the
    padding of all texts here. What it puts around a text, as [CLS] and [SEP], stays around one that is cut.
    Raises `Refusal` for a file that is none, one without a token for padding, and a `length` that it fills.
    """

    def __init__(self, file: Path, length: int) -> None:
        tokenizers = _library()
        try:
            self._made = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises no other
            raise Refusal(f"data.tokenizer: {file} cannot be read ({error}).") from error
        self.padding = _padding(file, self._made)
        self.vocabulary = int(self._made.get_vocab_size())
        self._name, self._length = file.parent.name, length
        around = self._made.encode("").ids
        if length <= len(around):
            raise Refusal(f"data.length {length} must be above the {len(around)} tokens around each text.")
        self._made.no_padding()
        self._made.no_truncation()
        marks = self._made.encode("a").special_tokens_mask
        self.ends = next((place for place, mark in enumerate(reversed(marks)) if not mark), 0)
        """tokens behind each text"""

    def all_of(self, texts: Sequence[str]) -> list[list[int]]:
        """All tokens of each text."""
        with _in_one_thread():
            rows = [made.ids for made in self._made.encode_batch_fast(list(texts))]
        places = {self.padding: PADDING, PADDING: self.padding}
        return [[places.get(token, token) for token in row] for row in rows] if self.padding else rows

    def about(self) -> dict[str, Any]:
        """What makes the same tokens elsewhere, once its `padding` and 0 have changed places."""
        self._made.enable_truncation(self._length)
        text = self._made.to_str()
        self._made.no_truncation()
        return {"kind": "given", "of": self._name, "padding": self.padding, "json": text}


def _padding(file: Path, made: Any) -> int:
    """The token behind a text: what the files say, else one of a usual name."""
    told: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):
        told = json.loads((file.parent / _SAYS).read_text())
    if made.padding:
        return int(made.padding["pad_id"])
    named = [told.get("pad_token"), *_PADS, told.get("eos_token")]
    words = [one.get("content") if isinstance(one, Mapping) else one for one in named]
    found = [made.token_to_id(word) for word in words if isinstance(word, str)]
    token = next((one for one in found if one is not None), None)
    if token is None:
        raise Refusal(
            f"data.tokenizer: {file} has no token for the end of a text: name one as pad_token in {_SAYS} "
            "beside it, or set data.tokenizer=bpe."
        )
    return int(token)


def file_of(tokenizer: str | None, network: str | None) -> Path | None:
    """The file of a tokenizer that is given, as such or with the folder of a network; None for one of ours.

    Raises `Refusal` where there is none.
    """
    if tokenizer is None:
        own = Path(str(network)).expanduser() / _FILE
        return own if network is not None and own.is_file() else None
    path = Path(os.path.expanduser(str(tokenizer)))  # noqa: PTH111 - Path's own raises for nobody's home
    file = path / _FILE if path.is_dir() else path
    if tokenizer in ("byte", "bpe"):
        return None
    if not file.is_file():
        raise Refusal(
            f"data.tokenizer {tokenizer} is unknown: set it to bpe or byte, or to a folder with a {_FILE}."
        )
    return file


def files_of(options: Mapping[str, Any]) -> list[Path]:
    """The files beside the data that decide about the tokens of a source with these options."""
    file = file_of(options.get("tokenizer"), options.get("network"))
    return [] if file is None else [one for one in (file, file.parent / _SAYS) if one.is_file()]


def tokenizer_of(
    kind: str | None, texts: Sequence[str], vocabulary: int, length: int, network: str | None = None
) -> Bytes | Pairs | Brought:
    """The tokenizer of a kind, learnt from `texts` where it learns, or that of a file.

    Without a kind that of the `network` where its folder has one. Raises `Refusal` for another kind.
    """
    file = file_of(kind, network)
    if file is not None:
        return Brought(file, length)
    least = _BYTES + 2
    if kind != "byte" and not least <= vocabulary <= 2**16:
        raise Refusal(f"data.tokens {vocabulary} must lie between {least} and {2**16}.")
    return Bytes() if kind == "byte" else Pairs(texts, vocabulary)


def padded(tokens: Sequence[Sequence[int]], length: int, ends: int = 0) -> NDArray[Any]:
    """(N, length), what is longer cut before its last `ends`, what is shorter filled with `PADDING`."""
    highest = max((max(one, default=0) for one in tokens), default=0)
    rows = np.full((len(tokens), length), PADDING, np.int16 if highest < 2**15 else np.int32)
    for row, own in zip(rows, tokens, strict=True):
        kept = own if len(own) <= length else [*own[: length - ends], *own[len(own) - ends :]]
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

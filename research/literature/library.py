"""Where a team looks literature up: sources, which are untrusted text, their ranking, and the library."""

import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast, final

from pydantic import Field

from construct import called
from research.llm.prompt import one_line
from research.types import Record

TITLE, ABSTRACT = 300, 3000
"""characters that are kept"""
_IN_ID = re.compile(r"[^\w.:/+-]+", re.ASCII)
_YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")


@final
class Source(Record):
    """Title, abstract and what else is known; each text is one printable line of bounded length."""

    id: str = Field(pattern=r"^(arxiv|bib|file):[\w.:/+-]+$", max_length=80)
    title: str = Field(min_length=1, max_length=TITLE)
    abstract: str = Field(max_length=ABSTRACT)
    year: int | None = None
    authors: tuple[str, ...] = Field(default=(), max_length=20)
    url: str | None = None


def source(
    kind: str, name: str, title: str, abstract: str, *, year: str = "", authors: Iterable[str] = ()
) -> Source | None:
    """A source of hostile text; None when nothing printable is left of its name or its title."""
    plain, label = one_line(title, TITLE), _IN_ID.sub("_", name).strip("_")
    if not plain or not label:
        return None
    found = _YEAR.search(year)
    return Source(
        id=f"{kind}:{label}"[:80],
        title=plain,
        abstract=one_line(abstract, ABSTRACT),
        year=int(found[1]) if found else None,
        authors=tuple(name for author in list(authors)[:20] if (name := one_line(author, 80))),
    )


class Library(ABC):
    """Finds sources; what it shows is untrusted text."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        """what could not be read or asked, one sentence each, for the report"""

    @abstractmethod
    def find(self, query: str, count: int) -> tuple[Source, ...]:
        """At most `count` sources about `query`, the best first; none when nothing fits or nobody answers."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Counts and notes of what was looked up, as plain data for the row of a sprint."""


def opened(config: Mapping[str, Any] | None) -> Library | None:
    """The library that the group `literature` describes; None for `literature=none`.

    Raises `Refusal` for a folder or a package that is not there, and for a setting that cannot be.
    """
    if not config or config.get("_target_") is None:
        return None
    settings = {name: value for name, value in config.items() if name != "_target_"}
    return cast(Library, called(config["_target_"])(**settings))


_WORD = re.compile(r"[^\W_]{2,}")
_STOP = frozenset(
    _WORD.findall(
        "about above after all also an and any are as at be been between both but by can could did do "
        "does for from had has have how if in into is it its less more most no nor not of on only or our "
        "over own per so some such than that the their them then there these they this those through to "
        "too under until up very was we were what when where which while who why will with without would "
        "you your"
    )
)
_K1, _B = 1.2, 0.75


def terms(text: str) -> list[str]:
    """The words that carry meaning, in their order, lower case."""
    return [word for word in _WORD.findall(text.casefold()) if word not in _STOP]


def _stem(word: str) -> str:
    """Singular and plural are one word: the only ending that pays without a language's rules."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


@final
class Ranking:
    """BM25 over `texts` (Robertson and Zaragoza 2009, eq. 3.15), with Lucene's weight, never negative."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(map(_stem, terms(text))) for text in texts]
        lengths = [count.total() for count in counts]
        mean = sum(lengths) / max(1, len(texts)) or 1.0
        self._norms = [_K1 * (1 - _B + _B * length / mean) for length in lengths]
        self._holding: dict[str, list[tuple[int, int]]] = {}
        for at, count in enumerate(counts):
            for word, found in count.items():
                self._holding.setdefault(word, []).append((at, found))

    def best(self, query: str, count: int) -> list[int]:
        """Indices of at most `count` texts that share a word with `query`, the best first."""
        scores = self.scores(query)
        return sorted(scores, key=lambda at: (-scores[at], at))[:count]

    def scores(self, query: str) -> dict[int, float]:
        """The score of each text that shares a word with `query`."""
        scores: dict[int, float] = {}
        # In the order of the query, as sums of floats depend on it.
        for word in dict.fromkeys(map(_stem, terms(query))):
            holding = self._holding.get(word, [])
            weight = math.log(1 + (len(self._norms) - len(holding) + 0.5) / (len(holding) + 0.5))
            for at, times in holding:
                scores[at] = scores.get(at, 0.0) + weight * times * (_K1 + 1) / (times + self._norms[at])
        return scores

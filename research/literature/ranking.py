"""Which texts of a small collection a query is about: Okapi BM25 in plain Python."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import final

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
    """BM25 over `texts` (Robertson and Zaragoza 2009, eq. 3.15), with Lucene's weight, never negative.

    Making one costs 1 ms per 10 abstracts; a query looks at every text.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._counts = [Counter(map(_stem, terms(text))) for text in texts]
        self._lengths = [count.total() for count in self._counts]
        self._mean = sum(self._lengths) / max(1, len(texts)) or 1.0
        self._holding = Counter(word for count in self._counts for word in count)

    def best(self, query: str, count: int) -> list[int]:
        """Indices of at most `count` texts that share a word with `query`, the best first."""
        words = set(map(_stem, terms(query)))
        scores = [(self._score(at, words), -at) for at in range(len(self._counts))]
        return [-at for score, at in sorted(scores, reverse=True)[:count] if score > 0]

    def _score(self, at: int, words: set[str]) -> float:
        length = _K1 * (1 - _B + _B * self._lengths[at] / self._mean)
        counted = ((self._counts[at][word], self._holding[word]) for word in words)
        return sum(self._weight(holding) * found * (_K1 + 1) / (found + length) for found, holding in counted)

    def _weight(self, holding: int) -> float:
        return math.log(1 + (len(self._counts) - holding + 0.5) / (holding + 0.5))

"""BM25: against the formula by hand, and what a ranking must hold for any texts."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.literature.library import Ranking, terms

TEXTS = ["lion optimizer memory", "lion lion adam", "quantization of weights to integers"]


def test_a_score_is_that_of_the_formula() -> None:
    ranking = Ranking(TEXTS)
    idf, mean = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5)), 3.0  # "of" and "to" carry no meaning
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / mean)
    one, two = idf * 1 * 2.2 / (1 + norm), idf * 2 * 2.2 / (2 + norm)
    assert ranking.scores("the lion") == {0: pytest.approx(one), 1: pytest.approx(two)}
    assert ranking.best("lions", 5) == [1, 0] and ranking.best("Integer", 5) == [2]


def test_a_rare_word_weighs_more_than_a_frequent_one() -> None:
    assert Ranking(["lion a b", "lion c d", "lion e f", "rare g h"]).best("lion rare", 1) == [3]


def test_equals_keep_their_order() -> None:
    assert Ranking(["lion", "lion", "lion"]).best("lion", 2) == [0, 1]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=40), max_size=8), st.text(max_size=40), st.integers(0, 5))
def test_whatever_is_found_shares_a_word(texts: list[str], query: str, count: int) -> None:
    ranking = Ranking(texts)
    found = ranking.best(query, count)
    assert len(found) <= count and len(set(found)) == len(found)
    asked = {word.rstrip("s") for word in terms(query)}
    assert all(asked & {word.rstrip("s") for word in terms(texts[at])} for at in found)

"""The rating follows the facts: it stays in its bounds, never falls with a fact, and no words raise it."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from research.stats.rubric import Efficiency, RubricFacts, gathered, rating, tempered
from research.stats.verdicts import judge

FEW = settings(max_examples=25)
ORDER = {
    "ran": [False, True],
    "pairs": [0, 1, 3, 5],
    "word": [None, "open", "refuted", "supported"],
    "fresh": [False, True],
    "reproduced": [False, True],
    "new": [False, True],
    "saves_energy": [False, True],
    "efficiency": [None, math.nan, 0.5, 2.0, 2.01, math.inf],
}
"""every field's values, each at least as good as the one before"""
FACTS = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in ORDER.items()})
BEST = {name: values[-1] for name, values in ORDER.items()} | {"efficiency": 3.0}


def score(**given: Any) -> int:
    return rating(RubricFacts(**given)).score


@FEW
@given(FACTS, st.sampled_from(list(ORDER)), st.integers(0, 5))
def test_a_fact_that_comes_true_never_lowers_the_score(known: dict, field: str, to: int) -> None:
    values = ORDER[field]
    better = values[max(values.index(known[field]), min(to, len(values) - 1))]
    assert score(**{**known, field: better}) >= score(**known)


@FEW
@given(FACTS)
def test_the_score_has_its_bounds_and_its_gates(known: dict) -> None:
    found = rating(RubricFacts(**known))
    assert 1 <= found.score <= 10 and found.score <= 1 + sum(one.points for one in found.points.values())
    confirmed = known["word"] == "supported" and known["fresh"] and known["ran"] and known["pairs"] >= 3
    if found.score >= 7:
        assert confirmed and found.publishable
    if found.score >= 9:
        assert known["efficiency"] > 2
    assert found.publishable == (found.words in ("publishable", "outstanding"))
    assert all(one.why and one.points == one.holds for one in found.points.values())


@FEW
@given(FACTS, st.none() | st.integers(-100, 100))
def test_an_opinion_never_raises_a_rating(known: dict, opinion: int | None) -> None:
    found = rating(RubricFacts(**known))
    after = tempered(found, opinion)
    assert 1 <= after.score <= found.score and after.points == found.points
    assert opinion is not None or after == found
    if opinion is not None and 1 <= opinion <= found.score:
        assert after.score == opinion


def test_the_words_of_a_model_are_no_fact() -> None:
    with pytest.raises(ValidationError, match="permitted"):
        RubricFacts.model_validate({"ran": True, "opinion": 10})


@pytest.mark.parametrize(
    ("known", "expected", "words"),
    [
        ({}, 1, "no finding"),
        ({"ran": True}, 2, "no finding"),
        ({"ran": True, "pairs": 5, "word": "open"}, 3, "a hint"),
        ({"ran": True, "pairs": 5, "word": "refuted", "fresh": True, "new": True}, 6, "worth keeping"),
        ({"ran": True, "pairs": 5, "word": "supported", "fresh": True}, 6, "worth keeping"),
        ({"ran": True, "pairs": 5, "word": "supported", "fresh": True, "new": True}, 7, "publishable"),
        ({"ran": True, "pairs": 2, "word": "supported", "fresh": True, "new": True}, 2, "no finding"),
        ({**BEST, "fresh": False}, 6, "worth keeping"),
        ({**BEST, "efficiency": 2.0}, 8, "publishable"),
        ({**BEST, "efficiency": None}, 8, "publishable"),
        ({**BEST, "reproduced": False}, 9, "outstanding"),
        (BEST, 10, "outstanding"),
        ({**BEST, "beyond": True}, 10, "outstanding"),
        ({**BEST, "beyond": False}, 7, "publishable"),
        ({"ran": True, "pairs": 5, "word": "supported", "fresh": True, "new": True, "beyond": False}, 6,
         "worth keeping"),
    ],
)  # fmt: skip
def test_the_table_of_the_rubric(known: dict, expected: int, words: str) -> None:
    found = rating(RubricFacts(**known))
    assert (found.score, found.words) == (expected, words)


def test_facts_are_read_from_verdicts() -> None:
    control = {seed: 10.0 + seed for seed in range(5)}
    cheaper = {seed: value * (0.5 + 0.01 * seed) for seed, value in control.items()}
    asked = {"metric": "train/energy_j", "direction": "min", "scale": "relative"}
    verdict = judge(control, cheaper, **asked)
    known = {"ran": True, "fresh": True, "new": True}
    found = gathered(verdict, energy=verdict, efficiency=Efficiency(2.4, None), **known)
    assert found == RubricFacts(**known, pairs=5, word="supported", saves_energy=True, efficiency=2.4)
    assert rating(found).score == 9
    dearer = judge(cheaper, control, **(asked | {"direction": "max"}))
    assert dearer.word == "supported" and not gathered(verdict, energy=dearer, **known).saves_energy
    other = judge(control, cheaper, metric="train/seconds", direction="min", scale="relative")
    assert not gathered(verdict, energy=other, **known).saves_energy
    assert not gathered(verdict, **known).saves_energy
    assert gathered(verdict, efficiency=Efficiency(None, "no floor"), **known).efficiency is None
    assert rating(found).points["fresh"].why == "judged on fresh seeds"
    empty = rating(RubricFacts(new=True))
    assert "does not carry it" in empty.points["new"].why and empty.points["ran"].why.startswith("a trial")


def test_a_gain_that_training_shorter_explains_is_not_new() -> None:
    point = rating(RubricFacts(**{**BEST, "beyond": False})).points["new"]
    assert not point.holds and point.why == "not shown beyond what training shorter brings"
    assert rating(RubricFacts(**{**BEST, "beyond": True})).points["new"].holds

"""The rating follows the facts: it stays in its bounds, never falls with a fact, and no words raise it."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cases import each
from research.stats.comparable import comparable, energy_method
from research.stats.rubric import Efficiency, RubricFacts, efficiency, gathered, rating
from research.stats.verdicts import judge
from research.types import Key, Result, Trial

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
        assert confirmed
    if found.score >= 9:
        assert known["efficiency"] > 2
    assert (found.score >= 7) == (found.words in ("publishable", "outstanding"))
    assert all(one.why and one.points == one.holds for one in found.points.values())


def test_the_words_of_a_model_are_no_fact() -> None:
    with pytest.raises(ValidationError, match="permitted"):
        RubricFacts.model_validate({"ran": True, "opinion": 10})


@each(
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


GOOD = {"test/accuracy": 0.9, "train/energy_j": 100.0}


def trial(number: int, hardware: str = "cpu:x x2") -> Trial:
    empty: dict[str, Any] = dict.fromkeys(("reason", "name", "sweep", "folder", "finished"))
    fixed = {"replicate": 0, "seed": 0, "overrides": (), "config": {}, "status": "done", "source": "person"}
    return Trial(id=number, key=Key("s", "c", "d", hardware), started=0.0, **fixed, **empty)


def result(number: int, metrics: dict[str, float], method: str | None = "estimated") -> Result:
    return Result(trial_id=number, metrics=metrics, facts={"energy_method": method})


def test_efficiency_is_relative_accuracy_by_relative_energy() -> None:
    results = {1: result(1, GOOD), 2: result(2, {"test/accuracy": 0.81, "train/energy_j": 30.0})}
    found = efficiency(trial(2), trial(1), results, floor=0.8)
    assert found.value == pytest.approx(0.9 * 100 / 30) and found.reason is None
    assert efficiency(trial(1), trial(1), results, floor=0.8).value == 1.0


@pytest.mark.parametrize(
    ("metrics", "method", "hardware", "words"),
    [
        ({"test/accuracy": 0.7, "train/energy_j": 1.0}, "estimated", "cpu:x x2", "below the floor"),
        ({"test/accuracy": 0.9}, "estimated", "cpu:x x2", "no train/energy_j"),
        ({"test/accuracy": 0.9, "train/energy_j": 0.0}, "estimated", "cpu:x x2", "above zero"),
        ({"test/accuracy": math.nan, "train/energy_j": 1.0}, "estimated", "cpu:x x2", "no test/accuracy"),
        ({"test/accuracy": 0.9, "train/energy_j": 1.0}, "nvml", "cpu:x x2", "different methods"),
        ({"test/accuracy": 0.9, "train/energy_j": 1.0}, None, "cpu:x x2", "no energy method"),
        ({"test/accuracy": 0.9, "train/energy_j": 1.0}, "estimated", "gpu:y", "different hardware"),
    ],
)
def test_efficiency_that_would_mislead_is_not_shown(metrics, method, hardware, words) -> None:
    results = {1: result(1, GOOD), 2: result(2, metrics, method)}
    found = efficiency(trial(2, hardware), trial(1), results, floor=0.8)
    assert found.value is None and found.reason is not None and words in found.reason


def test_scores_and_sizes_may_always_be_compared_costs_not() -> None:
    trials = [trial(1), trial(2, "gpu:y")]
    results = {1: result(1, GOOD, "estimated"), 2: result(2, GOOD, "nvml")}
    for metric in ("test/accuracy", "size/bytes", "compute/flops_forward"):
        assert comparable(metric, trials, results) is None
    for metric in ("train/seconds", "infer/latency_s_p50", "infer/samples_per_second", "train/energy_j"):
        assert "different hardware" in (comparable(metric, trials, results) or "")
    same = [trial(1), trial(2)]
    assert comparable("train/seconds", same, results) is None
    for metric in ("train/energy_j", "train/co2_kg", "infer/energy_j_per_sample"):
        assert "different methods (estimated, nvml)" in (comparable(metric, same, results) or "")
    assert energy_method(results[2]) == "nvml"

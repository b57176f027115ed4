"""Five scores to one, what becomes of a proposal by it, and stand-ins that starve nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refusal import Refusal
from research.propose.proposer import Seen
from research.team.review import (
    WEIGHTS,
    Facts,
    Opinion,
    Thresholds,
    by_facts,
    distance,
    neighbourhood,
    panel,
    scored,
    shortened,
    total,
)
from research.types import Objective, Proposal

SCORES = st.floats(1, 10)
ENERGY = Objective(metric="train/energy_j", direction="min")


def proposal(*overrides: str, **more: str) -> Proposal:
    return Proposal(hypothesis="h", overrides=overrides, refuted_by="an interval", **more)


def test_the_weights_are_those_of_the_rubric() -> None:
    told = {"novelty": 0.25, "feasibility": 0.20, "impact": 0.20, "clarity": 0.15, "efficiency": 0.20}
    assert told == WEIGHTS and sum(WEIGHTS.values()) == pytest.approx(1)


@given(st.fixed_dictionaries(dict.fromkeys(WEIGHTS, SCORES)))
def test_a_total_lies_between_its_scores_and_is_their_weighted_mean(scores: dict[str, float]) -> None:
    found = total(scores)
    assert min(scores.values()) - 1e-3 <= found <= max(scores.values()) + 1e-3
    assert found == pytest.approx(sum(WEIGHTS[facet] * scores[facet] for facet in WEIGHTS), abs=1e-3)


@given(st.fixed_dictionaries(dict.fromkeys(WEIGHTS, SCORES)), st.sampled_from(sorted(WEIGHTS)))
def test_a_missing_opinion_is_no_middle_score(scores: dict[str, float], missing: str) -> None:
    rest = {facet: value for facet, value in scores.items() if facet != missing}
    assert total({**scores, missing: None}) == total(rest)
    assert total(dict.fromkeys(WEIGHTS)) is None and not Thresholds().accepted(None)


def test_a_score_of_something_else_is_refused() -> None:
    with pytest.raises(Refusal, match="beauty"):
        total({"beauty": 9.0})


@pytest.mark.parametrize(
    ("score", "accepted", "improvements"),
    [(10.0, True, 2), (7.0, True, 2), (6.99, False, 2), (5.0, False, 2), (4.99, False, 1), (1.0, False, 1)],
)
def test_thresholds(score: float, accepted: bool, improvements: int) -> None:
    assert Thresholds().accepted(score) is accepted
    assert Thresholds().improvements(score) == improvements


def test_a_panel_is_the_mean_of_those_who_have_an_opinion() -> None:
    opinions = [
        Opinion(role="a", scores=dict.fromkeys(WEIGHTS, score), reasons=(), by="model")
        for score in (4.0, 8.0, None)
    ]
    assert panel(opinions) == 6.0 and panel(opinions[2:]) is None


@given(
    st.floats(0, 1) | st.none(),
    st.floats(0, 0.1) | st.none(),
    st.floats(0, 1) | st.none(),
    st.floats(0.01, 1.0),
    st.integers(1, 32),
)
def test_what_is_new_cheap_and_unlikely_to_fail_passes(
    far: float | None, failure: float | None, place: float | None, ratio: float, count: int
) -> None:
    if place is not None and failure is None:
        failure = 0.0  # who has neighbours with results knows how many failed
    facts = Facts(distance=far, failure=failure, place=place, cost_ratio=ratio)
    found = by_facts(proposal(*(f"k{n}=1" for n in range(count))), facts)
    assert found.by == "stand-in" and Thresholds().accepted(found.score), found
    missing = {facet for facet, score in found.scores.items() if score is None}
    assert all(f"{facet}: no fact speaks of it" in found.reasons for facet in missing)


@pytest.mark.parametrize(
    "facts",
    [
        Facts(distance=0.05, failure=1.0, cost_ratio=4.0),
        Facts(distance=0.1, failure=0.34, place=0.0, cost_ratio=16.0),
    ],
)
def test_what_fails_or_costs_too_much_does_not_pass(facts: Facts) -> None:
    assert not Thresholds().accepted(by_facts(proposal("a=1"), facts).score)


@given(
    st.fixed_dictionaries(dict.fromkeys(("feasibility", "impact", "clarity"), SCORES)),
    st.floats(0, 1) | st.none(),
    st.floats(0, 1) | st.none(),
    st.floats(0.01, 64),
)
def test_a_model_and_a_stand_in_score_alike_what_facts_tell(
    told: dict[str, float], far: float | None, failure: float | None, ratio: float
) -> None:
    facts = Facts(distance=far, failure=failure, cost_ratio=ratio)
    stood, found = by_facts(proposal("a=1"), facts).scores, scored(told, proposal("a=1"), facts)
    assert found.keys() == WEIGHTS.keys()
    assert all(found[one] == stood[one] for one in ("novelty", "efficiency"))
    assert found["feasibility"] == (told["feasibility"] if failure is None else stood["feasibility"])
    assert (found["impact"], found["clarity"]) == (told["impact"], told["clarity"])


@pytest.mark.parametrize(("score", "accepted"), [(6.0, True), (5.0, True), (3.0, False), (1.0, False)])
def test_what_is_new_and_cheap_passes_a_middling_reviewer_and_no_harsh_one(
    score: float, accepted: bool
) -> None:
    told = dict.fromkeys(("feasibility", "impact", "clarity"), score)
    found = total(scored(told, proposal("a=1"), Facts(distance=1.0, cost_ratio=1.0)))
    assert Thresholds().accepted(found) is accepted


def test_the_stand_in_drops_the_override_that_mends_the_worst_facet() -> None:
    dear = proposal("budget.steps=2000", "optimizer.lr=0.01", "model.width=8")

    def known(one: Proposal) -> Facts:
        steps = "budget.steps=2000" in one.overrides
        return Facts(distance=0.3, failure=0.0, place=0.1, cost_ratio=16.0 if steps else 1.0)

    before = by_facts(dear, known(dear))
    assert before.worst == "impact" or before.worst == "efficiency"
    found = shortened(dear, before.model_copy(update={"scores": {**before.scores, "impact": 3}}), known)
    assert found and found.proposal.overrides == ("optimizer.lr=0.01", "model.width=8")
    assert "budget.steps=2000" in found.changed and found.by == "stand-in"
    assert shortened(dear, before, lambda one: None) is None
    assert shortened(proposal("a=1"), before, known) is None


@given(
    st.lists(st.sampled_from(["a=1", "a=2", "b=x", "b=y", "c=0.1", "c=1.0"]), unique_by=lambda t: t[0]),
    st.lists(st.sampled_from(["a=1", "a=2", "b=x", "b=y", "c=0.1", "c=1.0"]), unique_by=lambda t: t[0]),
)
def test_distance_is_symmetric_and_zero_for_the_same(one: list[str], other: list[str]) -> None:
    assert distance(one, other) == distance(other, one) and 0 <= distance(one, other) <= 1
    assert (distance(one, other) == 0) == (sorted(one) == sorted(other))


def test_neighbours_tell_failures_and_place() -> None:
    def seen(override: str, joules: float | None) -> Seen:
        metrics = {} if joules is None else {"train/energy_j": joules}
        status = "failed" if joules is None else "done"
        return Seen(overrides=(override,), proposer="random", status=status, metrics=metrics)

    tried = [seen(f"lr={10**-n}", float(n)) for n in range(1, 6)] + [seen("lr=0.9", None)]
    near = neighbourhood(proposal("lr=0.08"), tried, ENERGY)
    assert near["distance"] == pytest.approx(0.0969, abs=1e-3) and near["place"] == 1.0
    assert near["failure"] == 0.0 and near["known"] == ("lr=0.1: train/energy_j=1",)
    assert neighbourhood(proposal("width=3"), tried, ENERGY)["place"] is None
    assert neighbourhood(proposal("width=3"), [], ENERGY)["distance"] is None

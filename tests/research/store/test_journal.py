"""What the team wrote down comes back as it was, records as records."""

import math

import pytest
import sqlalchemy as sa

from research.stats.verdicts import judge
from research.store import schema
from research.store.store import Store
from research.types import Insight, Proposal


def test_a_sprint_and_what_hangs_on_it(store: Store) -> None:
    sprint = store.add_sprint("fewer joules", objective={"metric": "train/energy_j"}, folder="runs/x")
    proposal = Proposal(hypothesis="Lion is faster\0", overrides=("optimizer=lion",), smallest_effect=0.01)
    experiment = store.add_proposal(proposal, sprint_id=sprint, facts={"cost_s": math.nan})
    store.add_proposal(proposal)
    store.add_review(experiment, role="reviewer", score=7.5, content={"risks": ["none"]})
    store.set_proposal(experiment, "accepted")
    store.set_sprint(sprint, "done", {"trials": 3})
    (row,) = store.proposals(sprint_id=sprint)
    assert row["proposal"] == proposal and row["status"] == "accepted" and math.isnan(row["facts"]["cost_s"])
    assert [found["id"] for found in store.proposals(status="proposed")] == [experiment + 1]
    (review,) = store.reviews(proposal_id=experiment)
    assert review["score"] == 7.5 and review["content"] == {"risks": ["none"]}
    (found,) = store.sprints(status="done")
    assert found["goal"] == "fewer joules" and found["facts"] == {"trials": 3}
    assert store.sprints(status="running") == [] and 0 < found["created"] < 1e11


def test_an_insight_keeps_intervals_without_end(store: Store) -> None:
    verdict = judge({0: 1.0}, {0: 2.0}, metric="a", trial_ids=[4, 5])
    assert verdict.comparison is not None and verdict.comparison.difference == 1.0
    assert (verdict.comparison.low, verdict.comparison.high) == (-math.inf, math.inf)
    insight = Insight(claim="a rises", verdict=verdict, energy_method="estimated", command="python train.py")
    store.add_insight(insight)
    assert store.insights(word="open")[0]["insight"] == insight
    assert store.insights(word="supported") == []


def test_an_insight_from_before_comparisons_told_their_scale_reads_as_one_of_today(store: Store) -> None:
    figures = {"metric": "train/energy_j", "direction": "min", "scale": "relative"}
    verdict = judge({0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.5, 1: 0.9, 2: 1.6}, **figures)
    today = Insight(claim="j falls", verdict=verdict, energy_method="estimated", command="python train.py")
    kept = today.model_dump()
    compared = kept["verdict"]["comparison"]
    assert compared.pop("scale") == "relative"
    compared["metric"] = "train/energy_j [%]"
    old = {"insight": kept, "word": "open", "facts": {"split": {"shorter": compared}}}
    with store.write() as connection:
        connection.execute(sa.insert(schema.insight).values(created=1.0, **old))
    (row,) = store.insights()
    assert row["insight"] == today
    told = row["facts"]["split"]["shorter"]
    assert (told["metric"], told["scale"]) == ("train/energy_j", "relative")


def test_an_exchange_with_a_model_keeps_what_is_unknown_unknown(store: Store) -> None:
    sprint = store.add_sprint("goal")
    store.add_interaction(
        role="researcher",
        model="local/x",
        prompt="a\0b",
        reply=None,
        outcome="timeout",
        sprint_id=sprint,
        tokens_in=7,
    )
    (row,) = store.interactions(sprint_id=sprint, outcome="timeout")
    assert row["prompt"] == "a\ufffdb" and row["tokens_in"] == 7
    assert [row[name] for name in ("reply", "tokens_out", "dollars", "seconds", "joules")] == [None] * 5
    assert store.interactions(outcome="ok") == []


def test_a_row_that_is_not_there_is_an_error(store: Store) -> None:
    with pytest.raises(KeyError, match="no sprint 9"):
        store.set_sprint(9, "done")
    with pytest.raises(sa.exc.IntegrityError):
        store.add_review(9, role="reviewer", score=1.0)

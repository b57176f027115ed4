"""What a campaign found cheaper is asked whether it is as good in its score, at the campaign's own alpha."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign_lab import Lab, Scripted, energy, learning, opened
from research.campaign.charter import Confirm
from research.types import Constraint, Objective


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path) as made:
        yield made


def kept(lab: Lab, arm: str, objective: Objective, **changed) -> tuple[dict, list[str]]:
    """The insight's facts of equality, and the words of all comparisons."""
    charter = lab.charter(objective, confirm=Confirm(**changed))
    found = lab.campaign(charter, [Scripted(arm)])
    (row,) = lab.store.insights(sprint_id=found.sprint["id"])
    assert row["word"] == "supported"
    return row["facts"]["equivalent"], list(found.facts["comparisons"])


def test_what_loses_more_than_the_margin_is_cheaper_and_not_as_good(lab: Lab) -> None:
    told, words = kept(lab, "budget.steps=20", energy(None))
    (score,) = told.values()
    assert (list(told), score["word"], score["margin"]) == (["test/accuracy"], "refuted", 0.01)
    assert "outside the margin of -0.01" in score["reason"] and words == ["supported", "refuted"]


def test_what_keeps_its_score_is_as_good(lab: Lab) -> None:
    told, words = kept(lab, "budget.steps=100 optimizer.lr=0.01", energy(None), margin=0.05)
    assert told["test/accuracy"]["word"] == "supported" and words == ["supported", "supported"]


def test_nothing_is_asked_where_the_margin_is_null_or_the_score_is_the_claim(lab: Lab) -> None:
    assert kept(lab, "budget.steps=20", energy(None), margin=None) == ({}, ["supported"])
    score = Objective(metric="test/accuracy", direction="max")
    assert kept(lab, "optimizer.lr=0.01", score) == ({}, ["supported"])


def test_the_price_is_asked_of_the_score_that_the_goal_bounds(tmp_path: Path) -> None:
    def bytewise(config: dict, rng) -> dict[str, float]:
        found = learning(config, rng)
        return {
            **found,
            **{f"{split}/bits_per_byte": 3 - found[f"{split}/accuracy"] for split in ("val", "test")},
        }

    bound = Constraint(metric="test/bits_per_byte", op="<=", bound=2.9)
    with opened(tmp_path, bytewise) as made:
        told, _ = kept(
            made, "budget.steps=20", Objective(metric="train/energy_j", direction="min", constraints=(bound,))
        )
    assert list(told) == ["test/bits_per_byte"] and told["test/bits_per_byte"]["word"] == "refuted"

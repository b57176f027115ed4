"""What is claimed of a contender, and how much tighter bounds are screened than confirmed."""

import math
import random
from pathlib import Path

import pytest

from campaign_lab import Scripted, energy, opened
from research.campaign.bench import Arm
from research.campaign.charter import Confirm, Sprints
from research.campaign.confirmation import Confirmation, claim
from research.campaign.control import missed, tightened
from research.types import Constraint, Objective


def test_bounds_on_shares_are_screened_one_standard_error_tighter() -> None:
    tight = tightened(energy(0.9), 360).constraints[0].bound
    assert tight == pytest.approx(0.9 + math.sqrt(0.9 * 0.1 / 360))
    assert tightened(energy(1.0), 360).constraints[0].bound == 1.0
    assert tightened(energy(0.9), 0) == energy(0.9)
    exact = Objective(
        metric="test/accuracy",
        direction="max",
        constraints=(Constraint(metric="size/parameters", op="<=", bound=5.0),),
    )
    assert tightened(exact, 360) == exact


def test_the_claim_is_the_objective_where_the_control_keeps_its_bounds() -> None:
    found = claim(energy(0.9), 0.2, {"val/accuracy": 0.95, "train/energy_j": 10.0})
    assert [part.words for part in found.all] == ["train/energy_j less by 20 %", "test/accuracy at least 0.9"]
    assert found.because is None and found.timed


def test_the_claim_is_the_bound_that_the_control_breaks() -> None:
    found = claim(energy(0.9), 0.2, {"val/accuracy": 0.85, "train/energy_j": 10.0})
    assert [part.words for part in found.all] == ["test/accuracy more", "test/accuracy at least 0.9"]
    assert "control" in found.because and not found.timed


def test_by_lot_each_arm_has_each_place_equally_often() -> None:
    for seed in range(20):
        confirmation = Confirmation(None, Confirm(), None, seed)  # type: ignore[arg-type]
        arms = [Arm((f"optimizer.lr={number}",), "scripted", number) for number in range(3)]
        for some in (arms[:2], arms):
            pairs = confirmation._interleaved(some, range(12))
            orders = [[arm for arm, own in pairs if own == number] for number in range(12)]
            for place in range(len(some)):
                assert [sum(order[place] is arm for order in orders) for arm in some] == [
                    12 // len(some)
                ] * len(some)


def test_a_bound_that_sprints_left_open_is_screened_tighter_by_what_was_missing() -> None:
    rows = [
        [{"facts": {"unsettled": {"test/accuracy": 0.02}}}, {"facts": {"unsettled": {"test/accuracy": 0.01}}}]
    ]
    assert missed(rows) == {"test/accuracy": 0.01} and missed([*rows, *rows]) == {"test/accuracy": 0.02}
    assert missed([[*rows[0], {"facts": {}}], []]) == {}, "one contender kept it, or fell by something else"
    tight = tightened(energy(0.9), 360, missed(rows)).constraints[0].bound
    assert tight == pytest.approx(0.9 + math.sqrt(0.9 * 0.1 / 360) + 0.01)
    quick = Objective(
        metric="test/accuracy",
        direction="max",
        constraints=(
            Constraint(metric="infer/latency_s_p50", op="<=", bound=5.0),
            Constraint(metric="train/steps_per_second", op=">=", bound=5.0),
        ),
    )
    told = tightened(quick, 0, {"infer/latency_s_p50": 0.5, "train/steps_per_second": 0.5}).constraints
    assert [one.bound for one in told] == [4.5, 5.5]


def at_the_bound(config: dict, rng: random.Random) -> dict[str, float]:
    """Whatever is turned halves the joules, and its accuracy on the test split is just what is asked."""
    turned = config["model"]["width"] != 128
    score = (0.9 if turned else 0.96) + rng.gauss(0, 0.01)
    joules = (5 if turned else 10) * (1 + rng.gauss(0, 0.01))
    return {
        "val/accuracy": score + 0.03,
        "test/accuracy": score,
        "train/energy_j": joules,
        "size/parameters": 1.0,
    }


def test_the_sprint_after_one_that_settled_no_bound_asks_for_more(tmp_path: Path) -> None:
    with opened(tmp_path, at_the_bound) as lab:
        agreed = lab.charter(energy(0.9), confirm=Confirm(arms=1, estimate=0), sprint=Sprints(count=2))
        first, second = lab.sprint(agreed), lab.sprint(agreed, number=2)
        first.run([Scripted("model.width=64")])
        (left,) = lab.store.insights(sprint_id=first.id)
        assert left["word"] == "open" and left["facts"]["unsettled"]["test/accuracy"] > 0
        second.run([Scripted("model.width=32")])
        notes = [note for row in lab.store.sprints() for note in row["facts"]["notes"]]
        bounds = [
            float(note.split(">= ")[1].split(",")[0])
            for note in notes
            if note.startswith("screened with val")
        ]
        assert bounds[1] == pytest.approx(bounds[0] + left["facts"]["unsettled"]["test/accuracy"], abs=1e-4)
        assert any("tighter bound on test/accuracy" in note for note in notes)

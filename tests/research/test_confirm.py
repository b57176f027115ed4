"""What is claimed of a contender, and how much tighter bounds are screened than confirmed."""

import math

import pytest
from campaign_lab import energy

from research.campaigns.bench import Arm
from research.campaigns.claimed import claim, tightened
from research.campaigns.confirm import Confirm, Confirmation
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
    assert (found.metric, found.direction, found.smallest_effect) == ("train/energy_j", "min", 20.0)
    assert found.reason is None and found.alone


def test_the_claim_is_the_bound_that_the_control_breaks() -> None:
    found = claim(energy(0.9), 0.2, {"val/accuracy": 0.85, "train/energy_j": 10.0})
    assert (found.metric, found.direction, found.smallest_effect) == ("test/accuracy", "max", 0.0)
    assert "control" in found.reason and not found.alone


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

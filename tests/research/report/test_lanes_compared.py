"""What a report says of the lanes with and without the model: at equal turns and joules, or not at all."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.metrics import quantity
from research.report.findings import Findings
from research.report.lanes import equal, lanes
from rows_lab import opened


def told_of(folder: Path, promoted: dict[str, float], spent: dict[str, float]) -> str:
    """What is said of two lanes, each with two turns, the first of which was promoted."""
    with opened(folder) as lab:
        sprint = lab.sprint(1)
        for lane in ("team", "control"):
            line = (f"model.width={len(lane)}",)
            told = {"screened": lab.arm(line, [0], spent[lane]), "lane": lane}
            if lane in promoted:
                told["promoted"] = lab.arm(line, (1, 2, 3), promoted[lane])
            lab.experiment(sprint, line, "promoted" if lane in promoted else "screened", **told)
            more = (f"model.width={len(lane)}0",)
            lab.experiment(sprint, more, "screened", screened=lab.arm(more, [0], spent[lane]), lane=lane)
        return " ".join(lanes(Findings(lab.store, sprint)))


def test_lanes_are_compared_over_the_promotion_seeds_at_equal_turns_and_joules(tmp_path: Path) -> None:
    said = told_of(tmp_path, {"team": 8.0, "control": 10.0}, {"team": 10.0, "control": 15.0})
    # Two turns of the control lane came to more than the team's two: only its first is looked at.
    assert "At 2 and 1 turns of the lanes with " in said
    told = re.search(
        r"train/energy_j of the best with the model is that of the best without ([-+][\d.]+) %", said
    )
    assert told and float(told[1]) == pytest.approx(-20, abs=4) and "over 3 seeds" in said


def test_lanes_that_cannot_be_compared_are_said_to_be(tmp_path: Path) -> None:
    said = told_of(tmp_path, {"team": 8.0}, {"team": 10.0, "control": 10.0})
    assert "With and without the model cannot be compared" in said
    assert "no arm without the model was promoted" in said


def test_a_lane_has_paid_for_what_was_ended_early_too(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        sprint = lab.sprint(1)
        for lane in ("team", "control"):
            line = (f"model.width={len(lane)}",)
            lab.experiment(sprint, line, "screened", screened=lab.arm(line, [0], 10.0), lane=lane)
        lab.experiment(sprint, ("model.width=9",), "stopped", lane="team", joules=30.0)
        joules = sum(value for (value,) in lab.sql("select value from metric where key = 'train/energy_j' "
                                                   "and point = -1 and trial_id = 1"))  # fmt: skip
        told = lanes(Findings(lab.store, sprint))
    team = " ".join(line for line in told if line.startswith("| with the model |"))
    assert f"| {quantity('train/energy_j', joules + 30.0)} |" in team


@given(st.lists(st.floats(0, 9), max_size=9), st.lists(st.floats(0, 9), max_size=9))
def test_equal_turns_are_equal_in_joules_too(team: list[float], control: list[float]) -> None:
    level = equal({"team": [({}, one) for one in team], "control": [({}, one) for one in control]})
    spent = {lane: sum(each for _, each in turns) for lane, turns in level.items()}
    few = min(len(team), len(control))
    assert max(map(len, level.values())) == few if few else not any(level.values())
    assert max(spent.values()) <= min(sum(team[:few]), sum(control[:few])) * (1 + 1e-6)

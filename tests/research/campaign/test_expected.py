"""What a campaign expects its trials to cost rests on its own trials, and reaches facts and prices."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign_lab import CONF, Lab, energy, learning, opened
from research.campaign.admission import predicted
from research.campaign.bench import Arm

SIZED = "packages: []\nbatch_size: 128\nshape: [1, 8, 8]\nclasses: 10\ntask: classification\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setitem(CONF, "data/digits.yaml", SIZED)
    with opened(tmp_path, costly) as made:
        yield made


def costly(config: dict, rng: object) -> dict[str, float]:
    """A training that costs a millisecond a step and 4 W, and twice its CPU seconds by the clock."""
    cpu = 1e-3 * config["budget"]["steps"]
    own = {"train/cpu_seconds": cpu, "train/energy_j": 4 * cpu, "train/seconds": 2 * cpu}
    return learning(config, rng) | own


def test_a_new_arm_is_priced_by_its_own_steps_and_not_by_the_usual_trial(lab: Lab) -> None:
    bench = lab.sprint(lab.charter(energy())).bench
    long = Arm(("budget.steps=1600",), "tpe", 0)
    assert bench.price([(long, 0)]).joules == bench.spend.usual(1).joules == 0
    control = Arm((), "control", 0)
    bench.run([(control, 0)])
    facts = predicted(bench, ("budget.steps=1600",))
    assert facts["cost_ratio"] == pytest.approx(4.0) and facts["cpu_seconds"] == pytest.approx(1.6)
    assert facts["joules"] == pytest.approx(6.4) and facts["cost_error"] >= 1
    assert bench.price([(long, 0)]).joules == pytest.approx(6.4)
    assert bench.spend.usual(1).joules == pytest.approx(1.6)


def test_what_others_ran_since_the_sprint_was_opened_changes_nothing(lab: Lab) -> None:
    charter = lab.charter(energy())
    bench = lab.sprint(charter).bench
    bench.run([(Arm((), "control", 0), 0)])
    before = bench.expected.cost(bench.config(("budget.steps=50",), 0))
    again = lab.sprint(charter).bench  # the same sprint, continued
    assert again.expected.cost(again.config((), 0)) is None, "its own trials are not taken yet"
    again.run([(Arm((), "control", 0), 0)])
    assert again.expected.cost(again.config(("budget.steps=50",), 0)) == before


def test_what_the_database_held_before_is_learnt_from(lab: Lab) -> None:
    first = lab.sprint(lab.charter(energy()))
    first.bench.run([(Arm((), "control", 0), 0)])
    time.sleep(0.01)
    later = lab.sprint(lab.charter(energy(0.8))).bench
    found = later.expected.cost(later.config(("budget.steps=800",), 0))
    assert found is not None and math.isclose(found.cpu_seconds, 0.8, rel_tol=1e-6)

"""A machine that becomes quieter is no finding: what a clock takes is paired with what ran beside it."""

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign_lab import Lab, Scripted, energy, opened
from research.campaign.charter import Confirm, Promote, Screen
from research.report.findings import Findings

ARMS = ("model.width=64", "model.width=32", "model.width=16", "model.width=8")


def quieter() -> Callable[[dict, random.Random], dict[str, float]]:
    """A task whose joules fall by 2 % with each trial, whatever it trains."""
    trials = itertools.count()

    def task(config: dict, rng: random.Random) -> dict[str, float]:
        joules = 100 * 0.98 ** next(trials) * (1 + rng.gauss(0, 0.001))
        return {"val/accuracy": 0.9, "test/accuracy": 0.9, "train/energy_j": joules, "size/parameters": 1.0}

    return task


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path, quieter()) as made:
        yield made


def campaign(lab: Lab, seed: int = 0) -> Findings:
    stages = {"screen": Screen(turns=4, stop=None), "promote": Promote(arms=4, seeds=(1,))}
    agreed = lab.charter(energy(None), seed=seed, confirm=Confirm(arms=4, looks=1), **stages)
    return lab.campaign(agreed, [Scripted(*ARMS)])


def side_by_side(lab: Lab, found: Findings) -> bool:
    """Whether the two trials of every pair were begun with none but their own between them."""
    for row in found.found:
        trials = lab.store.trials(ids=list(row["insight"].verdict.trial_ids))
        seeds = {
            seed: sorted(one.id for one in trials if one.seed == seed)
            for one in trials
            for seed in [one.seed]
        }
        if not trials or any(len(pair) != 2 or pair[1] - pair[0] != 1 for pair in seeds.values()):
            return False
    return True


@pytest.mark.slow
def test_each_contender_has_its_control_beside_it(lab: Lab) -> None:
    found = campaign(lab)
    assert len(found.found) > 1 and side_by_side(lab, found)
    assert "supported" not in [row["word"] for row in found.found]


@pytest.mark.slow
def test_a_later_campaign_takes_no_control_from_an_earlier_one(lab: Lab) -> None:
    campaign(lab)
    later = campaign(lab, seed=1)
    assert later.found and side_by_side(lab, later)
    assert "supported" not in [row["word"] for row in later.found]

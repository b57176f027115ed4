"""A search's looks leave the network's answers untimed; what is asked for later is added to the same row."""

import pytest

from campaign_lab import Lab, energy
from research.campaign.bench import Arm
from research.types import Objective, Proposal

PROPOSAL = Proposal(hypothesis="h", overrides=("model.width=16",), proposer="random")


def left_out(lab: Lab, ids: list[int]) -> list[bool]:
    results = lab.store.results(ids)
    return ["infer/latency_s_p50" not in results[number].metrics for number in ids]


@pytest.mark.slow
def test_what_is_promoted_is_completed_and_trained_once(lab: Lab) -> None:
    found = lab.campaign(lab.charter(energy()))
    assert found.arms("screened")
    stages: dict[str, list[int]] = {"screened": [], "promoted": [], "confirmed": []}
    for row in found.experiments:
        for stage in stages:
            stages[stage] += row["facts"].get(stage) or []
    assert stages["promoted"] and not any(left_out(lab, stages["promoted"]))
    assert stages["confirmed"] and not any(left_out(lab, stages["confirmed"]))
    only_screened = sorted(set(stages["screened"]) - set(stages["promoted"]) - set(stages["confirmed"]))
    assert any(left_out(lab, only_screened))


def test_the_same_seeds_asked_for_whole_are_completed_and_not_run_again(lab: Lab) -> None:
    bench = lab.sprint(lab.charter(energy())).bench
    arm = Arm(("model.width=16",), "random", lab.store.add_proposal(PROPOSAL))
    bench.run([(arm, 0), (arm, 1)], spared=["infer"])
    looked = dict(arm.trials)
    assert left_out(lab, list(looked.values())) == [True, True]
    assert "infer/latency_s_p50" not in bench.means(arm, [0, 1])
    bench.run([(arm, 0), (arm, 1)], spared=["infer"])
    assert not lab.completed
    bench.run([(arm, 0), (arm, 1)])
    assert arm.trials == looked and len(lab.ran) == len(lab.completed) == 2
    assert bench.means(arm, [0, 1])["infer/latency_s_p50"] == pytest.approx(1.6e-4)
    bench.run([(arm, 0), (arm, 1)])
    assert len(lab.ran) == len(lab.completed) == 2


@pytest.mark.slow
def test_a_search_for_latency_measures_it(lab: Lab) -> None:
    lab.campaign(lab.charter(Objective(metric="infer/latency_s_p50", direction="min")))
    assert not any("unmeasured" in row.facts for row in lab.store.results(range(1, 100)).values())

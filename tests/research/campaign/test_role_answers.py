"""What a role answers reaches the trials: good arms beside bad ones, mended claims, judged claims."""

import json
from pathlib import Path

import pytest

from campaign_lab import Lab
from team_lab import TeamServer, ran, review

pytestmark = pytest.mark.slow


def test_a_bad_arm_costs_no_other(lab: Lab) -> None:
    arms = [{"arm": 1, "overrides": ["seed=77"]}, {"arm": 2, "overrides": ["model.width=48"]}]
    said = json.dumps({"builds": arms, "confidence": 0.9})
    server = TeamServer(lambda role, prompt: said if role == "engineer" else None)
    found = ran(lab, server)
    assert server.asked.count("engineer") == 1
    assert not [line for line in lab.ran if "seed=77" in line]
    (mine,) = [row for row in found.experiments if row["proposal"].overrides == ("model.width=48",)]
    assert mine["facts"]["screened"]
    left_out = found.facts["team"]["left_out"]["engineer"]
    assert "not asked for and left out: confidence" in left_out
    assert any(note.startswith("arm 1: ") and "seed" in note for note in left_out), left_out
    assert (
        "engineer, used all the same: not asked for"
        in (Path(found.sprint["folder"]) / "report.md").read_text()
    )


def test_a_build_that_sweeps_is_an_arm_for_each_value(lab: Lab) -> None:
    swept = json.dumps({"builds": [{"arm": 1, "overrides": ["model.width=48,64", "budget.steps=200"]}]})
    found = ran(lab, TeamServer(lambda role, prompt: swept if role == "engineer" else None))
    mine = {row["proposal"].overrides for row in found.experiments if row["proposal"].proposer == "llm"}
    assert {(f"model.width={width}", "budget.steps=200") for width in (48, 64)} <= mine


@pytest.mark.parametrize("text", ["model.width=choice(48)", "model.width=range(48,49)"])
def test_a_build_that_sweeps_over_one_value_ends_no_campaign(lab: Lab, text: str) -> None:
    said = json.dumps({"builds": [{"arm": 1, "overrides": [text]}, {"arm": 2, "overrides": ["seed=77"]}]})
    found = ran(lab, TeamServer(lambda role, prompt: said if role == "engineer" else None))
    assert "sweeps over one value: write" in str(found.facts["team"])
    assert not [line for line in lab.ran if text in line]


def test_an_improver_may_mend_the_claim_alone(lab: Lab) -> None:
    mended = {
        "hypothesis": "A quarter of the width costs a third of the joules.",
        "overrides": ["model.width=32"],
        "refuted_by": "train/energy_j not less by 60 %",
        "metric": "train/energy_j",
        "changed": "the claim says how much, because nothing could have refuted it",
    }
    scores = iter([2.0])

    def say(role: str, prompt: str) -> str | None:
        if role == "reviewer" and "model.width=32" in prompt.split("the proposal")[1].split("</data>")[0]:
            return json.dumps(review(next(scores, 9.0)))
        return json.dumps(mended) if role == "improver" else None

    server = TeamServer(say)
    found = ran(lab, server)
    assert server.asked.count("improver") == 1
    before, after = [row for row in found.experiments if row["proposal"].overrides == ("model.width=32",)]
    assert before["status"] == "dropped" and after["proposal"].parent == before["id"]
    assert after["facts"]["screened"] and after["proposal"].hypothesis == mended["hypothesis"]
    assert after["proposal"].refuted_by == "train/energy_j not less by 60 %"


def test_what_refutes_a_proposal_is_judged_where_it_was_confirmed(lab: Lab) -> None:
    server = TeamServer()
    found = ran(lab, server)
    confirmed = [
        row
        for row in found.experiments
        if row["facts"].get("confirmed") and "llm" in row["proposal"].proposer
    ]
    (own,) = [row for row in confirmed if row["facts"].get("tested")]
    tested = own["facts"]["tested"]
    assert tested["claim"] == own["proposal"].refuted_by and tested["against"] == "the control"
    assert tested["trials"] and set(tested["trials"]) <= {trial.id for trial in lab.store.trials()}
    assert tested["word"] in ("supported", "refuted", "open") and tested["reason"]
    assert len(found.facts["comparisons"]) > len(found.insights)
    assert "What proposals said of themselves" in (Path(found.sprint["folder"]) / "report.md").read_text()


def test_an_arm_is_judged_against_another_arm(lab: Lab) -> None:
    """Half the steps at ten times the rate, and the same at the usual rate: the rate alone saves nothing."""
    arms = [{"hypothesis": 1, "change": "both"}, {"hypothesis": 1, "change": "steps alone", "against": 1}]
    arms[1]["refuted_by"] = "test/accuracy less by 0.05"
    builds = [
        {"arm": 1, "overrides": ["budget.steps=120", "optimizer.lr=0.01"]},
        {"arm": 2, "overrides": ["budget.steps=120"]},
    ]
    said = {"architect": json.dumps({"arms": arms}), "engineer": json.dumps({"builds": builds})}
    found = ran(lab, TeamServer(lambda role, prompt: said.get(role)))
    (own,) = [row for row in found.experiments if row["proposal"].overrides == ("budget.steps=120",)]
    assert own["proposal"].control == ("budget.steps=120", "optimizer.lr=0.01")
    tested = own["facts"]["tested"]
    assert tested["against"] == "budget.steps=120 optimizer.lr=0.01"
    # 0.97 * 0.9 * exp(-120 * 0.001 * 12), the loss that the lower rate leaves, is 0.2.
    assert (tested["claim"], tested["word"]) == ("test/accuracy less by 0.05", "supported")
    seeds = {lab.store.trials(ids=[number])[0].seed for number in tested["trials"]}
    assert len(tested["trials"]) == 2 * len(seeds) and min(seeds) >= 1000
    again = ran(lab, TeamServer(lambda role, prompt: said.get(role)))
    assert again.facts["comparisons"] == found.facts["comparisons"]

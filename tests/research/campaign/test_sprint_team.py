"""A sprint with a team of six through a real HTTP server: who is asked, what stands, what is dropped."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign_lab import Lab, energy, opened
from research.campaign.charter import Charter, Screen
from research.report.findings import Findings
from team_lab import ROLES, TeamServer, review, team

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
LANES = ("team", "control")
ENDED = ("screened", "failed", "stopped", "promoted", "supported", "refuted", "open")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path) as made:
        yield made


def charter(lab: Lab, **more) -> Charter:
    shares = {"llm": 0.5, "random": 0.2, "tpe": 0.3}
    return lab.charter(energy(), **{"screen": Screen(turns=8), "shares": shares, "ladder": None, **more})


def ran(lab: Lab, server: TeamServer, agreed: Charter | None = None, **config) -> Findings:
    with team(lab, server, agreed or charter(lab), **config) as made:
        sprint = made.sprint()
        sprint.run(made.proposers())
        return Findings(lab.store, sprint.id)


def test_six_roles_take_part_and_their_proposals_are_run(lab: Lab) -> None:
    server = TeamServer()
    found = ran(lab, server)
    assert set(ROLES) <= set(server.asked)
    assert server.asked[:4] == ["researcher", "architect", "engineer", "reviewer"]
    mine = [row for row in found.experiments if row["proposal"].proposer == "llm"]
    narrow, wider = (
        next(row for row in mine if row["proposal"].overrides == (f"model.width={width}",))
        for width in (32, 40)
    )
    assert narrow["status"] == "dropped" and "reviewed 5.6, below 7" in narrow["facts"]["reasons"][0]
    assert wider["proposal"].parent == narrow["id"] and "width 40" in wider["facts"]["changed"]
    assert wider["facts"]["review"] == {
        "score": 8.9,
        "round": 1,
        "by": "model",
        "first": 5.6,
    }
    assert wider["status"] in ("screened", "promoted", "supported", "refuted", "open")
    steps = next(row for row in mine if "budget.steps=120" in row["proposal"].overrides)
    assert steps["facts"]["screened"] and steps["facts"]["review"]["round"] == 0
    assert found.insights and found.facts["team"]["outcomes"]["reviewer"] == {"accepted": 3}
    reviewed = [row for row in found.reviews if row["content"]["by"] == "model"]
    assert len(reviewed) == 3 and all(row["content"]["facts"]["gate"] == "accepted" for row in reviewed)
    stood = [row for row in found.reviews if row["content"]["by"] == "stand-in"]
    assert stood and all(row["score"] >= 7 for row in stood)


def test_a_validator_that_contradicts_the_verdict_is_dropped_and_counted(lab: Lab) -> None:
    lies = json.dumps({"words": "The claim is refuted, see trial 9999.", "cites": [], "next": []})
    found = ran(lab, TeamServer(lambda role, prompt: lies if role == "validator" else None))
    assert found.found[-1]["word"] == "supported"
    assert found.found[-1]["facts"]["words"]["by"] == "stand-in"
    assert found.found[-1]["facts"]["words"]["text"] == found.insights[-1].claim
    assert found.facts["team"]["outcomes"]["validator"] == {"gate": 3, "dropped": 1}


def test_nonsense_for_ever_ends_in_a_report_and_the_samplers_carry_on(lab: Lab) -> None:
    found = ran(lab, TeamServer(lambda role, prompt: "the moon is made of cheese"))
    assert found.sprint["status"] == "done" and found.insights
    assert {row["proposal"].proposer for row in found.experiments} == {"control", "random", "tpe"}
    assert any("samplers propose" in note and "researcher" in note for note in found.facts["notes"])
    assert found.facts["team"]["outcomes"]["researcher"] == {"malformed": 3, "dropped": 1}
    folder = Path(found.sprint["folder"])
    report = (folder / "report.md").read_text()
    assert "samplers propose" in report and "- researcher silent because: the reply is not one JSON" in report


@pytest.mark.parametrize("hostile", ["optimizer._target_=os.system", "seed=77", "model.width=99999"])
def test_hostile_overrides_never_run(lab: Lab, hostile: str) -> None:
    builds = json.dumps({"builds": [{"arm": 1, "overrides": [hostile]}]})
    server = TeamServer(lambda role, prompt: builds if role == "engineer" else None)
    found = ran(lab, server)
    assert server.asked.count("engineer") == 3
    assert not [line for line in lab.ran if hostile in line]
    assert found.facts["team"]["outcomes"]["engineer"] == {"gate": 3, "dropped": 1}


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
    assert "unknown field confidence left out" in left_out
    assert any(note.startswith("arm 1: ") and "seed" in note for note in left_out), left_out
    assert (
        "engineer, used all the same: unknown field"
        in (Path(found.sprint["folder"]) / "report.md").read_text()
    )


def test_a_build_that_sweeps_is_an_arm_for_each_value(lab: Lab) -> None:
    swept = json.dumps({"builds": [{"arm": 1, "overrides": ["model.width=48,64", "budget.steps=200"]}]})
    found = ran(lab, TeamServer(lambda role, prompt: swept if role == "engineer" else None))
    mine = {row["proposal"].overrides for row in found.experiments if row["proposal"].proposer == "llm"}
    assert {(f"model.width={width}", "budget.steps=200") for width in (48, 64)} <= mine


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
    assert tested["refutes"] and set(tested["trials"]) <= {trial.id for trial in lab.store.trials()}
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


def test_a_citation_that_was_not_given_is_sent_back(lab: Lab) -> None:
    cited = {"claim": "c", "because": "b", "cites": ["arxiv:9999.99999"]}
    told = json.dumps({"hypotheses": [cited]})
    server = TeamServer(lambda role, prompt: told if role == "researcher" else None)
    ran(lab, server)
    assert server.asked.count("researcher") == 3 and "architect" not in server.asked


def test_what_stays_below_the_bar_is_dropped_after_its_improvements(lab: Lab) -> None:
    widths = iter(range(100, 200))

    def say(role: str, prompt: str) -> str | None:
        if role == "reviewer":
            return json.dumps(review(2.0))
        if role == "improver":
            revised = {"hypothesis": "h", "overrides": [f"model.width={next(widths)}"], "changed": "width"}
            return json.dumps(revised)
        return None

    server = TeamServer(say)
    found = ran(lab, server)
    assert (server.asked.count("reviewer"), server.asked.count("improver")) == (6, 4)
    dropped = [row for row in found.experiments if row["status"] == "dropped"]
    assert len(dropped) == 6 and {row["facts"]["review"]["round"] for row in dropped} == {0, 1, 2}

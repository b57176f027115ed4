"""A slow team's turns: it talks while trials train, and what it was promised is run first; nothing leaks."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from campaign_lab import Lab, energy
from research.campaign.charter import Charter, Screen, Sprints
from research.report.findings import Findings
from research.run.runner import Job, Outcome
from scripted_server import hang
from team_lab import TeamServer, team

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
ENDED = ("screened", "failed", "stopped", "promoted", "supported", "refuted", "open")


def charter(lab: Lab, sprint: Sprints) -> Charter:
    shares = {"llm": 0.5, "random": 0.2, "tpe": 0.3}
    return lab.charter(energy(), screen=Screen(turns=8), shares=shares, ladder=None, sprint=sprint)


def test_half_of_the_trials_are_of_what_a_slow_team_has_agreed_on_and_the_control_lane_trains_meanwhile(
    lab: Lab,
) -> None:
    agreed = charter(lab, sprint=Sprints(count=3))
    server = TeamServer(lambda role, prompt: time.sleep(0.2))
    with team(lab, server, agreed) as made:
        sprint = made.sprint()
        sprint.run(made.proposers(), lab.proposers(agreed))
    found = Findings(lab.store, sprint.id)
    ended = [row for row in found.experiments if row["status"] in ENDED]
    own = [row for row in ended if row["proposal"].proposer == "llm"]
    # Two were promised, of which one was improved first; the other lane had as many turns, and nobody more.
    assert [row["proposal"].overrides[-1] for row in own] == ["optimizer.lr=0.01", "model.width=40"]
    assert len(ended) == 4 and {row["facts"]["lane"] for row in ended if row not in own} == {"control"}
    told = [row["created"] for row in lab.store.interactions()]
    first = min(row["created"] for row in ended if row not in own)
    assert first < max(told)
    assert found.facts["boxes"]["discuss"]["used_s"] >= 7 * 0.2


def test_what_was_accepted_and_not_run_is_run_first_in_the_next_sprint(lab: Lab) -> None:
    agreed, server = charter(lab, sprint=Sprints(count=2)), TeamServer()
    with team(lab, server, agreed) as made:
        computed = lab.one

        def cut(job: Job) -> Outcome:
            mine = any(text in job.overrides for text in ("model.width=40", "optimizer.lr=0.01"))
            return Outcome(job, "interrupted", "the time for it was over") if mine else computed(job)

        lab.one = cut
        first = made.sprint()
        first.run(made.proposers(), lab.proposers(agreed))
        waiting = [row for row in lab.store.proposals() if row["status"] == "queued"]
        assert len(waiting) == 2
        lab.one, asked = computed, len(server.asked)
        second = made.sprint(2)
        second.run(made.proposers(), lab.proposers(agreed))
    found = Findings(lab.store, second.id)
    own = [row for row in found.experiments if row["proposal"].proposer == "llm"]
    assert [row["proposal"].overrides for row in own] == [row["proposal"].overrides for row in waiting]
    assert all(row["status"] in ENDED for row in own)
    # Both of its turns were taken by what waited: there was nothing to discuss.
    assert not {"researcher", "architect", "engineer"} & set(server.asked[asked:])


def test_the_team_is_told_how_many_trials_it_has_and_nothing_of_the_other_lane(lab: Lab) -> None:
    agreed, server = charter(lab, sprint=Sprints(count=2)), TeamServer()
    with team(lab, server, agreed) as made:
        for number in (1, 2):
            made.sprint(number).run(made.proposers(number), lab.proposers(agreed))
    rows = lab.store.proposals()
    tried = {
        lane: {row["proposal"].overrides for row in rows if row["facts"].get("lane") == lane}
        for lane in ("team", "control")
    }
    lines = tried["control"] - tried["team"]
    prompts = [prompt for role, prompt in server.prompts if role != "validator"]
    assert lines and "The team has 2 trials of this sprint" in prompts[0]
    assert any("| model.width=40 | llm |" in prompt for prompt in prompts[4:])
    for line in lines:
        assert not [prompt for prompt in prompts if f"| {' '.join(line)} |" in prompt]


def test_a_sprint_that_was_killed_after_its_discussion_has_its_plan_and_asks_nothing(lab: Lab) -> None:
    agreed, first = charter(lab, sprint=Sprints(count=2)), TeamServer()
    facts = lab.store.set_sprint

    def killed(number: int, status: str, told: dict) -> None:
        facts(number, status, told)
        if told.get("plan"):
            raise MemoryError("as if it were killed")

    lab.store.set_sprint = killed
    with team(lab, first, agreed) as made, pytest.raises(MemoryError):
        made.sprint().run(made.proposers(), lab.proposers(agreed))
    lab.store.set_sprint, second = facts, TeamServer()
    with team(lab, second, agreed) as made:
        sprint = made.sprint()
        sprint.run(made.proposers(), lab.proposers(agreed))
    found = Findings(lab.store, sprint.id)
    assert found.facts["plan"]["arms"] and "researcher" not in second.asked
    assert sum(row["status"] in ENDED for row in found.experiments if row["proposal"].proposer == "llm") == 2


def pressed_after(lab: Lab, server: TeamServer, trials: int) -> Callable[[Job], Outcome]:
    """Ctrl-C in a trial after so many, and when the model has been asked something."""
    computed = lab.one

    def pressed(job: Job) -> Outcome:
        if len(lab.ran) >= trials:
            while not server.http.requests:
                time.sleep(0.01)
            raise KeyboardInterrupt
        return computed(job)

    return pressed


@pytest.mark.parametrize("after", [2, 4, 9])
def test_a_sprint_of_two_lanes_that_is_killed_anywhere_goes_on_and_does_nothing_twice(
    lab: Lab, after: int
) -> None:
    agreed, computed = charter(lab, sprint=Sprints(count=2)), lab.one
    slow = TeamServer(lambda role, prompt: time.sleep(0.05))
    lab.one = pressed_after(lab, slow, after)
    with team(lab, slow, agreed) as made, pytest.raises(KeyboardInterrupt):
        made.sprint().run(made.proposers(), lab.proposers(agreed))
    before = {row["id"]: (row["proposal"], row["created"]) for row in lab.store.proposals()}
    lab.one = computed
    with team(lab, TeamServer(), agreed) as made:
        sprint = made.sprint()
        sprint.run(made.proposers(), lab.proposers(agreed))
    found = Findings(lab.store, sprint.id)
    after_it = {row["id"]: (row["proposal"], row["created"]) for row in lab.store.proposals()}
    assert before.items() <= after_it.items() and len(lab.ran) == len({*lab.ran})
    names = [(row["proposal"].proposer, row["proposal"].overrides) for row in found.experiments]
    assert len(names) == len({*names}) and len(lab.store.sprints()) == 1
    ended = [row for row in found.experiments if row["status"] in ENDED]
    lanes = [row["facts"]["lane"] for row in ended]
    assert lanes.count("team") == lanes.count("control") == 2
    assert {row["proposal"].proposer for row in ended if row["facts"]["lane"] == "team"} == {"llm"}


def test_ctrl_c_ends_a_question_at_once_and_what_it_cost_is_written_down(lab: Lab) -> None:
    agreed, server = charter(lab, sprint=Sprints(count=2)), TeamServer()
    server.http.play(hang)
    lab.one = pressed_after(lab, server, 3)
    with team(lab, server, agreed) as made, pytest.raises(KeyboardInterrupt):
        made.client.prepare()
        made.sprint().run(made.proposers(), lab.proposers(agreed))
    assert [row["outcome"] for row in lab.store.interactions()] == ["interrupted"]
    assert lab.store.sprints()[-1]["status"] == "interrupted"


def test_the_benchmark_tells_what_the_real_command_gave_a_team(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import team_turns
    finally:
        sys.path.pop(0)
    small = ["sprint.count=2", "screen.turns=4", "budget.seconds=1200"]
    small += ["goal=80 % accuracy with the fewest parameters", "promote.seeds=[1]", "confirm.seeds=3"]
    small += ["confirm.looks=1", "confirm.arms=1", "confirm.estimate=0"]
    ran, done = team_turns.campaign(tmp_path, 0.2, small)
    assert ran.run == ran.accepted >= 2 and ran.share >= 0.5, done.stdout
    lines = team_turns.told(ran, 0.2, 1.0)
    assert "one campaign (n = 1)" in lines[0] and "0.2 s a reply" in lines[0]
    first = next(line for line in lines if line.startswith("sprint 1: discuss "))
    assert all(role in first for role in ("researcher", "architect", "engineer", "reviewer"))

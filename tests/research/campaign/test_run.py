"""What a campaign is commissioned with: one budget over all runs, two lanes beside a model, its name."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from campaign_lab import Lab, Scripted, energy
from refusal import Refusal
from research.campaign import run
from research.campaign.asking import in_turn
from research.campaign.budget import Spend
from research.campaign.charter import Charter, Screen, Sprints
from research.campaign.conclusions import UNWRITTEN
from research.campaign.recipe import typed
from research.run.lines import Lines
from research.run.runner import Job, Outcome
from research.team.discussion import Queued
from research.types import Proposal
from rows_lab import CAMPAIGN
from rows_lab import campaign as rows_campaign
from rows_lab import opened as rows_opened


class Model(Scripted):
    name = "llm"


def test_a_budget_is_one_however_often_the_command_is_typed(lab: Lab) -> None:
    agreed = lab.charter(energy(), screen=Screen(turns=2))
    lab.interrupt_after = 4
    with pytest.raises(KeyboardInterrupt):
        lab.campaign(agreed)
    spend = Spend(trials=10)
    run._restore(lab.store, agreed, spend)
    assert spend.trials == len(lab.ran) == 4 and spend.joules > 0 and spend.each_s >= 0


@pytest.mark.parametrize(
    "changed",
    [
        {"budget": {"trials": 9}},
        {"team": {"llm": "openai/m"}},
        {"sprint": Sprints(count=2)},
        {"setting": "other code"},
        {"alpha": 0.01},
    ],
)
def test_what_changes_the_way_of_a_campaign_changes_its_name(lab: Lab, changed: dict) -> None:
    agreed = lab.charter(energy())
    assert Charter.model_validate({**agreed.model_dump(), **changed}).name != agreed.name


def test_without_a_model_there_is_one_lane(lab: Lab) -> None:
    agreed = lab.charter(energy())
    found = in_turn(lab.proposers(agreed), lab.proposers(agreed), agreed.shares, 0)
    assert not found.lanes and found.queue is None and len(found.all) == 2


def test_with_a_model_a_control_lane_runs_that_has_none(lab: Lab) -> None:
    agreed = lab.charter(energy(), shares={"llm": 0.3, "random": 0.7})
    found = in_turn([Model(), *lab.proposers(agreed)], lab.proposers(agreed), agreed.shares, 0)
    assert found.lanes and isinstance(found.queue, Queued)
    names = {lane: [found.next(lane).name for _ in range(5)] for lane in ("team", "control")}
    assert set(names["control"]) == {"control/random"} and names["team"].count("llm") == 1
    found.queue.put([Proposal(hypothesis="h", overrides=("model.width=9",), proposer="llm")] * 2)
    assert found.waiting("team") == 2 and found.next("team").name == "llm"
    assert [found.queue.ask(None).overrides for _ in range(2)] == [("model.width=9",)] * 2
    # Two of four were agreed on, and the model has had two turns: two are left to it.
    assert [found.next("team", promised=4).name for _ in range(3)] == ["llm", "llm", "random"]
    assert found.waiting("control") == 0 and found.next("control").name == "control/random"


@pytest.mark.slow
def test_the_lanes_of_a_sprint_have_equal_budgets_and_see_their_own_results(lab: Lab) -> None:
    agreed = lab.charter(energy(), screen=Screen(turns=8), shares={"llm": 0.3, "random": 0.7})
    model = Model("model.width=64", "model.width=32")
    sprint = lab.sprint(agreed)
    sprint.run([model, *lab.proposers(agreed)], lab.proposers(agreed))
    rows = [row for row in lab.store.proposals() if row["proposal"].proposer != "control"]
    ran = [row["facts"]["lane"] for row in rows if row["status"] not in ("refused", "repeat", "dropped")]
    assert ran.count("team") == ran.count("control") == 4
    assert not [seen for seen in model.told if seen.proposer.startswith("control/")]
    assert {row["proposal"].proposer for row in rows} >= {"llm", "random", "control/random"}
    assert set(lab.store.sprints()[0]["facts"]["turns"]) >= {"llm", "random", "control/random"}


def test_a_recipe_is_announced_with_the_command_that_repeats_it(tmp_path: Path) -> None:
    console = Console(record=True, width=300, file=io.StringIO())
    with rows_opened(tmp_path) as rows:
        rows_campaign(rows)
        rows.sprint(3, notes=[f"{UNWRITTEN}: the folder cannot be written"])
        run._conclude(rows.store, CAMPAIGN, tmp_path / "report.md", Lines(console))
    told = console.export_text()
    assert "recipe     conf/experiment/discovered/x.yaml" in told
    assert "copy it into" in told or "repeat     python agent.py experiment=discovered/x" in told
    assert f"{UNWRITTEN}: the folder cannot be written" in told


def test_a_recipe_elsewhere_must_be_copied_first(tmp_path: Path) -> None:
    inside = tmp_path / "conf" / "experiment" / "mine" / "a.yaml"
    assert typed(inside, tmp_path / "conf") == "python agent.py experiment=mine/a"
    told = typed(tmp_path / "else" / "a.yaml", tmp_path / "conf")
    assert told.startswith("copy it into") and told.endswith(
        "experiment/else, then python agent.py experiment=else/a"
    )


def test_shares_that_give_nobody_a_turn_are_refused(lab: Lab) -> None:
    with pytest.raises(Refusal, match=r"proposer\.shares"):
        in_turn(lab.proposers(lab.charter(energy())), [], {"llm": 1.0}, 0)


@pytest.mark.slow
def test_one_trial_answers_both_lanes_when_they_have_the_same_idea(lab: Lab) -> None:
    class Beside(Scripted):
        name = "random"

    same = ("model.width=64", "optimizer.lr=0.09", "model.width=32")
    shares = {"llm": 0.01, "random": 0.99}
    agreed = lab.charter(energy(), screen=Screen(turns=6), shares=shares, ladder=None)
    sprint = lab.sprint(agreed)
    sprint.run([Model(), Beside(*same)], [Beside(*same)])
    seeds = [line for line in lab.ran if "seed=0" in line and len(line) > 2]
    assert len(seeds) == len({*seeds}) == 3
    statuses = [row["status"] for row in lab.store.proposals() if row["facts"].get("lane")]
    assert len(statuses) == 6 and statuses.count("failed") == 2


@pytest.mark.slow
def test_what_one_lane_finds_ends_no_training_of_the_other(lab: Lab) -> None:
    class Beside(Scripted):
        name = "random"

    caps: dict[tuple[str, ...], float] = {}
    computed, learn = lab.one, lab.task

    def timed(config: dict, rng: object) -> dict[str, float]:
        metrics = learn(config, rng)
        return metrics | {"train/cpu_seconds": metrics["train/energy_j"] / 4}

    def capped(job: Job) -> Outcome:
        halving = (job.config.get("callbacks") or {}).get("halving") or {}
        if halving.get("cap") is not None:
            caps[tuple(job.overrides[1:-1])] = halving["cap"]
        return computed(job)

    lab.task, lab.one = timed, capped
    cheap, dear = [f"budget.steps={n} optimizer.lr=0.01" for n in (60, 62, 64, 66)], range(100, 106)
    agreed = lab.charter(energy(), screen=Screen(turns=8), shares={"llm": 0.01, "random": 0.99}, ladder=None)
    sprint = lab.sprint(agreed)
    sprint.run([Model(), Beside(*cheap)], [Beside(*(f"model.width={width}" for width in dear))])
    own = [caps[line] for line in caps if "model.width" in line[0]]
    others = [caps[line] for line in caps if "budget.steps" in line[0]]
    # A training of either lane may come to 1.25 times the best of its own lane.
    assert len(own) >= 2 and len(others) >= 2 and min(own) > 2 * min(others)

"""What a command makes of its goal: the plan of a dry run, and a rewording by the model."""

from pathlib import Path

import pytest

from command_lab import Room
from refusal import Refusal
from research.campaign.campaign import CONF, Campaign
from research.tasks.line import arguments, settings
from research.tasks.task import perform
from scripted_server import ScriptedServer, answer

ODD = "make it sip electricity while it still gets nine of ten right"
SAID = "at least 90 % accuracy, fewer joules"


def asked(folder: Path, *typed: str) -> Campaign:
    own = (f"store.url=sqlite:///{folder}/lab.db", f"root={folder}/runs", "dry_run=true")
    return Campaign(settings([*own, *typed], CONF))


def test_a_dry_run_tells_the_goal_the_space_and_the_cost_and_writes_nothing(tmp_path: Path) -> None:
    typed = "goal=30 % fewer joules, losing at most 1 point of accuracy, with a cnn"
    with asked(tmp_path, typed, "screen.turns=9", "sprint.count=2", "budget.trials=null") as campaign:
        plan = perform(campaign)
    assert plan.asked == (
        "Minimise training energy (train/energy_j) by at least 30 % of the control's, with accuracy at most "
        "1 point below the control's; fixed: model=cnn."
    )
    assert plan.fixed == ("data=digits", "model=cnn") and "model" not in plan.groups
    assert "adamw" in plan.groups["optimizer"] and plan.keys["model.width"] == "4 to 1024"
    assert plan.trials == {"screened": 10, "promoted": 15, "confirmed": 60}
    assert "at most 170" in plan.text() and plan.asked in plan.text() and plan.seconds is None
    assert not list(tmp_path.iterdir())


def test_a_dry_run_costs_trials_as_those_did_that_are_known(room: Room) -> None:
    for seed in (0, 1):
        room.trial(seed=seed)
    plan = room.ask("research", dry_run=True, goal="fewer joules", base=["data=digits"])
    assert plan.seconds is not None and plan.joules is not None and "2 done of this arm" in plan.how
    assert room.store.sprints() == [] and room.lab.ran == []


def test_a_dry_run_of_an_experiment_is_told_by_train_py(tmp_path: Path) -> None:
    with (
        asked(tmp_path, "experiment=efficient_optimizer") as campaign,
        pytest.raises(Refusal, match=r"train\.py -m experiment=efficient_optimizer dry_run=true"),
    ):
        perform(campaign)


def test_rewording_is_asked_for_beside_the_goal() -> None:
    assert arguments(["goal=x", "goal.reword=true"]) == ["goal='x'", "reword=true"]
    assert settings(["goal.reword=true"], CONF)["reword"] is True
    with Campaign(settings(["goal.reword=perhaps"], CONF)) as campaign, pytest.raises(Refusal, match="true"):
        assert campaign.charter


def test_without_a_model_a_refused_goal_stays_refused(tmp_path: Path) -> None:
    with (
        asked(tmp_path, f"goal={ODD}", "goal.reword=true") as campaign,
        pytest.raises(Refusal, match="'sip'"),
    ):
        perform(campaign)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_model_rewords_a_refused_goal_once_and_only_what_is_typed_is_used(tmp_path: Path) -> None:
    with ScriptedServer(answer(f'{{"goal": "{SAID}"}}')) as server:
        model = ("llm=vllm", f"llm.api_base={server.base}/v1", "llm.backoff_s=0.01", "llm.retries=0")
        with asked(tmp_path, f"goal={ODD}", *model) as campaign, pytest.raises(Refusal) as refused:
            perform(campaign)
        assert f'goal="{SAID}"' in str(refused.value) and "goal.reword=true" in str(refused.value)
        assert "accuracy at least 90 %" in str(refused.value) and len(server.requests) == 1
        assert not list(tmp_path.iterdir())
        with asked(tmp_path, f"goal={ODD}", "goal.reword=true", *model) as campaign:
            plan = perform(campaign)
        assert plan.goal == SAID and plan.objective.constraints[0].words == "test/accuracy >= 0.9"
        # A number that is wrong is no goal's fault, and a goal that is read is nobody's to reword.
        for typed in ((f"goal={SAID}",), (f"goal={SAID}", "screen.turns=0")):
            with asked(tmp_path, *typed, *model) as campaign:
                try:
                    perform(campaign)
                except Refusal as refusal:
                    assert "screen.turns" in str(refusal)
        assert len(server.requests) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ('{"goal": null}', "knows no goal that says the same"),
        ('{"goal": "accuracy below 50 %"}', "not understood either"),
        ("I would rather not.", "knows no goal that says the same"),
    ],
)
def test_what_a_model_says_is_read_by_the_same_rules(tmp_path: Path, reply: str, said: str) -> None:
    with ScriptedServer(answer(reply)) as server:
        model = ("llm=vllm", f"llm.api_base={server.base}/v1", "llm.backoff_s=0.01", "llm.retries=0")
        with (
            asked(tmp_path, f"goal={ODD}", "goal.reword=true", *model) as campaign,
            pytest.raises(Refusal, match=said),
        ):
            perform(campaign)


EARLIER = "90 % accuracy for fewer joules"


@pytest.mark.parametrize("task", ["review", "improve"])
def test_what_waits_is_judged_by_what_it_was_proposed_for_and_not_by_what_is_asked_now(
    room: Room, task: str
) -> None:
    """Under today's charter the gate refuses each of them: what they turn is fixed there."""
    own = {"base": ["data=digits", "budget.steps=50"], "goal": EARLIER}
    ids = [one.id for one in room.ask("suggest", count=3, queue=True, **own).suggestions]
    room.ask("review", review={"accept": 10, "improve": 1}, **own) if task == "improve" else None
    fixed = ["data=digits", "optimizer=adamw", "model.width=16", "optimizer.lr=0.001", "budget.steps=9"]
    found = room.ask(task, base=fixed, review={"accept": 10, "improve": 1}).reviewed
    assert "refused" not in {one.status for one in found}
    assert "refused" not in {row["status"] for row in room.store.proposals()}
    if task == "review":
        assert [one.id for one in found] == ids and all(one.by == "stand-in" for one in found)

"""A campaign on a machine where somebody else works ends with a true answer, or says that it is too busy."""

from pathlib import Path

import pytest

from campaign_lab import Lab, Scripted, energy, opened
from refusal import Refusal
from research.campaign.charter import Confirm, Screen
from research.campaign.trials import REPEATS, Quiet
from research.report.answer import answer
from research.report.cost import used
from research.run.runner import Job
from research.types import Objective, Result

WHY = "its threads waited 2.1 s for a processor while they ran 1 s"
HELD = {"train": WHY}
GOOD = "optimizer.lr=0.01 budget.steps=100"


def small(lab: Lab, objective: Objective | None = None, ladder: bool = False):
    screen, promote = Screen(turns=2, stop=None), {"arms": 1}
    charter = lab.charter(objective or energy(), screen=screen, confirm=Confirm(looks=1))
    told = {"promote": charter.promote.model_copy(update=promote)}
    return charter.model_copy(update=told if ladder else {**told, "ladder": None})


def first_time(job: Job) -> dict[str, str]:
    """A neighbour that is gone when a trial is run again."""
    return {} if job.config.get("force") else HELD


@pytest.mark.slow
def test_a_disturbed_trial_is_run_again_and_its_replicate_answers(lab: Lab) -> None:
    lab.neighbour = first_time
    found = lab.campaign(small(lab), [Scripted(GOOD)])
    assert found.insights[-1].verdict.word == "supported"
    trials = lab.store.trials(ids=found.insights[-1].verdict.trial_ids)
    assert {trial.replicate for trial in trials} == {1}
    results = lab.store.results([trial.id for trial in trials])
    assert not any(result.facts.get("disturbed") for result in results.values())
    assert used(found).trials == len(lab.ran), "what was spoilt is paid for as well"


@pytest.mark.slow
def test_another_campaign_takes_the_replicates_that_are_there(lab: Lab) -> None:
    lab.neighbour = first_time
    charter = small(lab)
    lab.campaign(charter, [Scripted(GOOD)])
    looked = [line for line in lab.ran if line[-1] in ("seed=0", "seed=1", "seed=2", "seed=3")]
    lab.campaign(charter.model_copy(update={"seed": 1}), [Scripted(GOOD)])
    assert [line for line in lab.ran if line[-1] in ("seed=0", "seed=1", "seed=2", "seed=3")] == looked


def test_a_control_that_a_neighbour_never_leaves_alone_ends_with_a_sentence(lab: Lab) -> None:
    lab.neighbour = lambda job: HELD
    with pytest.raises(Refusal) as told:
        lab.campaign(small(lab), [Scripted(GOOD)])
    said = str(told.value)
    assert "The machine is too busy to settle train/energy_j" in said and WHY in said
    assert "trials were disturbed" in said and "when the machine is quieter" in said
    tries = 1 + REPEATS
    assert sum("seed=0" in line for line in lab.ran) == tries, "the repeats are bounded"


@pytest.mark.slow
def test_the_same_command_goes_on_when_the_machine_is_quiet(lab: Lab) -> None:
    lab.neighbour = lambda job: HELD
    charter = small(lab)
    with pytest.raises(Refusal):
        lab.campaign(charter, [Scripted(GOOD)])
    lab.neighbour = lambda job: {}
    assert lab.campaign(charter, [Scripted(GOOD)]).insights[-1].verdict.word == "supported"


def test_a_disturbed_proposal_takes_no_part_and_the_report_says_why(lab: Lab) -> None:
    lab.neighbour = lambda job: HELD if "budget.steps=100" in job.overrides else {}
    proposer = Scripted(GOOD)
    # Without the control that is stopped, which would answer the goal by itself.
    found = lab.campaign(small(lab).model_copy(update={"ladder": None}), [proposer])
    assert not found.insights and [one.status for one in proposer.told] == []
    told = "\n".join(answer(found))
    assert "Nothing was confirmed" in told and "machine is too busy" in told and WHY in told
    assert not any(arm.status == "promoted" for arm in found.arms("promoted"))


@pytest.mark.slow
def test_a_promotion_without_an_undisturbed_control_confirms_nothing_and_says_why(lab: Lab) -> None:
    lab.neighbour = lambda job: HELD if job.config["seed"] in (1, 2, 3) else {}
    found = lab.campaign(small(lab), [Scripted(GOOD)])
    told = "\n".join(answer(found))
    assert not found.insights and "machine is too busy" in told and "no proposal beat" not in told


@pytest.mark.slow
def test_a_confirmation_leaves_disturbed_pairs_out(lab: Lab) -> None:
    lab.neighbour = lambda job: HELD if job.config["seed"] == 1001 else {}
    found = lab.campaign(small(lab), [Scripted(GOOD)])
    (insight,) = found.insights
    assert insight.verdict.word == "supported" and insight.verdict.comparison.n == 4
    seeds = {trial.seed for trial in lab.store.trials(ids=insight.verdict.trial_ids)}
    assert seeds == {1000, 1002, 1003, 1004}


@pytest.mark.slow
def test_a_confirmation_in_a_busy_hour_is_open_with_the_reason(lab: Lab) -> None:
    lab.neighbour = lambda job: HELD if job.config["seed"] >= 1000 else {}
    found = lab.campaign(small(lab), [Scripted(GOOD)])
    assert found.insights and {insight.verdict.word for insight in found.insights} == {"open"}
    assert all("machine is too busy" in insight.verdict.reason for insight in found.insights)


@pytest.mark.slow
def test_a_goal_that_no_clock_takes_does_not_mind_a_neighbour(lab: Lab) -> None:
    lab.neighbour = lambda job: HELD | {"infer": WHY}
    smallest = Objective(metric="size/parameters", direction="min", constraints=energy().constraints)
    found = lab.campaign(small(lab, smallest), [Scripted("optimizer.lr=0.01 model.width=32")])
    assert found.insights[-1].verdict.word == "supported"
    assert not any("force" in " ".join(line) for line in lab.ran) and len(lab.ran) == len(set(lab.ran))


@pytest.mark.slow
def test_the_disturbed_inference_of_a_trial_leaves_its_training_alone(lab: Lab) -> None:
    lab.neighbour = lambda job: {"infer": WHY}
    assert lab.campaign(small(lab), [Scripted(GOOD)]).insights[-1].verdict.word == "supported"
    assert len(lab.ran) == len(set(lab.ran)), "nothing was run again"


def test_repeats_end_when_they_are_in_vain() -> None:
    quiet, held = (
        Quiet(["train/energy_j", "size/bytes"]),
        Result(trial_id=1, metrics={}, facts={"disturbed": HELD}),
    )
    assert quiet.watched == ("train/energy_j",) and quiet.patient
    for _ in range(3):
        assert not quiet.look(held, again=True)
    assert quiet.patient and quiet.look(Result(trial_id=2, metrics={}, facts={}), again=True)
    for _ in range(4):
        quiet.look(held, again=True)
    assert not quiet.patient and "7 of 8 trials were disturbed" in quiet.sentence(quiet.reason(held))
    assert not Quiet(["size/bytes"]).patient


@pytest.mark.slow
def test_a_disturbed_rung_of_the_ladder_still_tells_whether_it_keeps_the_bound(
    lab: Lab, tmp_path: Path
) -> None:
    found = lab.campaign(small(lab, ladder=True), [Scripted(GOOD)])
    (tmp_path / "busy").mkdir()
    with opened(tmp_path / "busy") as busy:
        busy.neighbour = lambda job: HELD if any("budget.steps=" in one for one in job.overrides) else {}
        told = busy.campaign(small(busy, ladder=True), [Scripted(GOOD)])
        assert told.facts["shortest"]["steps"] == found.facts["shortest"]["steps"]
        assert not told.insights and "machine is too busy" in "\n".join(answer(told))

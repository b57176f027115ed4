"""The control stopped at the bound: found by a ladder, trained beside the others, and held against."""

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from campaign_lab import Lab, Scripted, energy, learning, opened
from research.campaign.budget import Spend
from research.campaign.charter import Charter, Ladder, Screen
from research.campaign.control import Room, tightened
from research.campaign.recipe import Study
from research.report.findings import Findings, of_campaign
from research.stats.alpha import rate
from research.tasks.research import outcome
from team_lab import series

ENERGY = "train/energy_j"


def overtrained(config: dict, rng: random.Random) -> dict[str, float]:
    """Accuracy is a step function of the steps, joules are proportional to them and to the width's root.

    The control has 400 steps and keeps 0.9 from 40 on. Half the width costs 0.7 times the joules and changes
    no score, so it is a gain of 30 % beyond what training shorter brings; a rate of 0.002 changes nothing.
    """
    steps, width = config["budget"]["steps"], config["model"]["width"]
    accuracy = (0.96 if steps >= 40 else 0.5) + rng.gauss(0, 0.002)
    joules = steps * math.sqrt(width / 128) * math.exp(rng.gauss(0, 0.02))
    return {
        "val/accuracy": accuracy,
        "test/accuracy": accuracy + rng.gauss(0, 0.001),
        ENERGY: joules,
        "size/parameters": float(width),
    }


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path, overtrained) as made:
        yield made


def charter(lab: Lab, **more) -> Charter:
    return lab.charter(energy(0.9), **{"screen": Screen(turns=6), **more})


def shortest(found: Findings) -> dict:
    return found.facts["shortest"]


def steps_of(found: Findings) -> int:
    (own,) = shortest(found)["overrides"]
    return int(own.removeprefix("budget.steps="))


@pytest.mark.slow
@pytest.mark.parametrize("close", [1.05, 1.5])
def test_the_ladder_finds_the_least_steps_that_keep_the_bound(lab: Lab, close: float) -> None:
    found = lab.campaign(charter(lab, ladder=Ladder(close=close)), [Scripted()])
    assert 40 <= steps_of(found) <= 40 * close
    rungs = {int(steps): kept for steps, kept in shortest(found)["steps"].items()}
    assert all(kept == (steps >= 40) for steps, kept in rungs.items())
    # Each rung on the seed of the screening and the one that keeps the machine busy.
    ran = [line for line in lab.ran if any(one.startswith("budget.steps=") for one in line)]
    assert len({*ran}) == len(ran) and len(rungs) <= 4 + math.log(3, close)


@pytest.mark.slow
def test_it_is_the_tighter_bound_of_the_validation_that_a_rung_must_keep(
    tmp_path: Path,
) -> None:
    """`learning` reaches 0.9 at 250 steps and the tightened bound, 0.9158, at about 270."""
    with opened(tmp_path) as made:
        first, _ = rate(0.05, 1).at([5], 2).tails
        agreed = made.charter(energy(0.9), screen=Screen(turns=1), ladder=Ladder(close=1.02))
        found = made.campaign(agreed, [Scripted()])
        bound = tightened(energy(0.9), Room(1, made.scored, ((made.scored, first),))).constraints[0].bound
        config = {"optimizer": {"lr": 0.001}, "model": {"width": 128}, "noise": 0.0}
        least = next(
            steps
            for steps in range(1, 400)
            if learning({**config, "budget": {"steps": steps}}, random.Random(0))["val/accuracy"] >= bound
        )
        assert least / 1.1 <= steps_of(found) <= least * 1.1


@pytest.mark.slow
def test_training_shorter_alone_answers_the_goal_and_is_told_as_that(lab: Lab) -> None:
    found = lab.campaign(charter(lab), [Scripted("optimizer.lr=0.002", "budget.steps=200")])
    (insight,) = found.insights
    steps = steps_of(found)
    assert insight.verdict.word == "supported" and f"`budget.steps={steps}` lowers" in insight.claim
    assert f"by training shorter (`budget.steps={steps}`); nothing new was shown beyond it" in insight.claim
    told = insight.verdict.comparison.difference
    assert told == pytest.approx(100 * (steps / 400 - 1), abs=2)
    facts = found.found[0]["facts"]
    assert facts["rating"] <= 7 and not facts["rubric"]["new"]["holds"]
    assert found.counts()["scripted"] == {"ran": 2}, "the stopped control is nobody's proposal"
    assert "nothing new" in (Path(found.sprint["folder"]) / "report.md").read_text().split("\n\n")[2]


@pytest.fixture(scope="module")
def at_half(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Findings]]:
    """Half the width, and as many steps as the stopped control has: 0.1 times 0.7 of the joules."""
    folder = tmp_path_factory.mktemp("halved")
    with opened(folder, overtrained) as made:
        first = made.campaign(charter(made, seed=5), [Scripted()])
        line = f"budget.steps={steps_of(first)} model.width=64"
        proposers = [Scripted("optimizer.lr=0.002", line)]
        yield made, made.campaign(charter(made), proposers, discovered=folder)


@pytest.fixture
def halved(at_half: tuple[Lab, Findings]) -> Findings:
    """What that lab's campaign found, for tests that only read it."""
    return at_half[1]


def test_a_gain_is_split_into_what_is_shorter_and_what_is_new(halved: Findings) -> None:
    insight, facts = halved.insights[-1], halved.found[-1]["facts"]
    split, steps = facts["split"], steps_of(halved)
    assert insight.verdict.word == "supported" and split["word"] == "supported"
    shorter, new = (1 + split[part]["difference"] / 100 for part in ("shorter", "new"))
    assert shorter == pytest.approx(steps / 400, rel=0.04) and new == pytest.approx(math.sqrt(0.5), rel=0.04)
    whole = 1 + insight.verdict.size.difference / 100
    assert shorter * new == pytest.approx(whole, rel=1e-9), "the parts multiply"
    assert f": {100 * (shorter - 1):+.3g} % by training shorter (`budget.steps={steps}`)" in insight.claim
    assert f", then {100 * (new - 1):+.3g} % [" in insight.claim
    assert insight.claim.endswith("] of the rest by what is new.")
    assert facts["rubric"]["new"]["holds"] and facts["rating"] > 7
    assert halved.facts["comparisons"][-3:-1] == ["supported", "supported"], (
        "one more comparison of the sequence"
    )


def test_all_three_are_trained_on_the_same_fresh_seeds_side_by_side(halved: Findings) -> None:
    confirmed = halved.arms("confirmed")
    assert [arm.control for arm in confirmed] == [True, False, False]
    assert [arm.stopped for arm in confirmed] == [False, True, False]
    assert len({arm.seeds for arm in confirmed}) == 1 and min(confirmed[0].seeds) >= 1000
    arm = halved.arm_of(halved.found[-1])
    assert arm is confirmed[2] and halved.control_of(halved.found[-1]) is confirmed[0]


def test_the_typed_answer_has_the_parts(at_half: tuple[Lab, Findings]) -> None:
    lab, halved = at_half
    told = outcome(lab.store, Path(halved.sprint["folder"]) / "report.md").model_dump(mode="json")
    (split,) = [one["split"] for one in told["insights"] if one["split"] and one["split"]["word"]]
    assert split["new"]["difference"] == pytest.approx(-29.3, abs=3)
    assert split["shorter"]["difference"] == pytest.approx(100 * (steps_of(halved) / 400 - 1), abs=2)
    json.dumps(told)


@pytest.mark.slow
def test_what_costs_more_than_the_stopped_control_is_not_confirmed(lab: Lab) -> None:
    """A tenth of the joules beyond the control's, and twice the stopped control's: no contender."""
    found = lab.campaign(charter(lab), [Scripted("budget.steps=100", "model.width=64")])
    assert not [one for one in found.insights if "100" in one.claim or "width" in one.claim]
    assert any("control stopped at the bound (budget.steps=" in note for note in found.facts["notes"])


@pytest.mark.slow
def test_a_campaign_that_fixes_the_length_is_held_to_it_all_the_same(lab: Lab) -> None:
    agreed = charter(lab).model_copy(update={"fixed": ("data=digits", "budget.steps=300")})
    found = lab.campaign(agreed, [Scripted("model.width=64")])
    insight, split = found.insights[-1], found.found[-1]["facts"]["split"]
    assert insight.verdict.word == "supported" and "`model.width=64`" in insight.claim
    assert split["word"] == "refuted" and "shows nothing new" in insight.claim
    assert not found.found[-1]["facts"]["rubric"]["new"]["holds"] and found.found[-1]["facts"]["rating"] <= 7
    assert not [one for one in found.insights if "`budget.steps" in one.claim.split(" lowers")[0]]


@pytest.mark.slow
def test_a_control_that_no_shorter_training_replaces_is_its_own(lab: Lab) -> None:
    agreed = charter(lab).model_copy(update={"fixed": ("data=digits", "budget.steps=40")})
    found = lab.campaign(agreed, [Scripted("model.width=64")])
    assert shortest(found)["overrides"] == [] and found.found[-1]["facts"]["split"] is None
    assert (
        found.insights[-1].verdict.word == "supported" and found.found[-1]["facts"]["rubric"]["new"]["holds"]
    )
    assert any("no shorter training of the control" in note for note in found.facts["notes"])


def test_without_a_bound_or_a_cost_of_training_there_is_no_ladder(lab: Lab) -> None:
    for objective in (energy(None), energy(0.9).model_copy(update={"metric": "size/parameters"})):
        found = lab.campaign(lab.charter(objective, screen=Screen(turns=1)), [Scripted()])
        assert shortest(found) is None
    assert not [line for line in lab.ran if any("budget.steps" in one for one in line)]


@pytest.mark.slow
def test_a_budget_that_ends_the_ladder_is_said_and_nothing_is_new(lab: Lab) -> None:
    found = lab.campaign(charter(lab), [Scripted("model.width=64")], spend=Spend(trials=20))
    assert "budget.trials" in (shortest(found)["unknown"] or "")
    assert any("was not stopped" in note for note in found.facts["notes"])
    assert all(not row["facts"]["rubric"]["new"]["holds"] for row in found.found)


@pytest.mark.slow
def test_what_was_found_once_is_found_again_without_a_trial(lab: Lab) -> None:
    agreed = charter(lab)
    first = lab.campaign(agreed, [Scripted("model.width=64")])
    ran = len(lab.ran)
    again = lab.campaign(agreed.model_copy(update={"seed": 9}), [Scripted("model.width=64")])
    new = [int(line[-1].removeprefix("seed=")) for line in lab.ran[ran:]]
    assert shortest(first) == shortest(again)
    assert min(new) > 1005, "only its confirmation runs, on seeds that nobody has had"


@pytest.mark.slow
def test_a_neighbour_that_disturbs_the_joules_of_a_rung_changes_nothing_of_it(lab: Lab) -> None:
    quiet = steps_of(lab.campaign(charter(lab), [Scripted()]))
    lab.neighbour = lambda job: {"train": "it waited"} if 20 < job.config["budget"]["steps"] < 45 else {}
    agreed = charter(lab, screen=Screen(turns=6, seeds=(7,)))
    assert steps_of(lab.campaign(agreed, [Scripted()])) == quiet


@pytest.mark.slow
def test_killed_at_any_trial_it_comes_to_the_same(tmp_path: Path) -> None:
    def told(lab: Lab) -> list:
        return [(row["insight"].claim, row["facts"]["split"]) for row in lab.store.insights()]

    with opened(tmp_path, overtrained) as whole:
        series(whole, charter(whole))
        expected, total = told(whole), len(whole.ran)
    for after in range(0, total, 11):
        with opened(tmp_path, overtrained) as lab:
            lab.interrupt_after = after
            with pytest.raises(KeyboardInterrupt):
                series(lab, charter(lab))
            lab.interrupt_after = None
            series(lab, charter(lab))
            assert told(lab) == expected and len(lab.ran) == len({*lab.ran}) == total


@pytest.mark.slow
def test_a_second_sprint_takes_over_what_the_first_has_found(lab: Lab) -> None:
    goal = charter(lab).goal.model_copy(update={"smallest_effect": 0.99})
    from research.campaign.charter import Sprints

    agreed = charter(lab, sprint=Sprints(count=2)).model_copy(update={"goal": goal})
    series(lab, agreed)
    sprints = lab.store.sprints()
    assert len(sprints) == 2 and sprints[0]["facts"]["shortest"] == sprints[1]["facts"]["shortest"]


def test_the_recipe_claims_against_both_controls(at_half: tuple[Lab, Findings]) -> None:
    lab, found = at_half
    recipe = Path(found.found[-1]["facts"]["recipe"])
    study = Study.model_validate(yaml.safe_load(recipe.read_text())["study"])
    stopped = f"budget.steps={steps_of(found)}"
    line = f"{stopped} model.width=64"
    assert {one.line for one in study.arms} == {stopped, line}
    goal, beyond = study.claims
    assert (goal.arm, goal.against) == (line, None) and (beyond.arm, beyond.against) == (line, stopped)
    assert [part.metric for part in beyond.all] == [ENERGY] and beyond.all[0].size.number == 0
    assert {"budget.steps=400", "model.width=128"} == {*study.control.split()}
    assert "by training shorter" in recipe.read_text() and of_campaign(lab.store, charter(lab).name)

"""status, list, show and compare read what is in the database and make nothing."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from command_lab import Room
from refusal import Refusal
from research.campaign.campaign import CONF, Campaign
from research.campaign.recipe import names
from research.goal.goal import read
from research.goal.saying import sentence
from research.tasks.line import settings
from research.tasks.listing import listing
from research.tasks.task import perform
from research.types import Comparison, Insight, Proposal, Verdict


def proposed(**changed) -> Proposal:
    return Proposal(**{"hypothesis": "less is more", "overrides": ("model.width=16",), **changed})


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    own = [f"store.url=sqlite:///{tmp_path}/lab.db", "task=status"]
    with Campaign(settings(own, CONF)) as campaign:
        answer = perform(campaign)
    assert "nothing was run yet" in answer.text() and not list(tmp_path.iterdir())
    own[1:] = ["task=list", "what=trials"]
    with (
        Campaign(settings(own, CONF)) as campaign,
        pytest.raises(Refusal, match="There is no database at sqlite:"),
    ):
        perform(campaign)
    assert not list(tmp_path.iterdir())


def test_status_counts_what_is_there(room: Room) -> None:
    facts = {"campaign": "c", "number": 2}
    sprint = room.store.add_sprint("fewer joules", facts=facts, folder="runs/c")
    room.store.add_proposal(proposed(), sprint_id=sprint, status="queued")
    room.store.add_proposal(proposed(), sprint_id=sprint, status="refused")
    room.trial("budget.steps=100")
    found = room.ask("status")
    assert found.proposals == {"queued": 1, "refused": 1} and found.trials == {"done": 1}
    assert found.sprints[0].number == 2 and found.sprints[0].proposals == found.proposals
    assert found.spent.campaign == "c" and found.spent.trials == 0
    own = yaml.safe_load((CONF / "part" / "budget.yaml").read_text())["budget"]
    assert found.budget == own and own["trials"] > 0 and own["seconds"] > 0
    assert "1 queued for task=run" in found.text() and json.loads(found.document())["trials"] == {"done": 1}


def test_status_says_what_the_newest_sprint_asks_as_it_was_understood(room: Room) -> None:
    goal = "at most 1 % accuracy loss, 30 % fewer joules"
    understood = read(goal, CONF)
    asked = understood.objective.model_dump(mode="json")
    charter = {"goal": understood.model_dump(mode="json")}
    room.store.add_sprint("a recipe", facts={})
    room.store.add_sprint(goal, objective=asked, facts={"charter": charter})
    found = room.ask("status")
    assert [sprint.asked for sprint in found.sprints] == [sentence(understood), None]
    assert f"the newest asks: {sentence(understood)}" in found.text()
    assert "by at least 30 % of the control's, with accuracy at most 1 point below" in found.text()


def test_status_tells_joules_and_running_trials_by_the_database(room: Room) -> None:
    room.store.add_sprint("fewer joules", facts={"campaign": "c"})
    from research.types import Key

    done = room.store.claim(Key("a", "c", "d", "h"), config={}, overrides=["x=1"], sweep="c")
    room.store.finish(done, {"train/energy_j": 12.5})
    room.store.claim(Key("b", "c", "d", "h"), config={}, overrides=["x=2"], sweep="c")
    found = room.ask("status")
    assert found.spent.joules == 12.5 and found.spent.trials == 2
    assert [one.overrides for one in found.running] == [("x=2",)] and 0 <= found.running[0].seconds < 60


def test_what_a_model_cost_is_unknown_rather_than_nothing(room: Room) -> None:
    sprint = room.store.add_sprint("fewer joules", facts={"campaign": "c"})
    said = {"role": "reviewer", "model": "m", "prompt": "p", "reply": "r", "outcome": "ok"}
    room.store.add_interaction(sprint_id=sprint, **said, dollars=0.25)
    assert room.ask("status").text().count("0 trials, 0 J, $0.2500 by c") == 1
    room.store.add_interaction(sprint_id=sprint, **said, dollars=None)
    found = room.ask("status")
    assert found.spent.dollars is None and "0 trials, 0 J, unknown dollars by c" in found.text()


def test_what_was_stopped_early_is_told_as_stopped_and_its_joules_are_spent(room: Room) -> None:
    from research.types import Key

    room.store.add_sprint("fewer joules", facts={"campaign": "c"})
    done, lost, broken = (
        room.store.claim(Key(name, "c", "d", "h"), config={}, overrides=[], sweep="c") for name in "abe"
    )
    room.store.finish(done, {"train/energy_j": 12.5})
    why = "Stopped: stopped early: 4 J come to 9 J [printed: runs/1.log]"
    room.store.fail(lost, why, {"spent": {"train/energy_j": 4.0}})
    room.store.fail(broken, "diverged: the loss is nan")
    found = room.ask("status")
    assert found.trials == {"done": 1, "failed": 1, "stopped": 1} and found.spent.joules == 16.5
    (row,) = room.ask("list", what="trials", status="stopped").rows
    assert row["id"] == 2 and row["reason"] == "4 J come to 9 J"
    assert [row["id"] for row in room.ask("list", what="trials", status="failed").rows] == [3]
    shown = room.ask("show", id=2)
    assert shown.about["status"] == "stopped" and " UTC" in shown.text() and shown.about["started"] > 1e9


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"what": None}, "what is missing: choose what=proposals|"),
        (
            {"what": "models"},
            "what=models cannot be listed: choose what=proposals|trials|insights|recipes.",
        ),
        (
            {"what": "trials", "status": "open"},
            "choose status=queued|leased|running|done|failed|stopped|cancelled",
        ),
        ({"what": "recipes", "status": "done"}, "leave status out"),
        ({"what": "trials", "limit": 0}, "limit=0 lists nothing"),
    ],
)
def test_a_list_that_cannot_be_made_is_refused(empty: Room, keys: dict, said: str) -> None:
    with pytest.raises(Refusal) as stop:
        empty.ask("list", **keys)
    assert said in str(stop.value)


def test_recipes_are_listed_whole_unless_a_limit_is_typed(tmp_path: Path) -> None:
    own = [f"store.url=sqlite:///{tmp_path}/lab.db", "task=list", "what=recipes"]
    with Campaign(settings(own, CONF)) as campaign:
        every = listing(campaign, "recipes", None, None).rows
        assert 10 < len(every) <= len(names(CONF)), "some recipes ask nothing"
        assert listing(campaign, "recipes", None, 2).rows == every[:2]
        assert listing(campaign, "proposals", None, 1).recipes == every[:1]


@pytest.mark.slow
def test_lists_keep_the_newest_and_filter_by_status(room: Room) -> None:
    for status in ("queued", "refused", "queued"):
        room.store.add_proposal(proposed(), status=status, facts={"review": {"score": 7.5}})
    assert [row["id"] for row in room.ask("list", what="experiments", limit=2).rows] == [2, 3]
    queued = room.ask("list", what="proposals", status="queued")
    assert [row["id"] for row in queued.rows] == [1, 3] and queued.rows[0]["score"] == 7.5
    assert "less is more" in queued.text()
    assert room.ask("list", what="insights").text() == "no insights"
    first = room.trial("budget.steps=100")
    (row,) = room.ask("list", what="trials").rows
    assert row["id"] == first and row["method"] == "estimated" and row["joules"] > 0


def test_show_has_the_row_and_what_belongs_to_it(room: Room) -> None:
    one = room.trial("budget.steps=100")
    shown = room.ask("show", id=one)
    assert shown.figures["test/accuracy"] > 0.5 and shown.about["energy_method"] == "estimated"
    assert shown.command == "python train.py data=digits budget.steps=100 seed=0"
    sprint = room.store.add_sprint("goal", facts={"campaign": "c", "charter": {"much": 1}})
    number = room.store.add_proposal(
        proposed(), sprint_id=sprint, status="supported", facts={"screened": [one]}
    )
    room.store.add_review(number, role="reviewer", score=6.0, content={"reasons": ["too wide"]})
    found = Comparison(
        metric="m", n=3, difference=1, low=0.5, high=2, effect_size=1, p_value=0.01, level=0.95
    )
    verdict = Verdict(word="supported", comparison=found, reason="r", trial_ids=(one,))
    insight = Insight(claim="it helps", verdict=verdict, energy_method="estimated", command="python train.py")
    room.store.add_insight(insight, sprint_id=sprint, proposal_id=number, facts={"rating": 6})
    experiment = room.ask("show", id=f"experiment:{number}")
    assert experiment.related["trials"]["screened"] == [one] and experiment.related["insights"] == [1]
    assert experiment.related["reviews"][0]["score"] == 6.0 and "too wide" in experiment.text()
    assert room.ask("show", id="insight:1").about["rating"] == 6
    assert room.ask("show", id="sprint:1").related["insights"] == ["supported: it helps"]
    assert "charter" not in room.ask("show", id="sprint:1").text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "id is missing: give the number of one trial, as id=12 or id=proposal:3"),
        ("9", "There is no trial 9"),
        ("experiment:9", "There is no proposal 9"),
        ("sprint:9", "There is no sprint 9 in this database: task=status"),
        ("0", "id=0 names nothing"),
        ("model:1", "id=model:1 names nothing"),
        ("1; drop table trial", "names nothing"),
    ],
)
def test_a_row_that_is_not_there_is_one_sentence(empty: Room, given: str | None, said: str) -> None:
    with pytest.raises(Refusal) as stop:
        empty.ask("show", id=given)
    assert said in str(stop.value)


@pytest.mark.slow
def test_trials_are_compared_with_all_seeds_that_both_have(room: Room) -> None:
    few = [room.trial("budget.steps=100", seed=seed) for seed in range(4)]
    many = [room.trial("budget.steps=800", seed=seed) for seed in range(3)]
    found = room.ask("compare", a=few[1], b=many[2])
    assert found.comparable and found.seeds == (0, 1, 2) and found.a.trials[0] == few[0]
    rows = {row.metric: row for row in found.rows}
    assert rows["test/accuracy"].word == "better" and rows["train/energy_j"].word == "worse"
    assert rows["size/parameters"].word == "equal" and rows["train/energy_j"].comparison.low > 0
    assert "no error control" not in found.text() and "corrects for looking at many" in found.text()
    wide = [room.trial("model.width=256", seed=seed) for seed in (0,)]
    one = room.ask("compare", a=few[0], b=wide[0])
    assert one.seeds == (0,) and {row.word for row in one.rows if row.metric == "test/accuracy"} == {"open"}
    assert "3 are needed" in one.text()
    exact = next(row for row in one.rows if row.metric == "size/parameters")
    assert exact.word == "worse"


@pytest.mark.slow
def test_what_cannot_be_compared_says_why(room: Room) -> None:
    first, other = room.trial("budget.steps=100", seed=0), room.trial("budget.steps=200", seed=1)
    found = room.ask("compare", a=first, b=other)
    assert not found.comparable and "they share no seed (a has 0, b has 1)" in found.why
    assert "not comparable" in found.text()
    with pytest.raises(Refusal, match="point at two different ones"):
        room.ask("compare", a=first, b=f"trial:{first}")
    with pytest.raises(Refusal, match="There is no trial 99"):
        room.ask("compare", a=first, b=99)
    again = room.trial("budget.steps=100", seed=2)
    with pytest.raises(Refusal, match=f"trial:{first} and trial:{again} are one configuration"):
        room.ask("compare", a=first, b=again)
    number = room.store.add_proposal(proposed(), status="queued")
    with pytest.raises(Refusal, match="has no finished trial"):
        room.ask("compare", a=first, b=f"experiment:{number}")


@pytest.mark.slow
def test_joules_of_another_method_are_not_compared(room: Room) -> None:
    first, other = room.trial("budget.steps=100"), room.trial("budget.steps=200")
    from research.store.schema import trial

    with room.store.write() as sql:
        sql.execute(sa.update(trial).where(trial.c.id == other).values(facts={"energy_method": "nvml"}))
    rows = {row.metric: row for row in room.ask("compare", a=first, b=other).rows}
    assert "different methods (estimated, nvml)" in rows["train/energy_j"].reason
    assert rows["test/accuracy"].comparison is not None


@pytest.mark.slow
def test_experiments_are_compared_on_the_last_stage_that_both_reached(room: Room) -> None:
    few = [room.trial("budget.steps=100", seed=seed) for seed in range(4)]
    many = [room.trial("budget.steps=800", seed=seed) for seed in range(4)]
    a = room.store.add_proposal(
        proposed(), status="promoted", facts={"screened": few[:1], "promoted": few[1:]}
    )
    b = room.store.add_proposal(
        proposed(), status="supported", facts={"screened": many[:1], "promoted": many[1:], "confirmed": [9]}
    )
    found = room.ask("compare", a=f"experiment:{a}", b=f"experiment:{b}")
    assert found.stage == "promoted" and found.seeds == (1, 2, 3)
    assert "the two trainings of a pair were begun" in found.text()


@pytest.mark.slow
def test_contenders_that_were_confirmed_on_seeds_of_their_own_meet_in_the_promotion(room: Room) -> None:
    numbers = []
    for line, fresh in (("budget.steps=100", 7), ("budget.steps=800", 8)):
        promoted, confirmed = ([room.trial(line, seed=seed)] for seed in (1, fresh))
        facts = {"promoted": promoted, "confirmed": confirmed}
        numbers.append(room.store.add_proposal(proposed(), status="open", facts=facts))
    found = room.ask("compare", a=f"experiment:{numbers[0]}", b=f"experiment:{numbers[1]}")
    assert found.stage == "promoted" and found.seeds == (1,)

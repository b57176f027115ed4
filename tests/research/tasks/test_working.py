"""suggest, review, improve and run on a small task, with its rows in a real store."""

from pathlib import Path

import pytest

import construct
from command_lab import Room
from refusal import Refusal
from research.tasks import execute
from research.tasks.task import perform
from research.types import Proposal

GOAL = "90 % accuracy for fewer joules"


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sources below are named where a person would name theirs."""
    monkeypatch.setattr(construct, "_trusted", {f"{__name__}.Odd", f"{__name__}.Remembers"})


def proposed(room: Room, *typed: str, status: str = "queued", **facts) -> int:
    proposal = Proposal(hypothesis="h", overrides=typed, proposer="random", refuted_by="an interval")
    return room.store.add_proposal(proposal, status=status, facts=facts)


def status(room: Room, number: int) -> str:
    return next(row["status"] for row in room.store.proposals() if row["id"] == number)


@pytest.mark.slow
def test_suggestions_pass_the_gate_and_are_queued_on_demand(room: Room) -> None:
    shown = room.ask("suggest", count=4)
    assert len(shown.suggestions) == 4 and len({one.signature for one in shown.suggestions}) == 4
    assert all(one.id is None and not room.lab.space.check(list(one.overrides)) for one in shown.suggestions)
    assert room.store.proposals() == [] and room.lab.ran == []
    kept = room.ask("suggest", count=3, queue=True)
    rows = room.store.proposals(status="queued")
    assert [one.id for one in kept.suggestions] == [row["id"] for row in rows] == [1, 2, 3]
    again = room.ask("suggest", count=3, queue=True)
    assert not {one.signature for one in kept.suggestions} & {one.signature for one in again.suggestions}
    assert "objective  Minimise training energy (train/energy_j), with accuracy at least " in shown.text()


@pytest.mark.slow
def test_what_was_refused_is_counted_with_its_reason(room: Room) -> None:
    sources = {"odd": {"_target_": f"{__name__}.Odd", "_partial_": True}}
    with room.campaign("suggest", count=2) as campaign:
        campaign.config["proposer"].update(sources=sources, shares={"odd": 1.0})
        found = perform(campaign)
    assert [one.overrides for one in found.suggestions] == [("model.width=64",)]
    assert any("model.width takes a whole number" in reason for reason in found.refused)
    assert found.refused["exactly this configuration was proposed before: propose something else."] == 2
    assert "1 of 2 were found" in found.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["on", "off"])
def test_memory_is_at_hand_where_it_is_on_and_has_its_doubts(room: Room, mode: str) -> None:
    from research.run.runner import Job

    for at in range(24):
        typed = [f"optimizer.lr={0.06 + at / 1000 if at % 2 else 0.001 + at / 10000:g}", "data=digits"]
        list(room.run([Job(room.lab.space.resolve(typed), typed)]))
    Remembers.given.clear()
    sources = {"recalls": {"_target_": f"{__name__}.Remembers", "_partial_": True}}
    sources["random"] = {"_target_": "research.propose.direct.Random", "_partial_": True}
    with room.campaign("suggest", count=3, memory=mode) as campaign:
        campaign.config["proposer"].update(sources=sources, shares={"recalls": 0.9, "random": 0.1})
        campaign.config["memory"]["doubts"] = {"most_false": 0.1, "probe": 0.0}
        found = perform(campaign)
    doubted = [reason for reason in found.refused if "fail" in reason]
    assert [one.mode for one in Remembers.given] == ["on"] * (mode == "on")
    assert bool(doubted) == (mode == "on")
    assert ("optimizer.lr=0.075",) not in [one.overrides for one in found.suggestions]


class Remembers:
    """Proposes what failed before, then nothing; can only be made with a memory."""

    name, first = "recalls", False
    given: list = []

    def __init__(self, memory) -> None:
        self.given.append(memory)
        self.left = ["optimizer.lr=0.075", "optimizer.lr=0.072"]

    def ask(self, state):
        typed = (self.left.pop(0),) if self.left else None
        return typed and Proposal(hypothesis="h", overrides=typed, proposer="recalls")

    def tell(self, proposal, seen) -> None:
        pass


class Odd:
    """Proposes the impossible, the new, the known and the control, then nothing."""

    name, first = "odd", False

    def __init__(self, fixed: tuple[str, ...]) -> None:
        self.left = ["model.width=9999", "model.width=64", "model.width=64", "model.width=128"]

    def ask(self, state):
        typed = (self.left.pop(0),) if self.left else None
        return typed and Proposal(hypothesis="h", overrides=typed, proposer="odd")

    def tell(self, proposal, seen) -> None:
        pass


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"count": 0}, "count=0 suggests nothing"),
        ({"count": 999}, "from 1 to 200"),
        ({"goal": ""}, "The goal is empty"),
        ({"goal": "best accuracy for fewer joules"}, "two things at once"),
        ({"budget": {"trials": 0}}, "buys nothing"),
        ({"focus": "rates"}, "needs a domain"),
        ({"domain": "optimization", "focus": "taste"}, "has no focus area 'taste'"),
        (
            {"domain": "moe_architecture", "base": []},
            "model has no option 'moe_gpt'|is measured for language",
        ),
        ({"objective": {"metric": "test/beauty"}}, "not a metric whose better direction is known"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(empty: Room, keys: dict, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        empty.ask("suggest", queue=True, **keys)
    assert empty.store.proposals() == []


def test_a_queued_experiment_is_run_beside_its_control(room: Room) -> None:
    number = proposed(room, "budget.steps=100")
    found = room.ask("run", id=f"experiment:{number}", goal=GOAL)
    (one,) = found.proposals
    assert one.status == "screened" == status(room, number) and found.left == 0
    assert one.figures["train/energy_j"] < one.control["train/energy_j"]
    assert not any(key.startswith("test/") for key in {*one.figures, *one.control})
    assert room.store.proposals()[0]["facts"]["screened"] == list(one.trials)
    assert len(room.lab.ran) == 2 and "screened: train/energy_j" in room.console.export_text()
    with pytest.raises(Refusal, match=r"proposal:1 is screened: only what is queued is run"):
        room.ask("run", id=number)


@pytest.mark.slow
def test_an_experiment_that_fails_says_why(room: Room) -> None:
    diverges = proposed(room, "optimizer.lr=0.09")
    assert "diverged" in room.ask("run", id=diverges).proposals[0].reason
    assert status(room, diverges) == "failed"
    refused = proposed(room, "model.width=9999")
    with pytest.raises(Refusal, match=r"model\.width takes"):
        room.ask("run", id=refused)
    assert status(room, refused) == "failed"


@pytest.mark.slow
def test_the_charter_of_the_suggestion_is_run_and_not_todays(room: Room) -> None:
    room.ask("suggest", count=1, queue=True, base=["data=digits", "budget.steps=50"], goal="fewer joules")
    room.ask("run", id=1, base=["data=digits", "budget.steps=900"])
    assert all("budget.steps=50" in typed for typed in room.lab.ran)


@pytest.mark.slow
def test_a_daemon_takes_all_and_gives_back_what_it_had_when_stopped(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [proposed(room, f"budget.steps={steps}") for steps in (100, 120)]

    def stopped(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", stopped)
    found = room.ask("run", daemon=True)
    assert [one.id for one in found.proposals] == numbers and found.left == 0
    last = proposed(room, "budget.steps=140")
    monkeypatch.setattr(room, "run", lambda jobs: stopped(0))
    assert room.ask("run", daemon=True).left == 1 and status(room, last) == "queued"


def test_a_folder_that_cannot_be_written_ends_a_daemon_and_fails_no_proposal(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwritable(*about: object) -> None:
        raise Refusal("runs cannot be written: choose another root=FOLDER.") from PermissionError()

    numbers = [proposed(room, f"optimizer.lr={rate}") for rate in (0.002, 0.004)]
    monkeypatch.setattr(execute, "_screened", unwritable)
    with pytest.raises(Refusal, match="cannot be written"):
        room.ask("run", daemon=True)
    assert {status(room, number) for number in numbers} == {"queued"}


def test_run_takes_an_experiment_or_is_a_daemon(empty: Room) -> None:
    for keys in ({}, {"id": 1, "daemon": True}):
        with pytest.raises(Refusal, match="takes one of the two"):
            empty.ask("run", **keys)
    with pytest.raises(Refusal, match="There is no proposal 5"):
        empty.ask("run", id=5)
    with pytest.raises(Refusal, match="buys nothing"):
        empty.ask("run", id=5, budget={"trials": 0})


def test_a_review_scores_what_waits_once(room: Room) -> None:
    first, other = proposed(room, "budget.steps=100"), proposed(room, "model.width=9999")
    found = room.ask("review")
    assert [one.id for one in found.reviewed] == [first, other]
    assert found.reviewed[0].score >= 7 and found.reviewed[0].by == "stand-in"
    assert status(room, first) == "queued" and status(room, other) == "refused"
    (row,) = room.store.reviews()
    assert row["score"] == found.reviewed[0].score and row["content"]["by"] == "stand-in"
    assert set(row["content"]["scores"]) == {"novelty", "feasibility", "impact", "clarity", "efficiency"}
    assert room.ask("review").reviewed == () and "stand-in" in found.text()


@pytest.mark.slow
def test_what_falls_short_waits_for_its_improvement(room: Room) -> None:
    dear = proposed(room, "budget.steps=2000", "model.width=12", "optimizer.lr=0.002")
    found = room.ask("review", review={"accept": 9.9}).reviewed[0]
    assert found.status == "proposed" == status(room, dear) and found.score < 9.9
    child, *more = room.ask("improve", review={"accept": 9.9}).reviewed
    assert not more and child.parent == dear and child.changed.startswith("dropped budget.steps=2000")
    assert status(room, dear) == "dropped" and status(room, child.id) == child.status
    reasons = next(row["facts"]["reasons"] for row in room.store.proposals() if row["id"] == dear)
    assert "below 9.9: efficiency" in reasons[0] and "improved: dropped budget.steps" in reasons[0]
    rows = room.ask("improve", review={"accept": 9.9}).reviewed
    assert [one.status for one in rows] == (["dropped"] if child.status == "proposed" else [])


@pytest.mark.parametrize("task", ["review", "improve"])
def test_a_limit_of_none_is_refused(empty: Room, task: str) -> None:
    with pytest.raises(Refusal, match="limit=0 reviews nothing"):
        empty.ask(task, limit=0)


def test_a_backup_into_a_folder_has_the_name_of_its_moment(room: Room, tmp_path: Path) -> None:
    copied = room.ask("backup", path=f"{tmp_path}/copies/").path
    assert copied.parent == tmp_path / "copies" and copied.name.startswith("joulelab-2")


@pytest.mark.slow
def test_nothing_is_forgotten_without_a_selection_and_a_yes(room: Room) -> None:
    sprint = room.store.add_sprint("goal", status="done", facts={"campaign": "c"}, folder="runs/c")
    one = room.trial("budget.steps=200")
    proposal = Proposal(hypothesis="h", overrides=("a=1",))
    room.store.add_proposal(proposal, sprint_id=sprint, status="screened", facts={"screened": [one]})
    shown = room.ask("forget", id=f"sprint:{sprint}")
    assert not shown.done and shown.rows.proposals == (1,) and len(room.store.sprints()) == 1
    assert "add yes=true" in shown.text() and "runs/c" in shown.text()
    assert room.ask("forget", id="campaign:c", yes=True).rows.sprints == (sprint,)
    assert room.store.sprints() == [] and len(room.store.trials()) == 1
    gone = room.ask("forget", before="2020-01-01", yes=True)
    assert gone.rows.trials == () and gone.text() == "nothing matches: nothing is deleted"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "task=forget needs a selection: id=sprint:1"),
        ({"id": "trial:1"}, "id=trial:1 names nothing here"),
        ({"before": "yesterday"}, "before=yesterday is no date"),
        ({"yes": True}, "needs a selection"),
        ({"id": "sprint:7", "yes": True}, "There is no sprint 7 in this database"),
        ({"id": "campaign:c", "yes": True}, "There is no campaign 'c' in this database"),
    ],
)
def test_a_selection_that_says_nothing_is_refused(empty: Room, keys: dict, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        empty.ask("forget", **keys)

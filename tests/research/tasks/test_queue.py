"""`task=queue` lists what waits and does what its verbs say; `task=steer` checks a line, then writes it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from command_lab import Room
from refusal import Refusal
from research.store import leases, schema
from research.store.claims import wanted
from research.types import Key, Proposal


@pytest.fixture
def waiting(room: Room) -> Room:
    keys = [Key(f"s{at}", "c", "d", "h") for at in range(3)]
    room.store.enqueue([wanted(key, config={}, overrides=[key.signature], sweep="w") for key in keys])
    return room


def test_what_waits_and_runs_is_listed_with_its_attempts(waiting: Room) -> None:
    (mine,) = waiting.store.take()
    told = waiting.ask("queue")
    assert [(one.id, one.status, one.attempts) for one in told.trials] == [
        (1, "leased", 1), (2, "queued", 0), (3, "queued", 0),
    ]  # fmt: skip
    assert (
        waiting.ask("queue", limit=1).left == 2
        and "and 2 more: limit=3" in waiting.ask("queue", limit=1).text()
    )
    waiting.store.finish(mine, {})
    assert [one.id for one in waiting.ask("queue").trials] == [2, 3]


def test_a_cancel_ends_what_waits_now_and_what_runs_at_its_next_step(waiting: Room) -> None:
    (mine,) = waiting.store.take()
    told = waiting.ask("queue", cancel="w")
    assert told.did == "cancelled: 2 that waited and 1 that run, at their next step"
    assert [(one.id, one.status) for one in told.trials] == [(1, "ending")]
    assert not waiting.store.beat(mine)
    waiting.store.fail(mine, "cancelled: somebody asked for it", outcome="cancelled")
    assert {row.status for row in waiting.store.trials()} == {"cancelled"}
    with pytest.raises(Refusal, match="trial:1 has ended"):
        waiting.ask("queue", cancel="trial:1")


def test_what_is_paused_waits_until_it_is_resumed(waiting: Room) -> None:
    assert {one.status for one in waiting.ask("queue", pause="w").trials} == {"paused"}
    assert waiting.store.take() == [] and "paused: w" in waiting.ask("queue").text()
    assert waiting.ask("queue", resume="w").paused == ()
    waiting.ask("queue", pause="all")
    assert waiting.store.take() == []
    waiting.ask("queue", resume="all")
    assert len(waiting.store.take()) == 1


def test_the_first_is_taken_first(waiting: Room) -> None:
    proposal = Proposal(hypothesis="h", overrides=("a=1",))
    numbers = [waiting.store.add_proposal(proposal, status="queued") for _ in range(2)]
    waiting.ask("queue", first="trial:3", priority=2)
    assert [claim.trial_id for claim in waiting.store.take(most=2)] == [3, 1]
    told = waiting.ask("queue", first=f"proposal:{numbers[1]}", priority=4)
    assert told.proposals == ((numbers[1], 4), (numbers[0], 0))
    assert waiting.ask("queue", cancel=f"proposal:{numbers[1]}").proposals == ((numbers[0], 0),)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"cancel": "trial:9"}, "There is no trial 9"),
        ({"cancel": "nothing"}, "Nothing of 'nothing' waits or runs"),
        ({"resume": "w"}, "'w' is not paused"),
        ({"pause": "w", "resume": "w"}, "takes one of cancel, pause, resume, first"),
        ({"limit": 0}, "limit=0 lists nothing"),
        ({"priority": 3}, "priority=3 is of what is taken first: add first=proposal:3"),
        ({"pause": "w", "priority": 0}, "priority=0 is of what is taken first"),
    ],
)
def test_what_makes_no_sense_is_refused(waiting: Room, keys: dict, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        waiting.ask("queue", **keys)


def test_a_trial_whose_process_is_gone_is_told_as_lost(waiting: Room) -> None:
    waiting.store.take(lease_s=-1.0)
    assert waiting.ask("queue").trials[0].status == "lost"
    status = waiting.ask("status")
    assert status.trials == {"lost": 1, "queued": 2} and status.running == ()
    assert [row["id"] for row in waiting.ask("list", what="trials", status="lost").rows] == [1]
    assert waiting.ask("list", what="trials", status="leased").rows == ()


@pytest.fixture
def steered(room: Room) -> Path:
    """The folder of a campaign; an older one is there too."""
    for name in ("older-1", "newer-2"):
        folder = room.lab.folder / "runs" / "agent" / name
        folder.mkdir(parents=True)
        facts = {"campaign": name, "number": 1, "charter": {"goal": {}}}
        room.store.add_sprint(name, folder=str(folder / "sprint-1"), facts=facts)
    return folder


def test_a_line_is_written_to_the_newest_campaign_and_shown(room: Room, steered: Path) -> None:
    room.ask("steer", say="exclude lion")
    told = room.ask("steer", say="focus optimizer.lr")
    assert (steered / "steer.md").read_text() == "exclude optimizer=lion\nfocus optimizer.lr\n"
    assert told.campaign == "newer-2" and told.said == ("exclude optimizer=lion", "focus optimizer.lr")
    assert "said       focus optimizer.lr" in told.text() and str(steered / "steer.md") in told.text()
    (steered / "steer.md").write_text("faster\nstop\n")
    shown = room.ask("steer")
    assert shown.said == ("stop",) and "wrong      line 1 of steer.md is left out" in shown.text()
    assert not (steered.parent / "older-1" / "steer.md").exists()


def test_an_older_campaign_is_steered_by_its_name(room: Room, steered: Path) -> None:
    room.ask("steer", say="stop", id="campaign:older-1")
    assert (steered.parent / "older-1" / "steer.md").read_text() == "stop\n" and not list(steered.iterdir())


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"say": "exclude transformers"}, "'transformers' is nothing that proposals turn"),
        ({"say": "quickly"}, "steers nothing: say focus NAMES"),
        ({"say": "stop", "id": "campaign:nobody"}, "There is no campaign 'nobody'"),
    ],
)
def test_a_line_that_is_not_understood_is_refused_and_nothing_is_written(
    room: Room, steered: Path, keys: dict[str, str], complaint: str
) -> None:
    with pytest.raises(Refusal, match=complaint):
        room.ask("steer", **keys)
    assert not list(steered.iterdir())


def test_without_a_campaign_there_is_nothing_to_steer(room: Room) -> None:
    room.store.add_sprint("x", facts={})
    with pytest.raises(Refusal, match="There is no campaign yet"):
        room.ask("steer", say="stop")


def test_a_sprint_that_nobody_runs_any_more_is_told_as_lost(room: Room) -> None:
    room.store.add_sprint("it ended", facts={"campaign": "b"})
    room.store.set_sprint(1, "done")
    room.store.add_sprint("fewer joules", facts={"campaign": "c"})
    room.store.add_sprint("a recipe", folder="runs/r", facts={})
    with room.store.write() as connection:
        mine = [leases.take(connection, name) for name in ("campaign c", "recipe runs/r")]
    assert [sprint.status for sprint in room.ask("status").sprints] == ["running", "running", "done"]
    with room.store.write() as connection:  # the lease of one ran out, the other was given back
        held = schema.lease.c.name
        connection.execute(sa.update(schema.lease).where(held == mine[0].name).values(until=0))
        connection.execute(sa.delete(schema.lease).where(held == mine[1].name))
    found = room.ask("status")
    assert [sprint.status for sprint in found.sprints] == [
        "lost",
        "lost",
        "done",
    ] and " lost " in found.text()
    assert room.ask("show", id="sprint:2").about["status"] == "lost"

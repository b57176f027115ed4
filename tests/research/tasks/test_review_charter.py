"""What waits is reviewed and improved under the charter that it was proposed in, not under today's."""

import pytest

from command_lab import Room

GOAL = "90 % accuracy for fewer joules"


@pytest.mark.parametrize("task", ["review", "improve"])
def test_what_waits_is_judged_by_what_it_was_proposed_for_and_not_by_what_is_asked_now(
    room: Room, task: str
) -> None:
    """Under today's charter the gate refuses each of them: what they turn is fixed there."""
    own = {"base": ["data=digits", "budget.steps=50"], "goal": GOAL}
    ids = [one.id for one in room.ask("suggest", count=3, queue=True, **own).suggestions]
    room.ask("review", review={"accept": 10, "improve": 1}, **own) if task == "improve" else None
    fixed = ["data=digits", "optimizer=adamw", "model.width=16", "optimizer.lr=0.001", "budget.steps=9"]
    found = room.ask(task, base=fixed, review={"accept": 10, "improve": 1}).reviewed
    assert "refused" not in {one.status for one in found}
    assert "refused" not in {row["status"] for row in room.store.proposals()}
    if task == "review":
        assert [one.id for one in found] == ids and all(one.by == "stand-in" for one in found)

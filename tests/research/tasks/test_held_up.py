"""`task=run` on a machine where somebody else works: what is held up stays queued, and is tried later."""

import pytest

from command_lab import Room
from refusal import Refusal
from research.store import leases
from research.types import Proposal

HELD = {"train": "its threads waited 2.1 s for a processor while they ran 1 s"}


@pytest.fixture
def busy(room: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    """A room in which each trial is disturbed, with a proposal that waits."""
    finish = room.store.finish
    monkeypatch.setattr(
        room.store,
        "finish",
        lambda claim, metrics, facts: finish(claim, metrics, facts | {"disturbed": HELD}),
    )
    proposal = Proposal(hypothesis="h", overrides=("budget.steps=100",))
    room.store.add_proposal(proposal, status="queued")
    return room


def test_a_proposal_that_is_run_by_its_number_stays_queued(busy: Room) -> None:
    for _ in range(2):  # typed again it is tried at once
        with pytest.raises(Refusal, match="too busy to settle train/energy_j"):
            busy.ask("run", id=1)
        assert busy.store.proposals()[0]["status"] == "queued"
    assert leases.next_proposal(busy.store) is None, "a daemon leaves it alone for a while"


def test_a_daemon_leaves_it_in_the_queue_and_takes_it_later(
    busy: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("research.campaign.trials.time.sleep", stopped)
    assert busy.ask("run", daemon=True).left == 1
    (row,) = busy.store.proposals()
    assert row["status"] == "queued" and "too busy" in row["facts"]["reasons"][0]
    assert "A daemon takes it again in 300 s" in " ".join(busy.console.export_text().split())
    assert leases.next_proposal(busy.store) is None
    with busy.store.write() as connection:  # its time has come
        leases._set(connection, 1, "queued", {**row["facts"], "later": row["facts"]["later"] - 301})
    taken = leases.next_proposal(busy.store)
    assert taken is not None
    leases.end_proposal(busy.store, taken, "screened", {})
    assert "later" not in busy.store.proposals()[0]["facts"]

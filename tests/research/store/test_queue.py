"""No two daemons run one experiment; when a runner is gone another takes it over, and alone may write."""

import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from research.store.claims import Lost, place
from research.store.queue import ProposalClaim, Queue
from research.store.schema import proposal
from research.store.store import Store
from research.types import Proposal


def queued(store: Store, status: str = "queued", **facts) -> int:
    proposal = Proposal(hypothesis="h", overrides=("a=1",))
    return store.add_proposal(proposal, status=status, facts=facts)


def row(store: Store, number: int) -> dict:
    return next(one for one in store.proposals() if one["id"] == number)


def lease(store: Store, number: int, **changed) -> None:
    facts = row(store, number)["facts"]
    facts["lease"] |= changed
    with store.write() as sql:
        sql.execute(sa.update(proposal).where(proposal.c.id == number).values(facts=facts))


def test_the_oldest_is_taken_first_and_once(store: Store) -> None:
    first, second = queued(store, signature="s"), queued(store)
    queued(store, status="proposed"), queued(store, status="running")
    queue = Queue(store)
    assert queue.take() == ProposalClaim(first, 1) and queue.take() == ProposalClaim(second, 1)
    assert queue.take() is None and queue.take(first) is None
    assert row(store, first)["status"] == "running" and row(store, first)["facts"]["signature"] == "s"


def test_what_ended_is_written_beside_what_was_known(store: Store) -> None:
    number = queued(store, signature="s")
    queue = Queue(store)
    taken = queue.take(number)
    queue.finish(taken, "screened", {"screened": [7]})
    found = row(store, number)
    assert found["status"] == "screened" and found["facts"]["signature"] == "s"
    assert found["facts"]["screened"] == [7] and "owner" not in found["facts"]["lease"]
    with pytest.raises(Lost):
        queue.finish(taken, "failed", {})


@pytest.mark.parametrize(
    "gone",
    [lambda: {"until": 0.0}, lambda: {"owner": f"{place()} 999999999 1"}],
    ids=["its lease ended", "its owner died"],
)
def test_a_runner_that_is_gone_loses_the_experiment(store: Store, gone: Callable[[], dict]) -> None:
    number = queued(store)
    queue = Queue(store)
    former = queue.take()
    assert queue.take() is None
    lease(store, number, **gone())
    later = queue.take()
    assert later == ProposalClaim(number, 2)
    for late in (lambda: queue.renew(former), lambda: queue.finish(former, "screened", {})):
        with pytest.raises(Lost, match="taken over"):
            late()
    queue.finish(later, "screened", {"screened": [1]})
    assert row(store, number)["status"] == "screened"


def test_a_paused_runner_finds_a_newer_token_even_when_its_experiment_waits_again(store: Store) -> None:
    queued(store)
    queue = Queue(store)
    former = queue.take()
    lease(store, former.id, until=0.0)
    queue.give_back(queue.take())
    third = queue.take()
    assert third.token == 3
    with pytest.raises(Lost):
        queue.finish(former, "failed", {})


def test_a_lease_is_renewed_while_the_body_runs(store: Store) -> None:
    number = queued(store)
    queue = Queue(store, lease_s=0.3)
    taken = queue.take()
    before = row(store, number)["facts"]["lease"]["until"]
    with queue.keep(taken) as lost:
        assert not lost.wait(0.35)
    assert row(store, number)["facts"]["lease"]["until"] > before


@pytest.mark.slow
def test_many_daemons_take_each_experiment_once(store: Store) -> None:
    numbers = {queued(store) for _ in range(12)}
    found: list[int] = []

    def daemon() -> None:
        queue = Queue(store)
        while (taken := queue.take()) is not None:
            found.append(taken.id)

    threads = [threading.Thread(target=daemon) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(numbers)

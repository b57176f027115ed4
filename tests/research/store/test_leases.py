"""No two processes run one campaign or proposal; when one is gone another takes over, and alone may write."""

import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from refusal import Refusal
from research.store import leases
from research.store.leases import Lease
from research.store.owners import place
from research.store.schema import lease
from research.store.store import Lost, Store
from research.types import Proposal


def queued(store: Store, status: str = "queued", **facts) -> int:
    proposal = Proposal(hypothesis="h", overrides=("a=1",))
    return store.add_proposal(proposal, status=status, facts=facts)


def row(store: Store, number: int) -> dict:
    return next(one for one in store.proposals() if one["id"] == number)


def take(store: Store, name: str, lease_s: float = 60.0) -> Lease | str:
    with store.write() as sql:
        return leases.take(sql, name, lease_s)


def until(store: Store) -> float:
    with store.read() as sql:
        return sql.execute(sa.select(lease.c.until)).scalar_one()


def change(store: Store, **changed) -> None:
    with store.write() as sql:
        sql.execute(sa.update(lease).values(**changed))


def test_the_most_urgent_and_oldest_is_taken_first_and_once(store: Store) -> None:
    first, second, urgent = queued(store, signature="s"), queued(store), queued(store, priority=1)
    queued(store, status="proposed"), queued(store, status="running")
    names = [leases.next_proposal(store).name for _ in range(3)]
    assert names == [f"proposal {number}" for number in (urgent, first, second)]
    assert leases.next_proposal(store) is None and leases.next_proposal(store, first) is None
    assert row(store, first)["status"] == "running" and row(store, first)["facts"]["signature"] == "s"


def test_what_ended_is_written_beside_what_was_known(store: Store) -> None:
    number = queued(store, signature="s")
    taken = leases.next_proposal(store, number)
    leases.end_proposal(store, taken, "screened", {"screened": [7]})
    assert row(store, number)["status"] == "screened"
    assert row(store, number)["facts"] == {"signature": "s", "screened": [7]}


@pytest.mark.parametrize(
    "gone",
    [lambda: {"until": 0.0}, lambda: {"owner": f"{place()} 999999999 1"}],
    ids=["its lease ended", "its owner died"],
)
def test_a_runner_that_is_gone_loses_the_proposal(store: Store, gone: Callable[[], dict]) -> None:
    number = queued(store)
    former = leases.next_proposal(store)
    assert leases.next_proposal(store) is None
    change(store, **gone())
    later = leases.next_proposal(store)
    assert later.name == former.name and later.token != former.token
    with pytest.raises(Lost, match="taken over"):
        leases.end_proposal(store, former, "screened", {})
    leases.end_proposal(store, later, "screened", {"screened": [1]})
    assert row(store, number)["status"] == "screened"


@pytest.mark.slow
def test_a_lease_is_held_while_the_body_runs_and_given_back(store: Store) -> None:
    mine = take(store, "campaign c", 3.0)
    assert isinstance(take(store, "campaign c"), str)
    first, end = until(store), time.monotonic() + 60
    with leases.held(store, mine, 3.0) as lost:
        while until(store) == first:
            assert not lost.is_set() and time.monotonic() < end
            time.sleep(0.05)
        with store.read() as sql:
            assert list(leases.holders(sql)) == ["campaign c"]
    assert isinstance(take(store, "campaign c"), Lease)


def test_who_lost_a_lease_writes_nothing_more_and_leaves_the_new_one_alone(store: Store) -> None:
    mine = take(store, "campaign c", 60)
    with leases.held(store, mine, 0.3) as lost:
        store.guard = lambda sql: leases.owned(sql, mine)
        change_store = Store(store._url)
        change(change_store, until=0.0)
        later = take(change_store, "campaign c")
        with pytest.raises(Lost):
            store.add_sprint("late")
        assert lost.wait(20)
        store.guard = None
    assert isinstance(take(change_store, "campaign c"), str), "the newer lease was taken away"
    with store.read() as sql:
        leases.owned(sql, later)
    assert store.sprints() == []
    change_store.close()


def test_only_what_is_queued_is_changed(store: Store) -> None:
    number = queued(store)
    leases.alter_proposal(store, number, "dropped", {"reasons": ["x"]})
    with pytest.raises(Refusal, match="is dropped: only one that is queued"):
        leases.alter_proposal(store, number, "queued", {})


@pytest.mark.slow
def test_many_daemons_take_each_proposal_once(store: Store) -> None:
    numbers = {queued(store) for _ in range(12)}
    found: list[str] = []
    empty = threading.Event()

    def daemon() -> None:
        while not empty.is_set():
            taken = leases.next_proposal(store)
            if taken is None and not store.proposals(status="queued"):
                empty.set()
            elif taken is not None:
                found.append(taken.name)

    threads = [threading.Thread(target=daemon) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(f"proposal {number}" for number in numbers)

"""Leases by name, for what one process does at a time though it is no trial: a campaign, a queued proposal.

A lease that ended by the database's clock, or whose owner died on this host, is taken over; the random token
keeps the former owner from writing.
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, final

import sqlalchemy as sa

from refusal import Refusal
from research.store.attempts import LEASE_S, Lost
from research.store.claims import new_only
from research.store.outage import at_once
from research.store.owners import dead, owner
from research.store.schema import clock, lease, proposal
from research.store.store import Store

_C, _P = lease.c, proposal.c


@final
@dataclass(frozen=True)
class Lease:
    """The right to what has this name."""

    name: str
    token: str


def take(connection: sa.Connection, name: str, lease_s: float = LEASE_S) -> Lease | str:
    """Take a lease, or return who holds it."""
    query = sa.select(_C.owner, (_C.until < clock()).label("over")).where(_C.name == name).with_for_update()
    row = connection.execute(query).first()
    if row is not None and not row.over and not dead(row.owner):
        return str(row.owner)
    mine = Lease(name, secrets.token_hex(16))
    values = {"token": mine.token, "owner": owner(), "until": clock() + lease_s}
    if row is not None:
        connection.execute(sa.update(lease).where(_C.name == name).values(**values))
        return mine
    new = new_only(connection, lease, {"name": name, **values})
    return mine if connection.execute(new.returning(_C.name)).first() else "another"


def owned(connection: sa.Connection, mine: Lease) -> None:
    """Raise `Lost` when another took over; the lease cannot be taken until the transaction ends."""
    query = sa.select(_C.token).where(_C.name == mine.name).with_for_update()
    if connection.execute(query).scalar() != mine.token:
        raise Lost(f"The {mine.name} was taken over: nothing of this run is written any more.")


def holders(connection: sa.Connection) -> dict[str, str]:
    """Name -> owner of every lease that somebody holds."""
    rows = connection.execute(sa.select(_C.name, _C.owner).where(_C.until >= clock()))
    return {row.name: row.owner for row in rows if not dead(row.owner)}


def of_sprint(row: Any) -> str:
    """The lease under which a sprint is run: its campaign's, or its recipe's by the folder."""
    facts = row["facts"] if isinstance(row, Mapping) else row.facts
    folder = row["folder"] if isinstance(row, Mapping) else row.folder
    return f"campaign {facts['campaign']}" if "campaign" in facts else f"recipe {folder}"


def word(connection: sa.Connection, row: Any) -> str:
    """A sprint's status as people read it: one that runs, though nobody holds its lease, is lost."""
    status = str(row["status"])
    return "lost" if status == "running" and of_sprint(row) not in holders(connection) else status


@contextmanager
def held(store: Store, mine: Lease, lease_s: float = LEASE_S) -> Iterator[threading.Event]:
    """Hold on to a lease while the body runs, and give it back; yields an event that is set when it is lost.

    A database that cannot be reached for a moment is tried again: who writes asks `owned` in any case.
    """

    def renew() -> None:
        with store.write() as connection:
            owned(connection, mine)
            connection.execute(sa.update(lease).where(_C.name == mine.name).values(until=clock() + lease_s))

    stop, lost = threading.Event(), threading.Event()
    thread = threading.Thread(target=_keep, args=(renew, lease_s, stop, lost), name="lease", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        stop.set()
        thread.join()
        with at_once(), suppress(Refusal), store.write() as connection:
            connection.execute(sa.delete(lease).where(_C.name == mine.name, _C.token == mine.token))


def _keep(renew: Callable[[], None], lease_s: float, stop: threading.Event, lost: threading.Event) -> None:
    while not stop.wait(lease_s / 3):
        try:
            with at_once():  # whoever holds it waits for this thread at the end
                renew()
        except Lost:
            lost.set()
            return
        except Refusal:
            continue


def next_proposal(store: Store, number: int | None = None) -> Lease | None:
    """Take a queued proposal, or the next whose runner is gone: the most urgent and oldest first.

    What waits for a later moment is taken by its number only.
    """
    with store.write() as connection:
        now = float(connection.execute(sa.select(clock())).scalar_one())
        rows = sa.select(_P.id, _P.status, _P.facts).order_by(_P.status, _P.id)
        waiting = rows.where(_P.status.in_(("queued", "running")))
        if number is not None:
            waiting = waiting.where(_P.id == number)
        waiting = waiting.with_for_update(skip_locked=True)
        urgent = sorted(connection.execute(waiting), key=lambda row: -int(row.facts.get("priority", 0)))
        for row in urgent:
            if number is None and row.facts.get("later", now) > now:
                continue
            # What a sprint runs stays its own.
            if row.status == "running" and not (row.facts.get("taken") or row.facts.get("lease")):
                continue
            mine = take(connection, f"proposal {row.id}")
            if isinstance(mine, Lease):
                _set(connection, row.id, "running", {**row.facts, "taken": True})
                return mine
    return None


def end_proposal(
    store: Store, mine: Lease, status: str, facts: Mapping[str, Any], later_s: float | None = None
) -> None:
    """Write how a proposal ended, beside what was written before; `later_s`: nobody takes it up before then.

    Raises `Lost` when another took over.
    """
    number = int(mine.name.partition(" ")[2])
    with store.write() as connection:
        owned(connection, mine)
        before = connection.execute(sa.select(_P.facts).where(_P.id == number)).scalar_one_or_none()
        if before is None:
            raise Lost(f"Proposal {number} was forgotten: nothing of this run is written.")
        rest = {key: value for key, value in before.items() if key not in ("taken", "lease", "later")}
        if later_s is not None:
            rest["later"] = float(connection.execute(sa.select(clock())).scalar_one()) + later_s
        _set(connection, number, status, {**rest, **facts})


def alter_proposal(store: Store, number: int, status: str, facts: Mapping[str, Any]) -> None:
    """Change a proposal that is queued. Raises `Refusal` for one that is not."""
    with store.write() as connection:
        query = sa.select(_P.status, _P.facts).where(_P.id == number).with_for_update()
        row = connection.execute(query).one()
        if row.status != "queued":
            raise Refusal(f"proposal:{number} is {row.status}: only one that is queued can be changed.")
        _set(connection, number, status, {**row.facts, **facts})


def _set(connection: sa.Connection, number: int, status: str, facts: dict[str, Any]) -> None:
    connection.execute(sa.update(proposal).where(_P.id == number).values(status=status, facts=facts))

"""The queue of proposals: who takes one holds a lease, so that two daemons never run the same one.

A lease is kept in the proposal's facts: owner, token, and until when by the database's clock. One that
ended, or whose owner died on this host, is taken over; the token keeps the former owner from writing. What
a process that died could not write itself is written for it: the reason, in the row of its trial.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, final

import sqlalchemy as sa

from research.space import identity
from research.space.signature import signature
from research.store.claims import Lost, buried, dead, kept, owner
from research.store.schema import clock, proposal
from research.store.store import Store

LEASE_S = 60.0
_C = proposal.c


@final
@dataclass(frozen=True)
class ProposalClaim:
    """The right to run one proposal."""

    id: int
    token: int


@final
class Queue:
    """Proposals with status `queued`, oldest first, and those whose runner is gone."""

    def __init__(self, store: Store, lease_s: float = LEASE_S) -> None:
        self._store, self._lease_s = store, lease_s

    def take(self, number: int | None = None) -> ProposalClaim | None:
        """Claim one proposal, or the next; None when there is none that waits."""
        with self._store.write() as connection:
            now = connection.execute(sa.select(clock())).scalar_one()
            rows = sa.select(_C.id, _C.status, _C.facts).order_by(_C.status, _C.id)
            waiting = rows.where(_C.status.in_(("queued", "running")))
            if number is not None:
                waiting = waiting.where(_C.id == number)
            for row in connection.execute(waiting.with_for_update(skip_locked=True)):
                if row.status == "queued" or _left(row.facts, now):
                    token = _token(row.facts) + 1
                    self._write(connection, row.id, "running", self._held(row.facts, token, now))
                    return ProposalClaim(row.id, token)
        return None

    def keep(self, taken: ProposalClaim) -> AbstractContextManager[Any]:
        """Renew the lease from a thread while the body runs; yields an event that is set when it is lost."""
        return kept(lambda seconds: self.renew(taken), self._lease_s)

    def renew(self, taken: ProposalClaim) -> None:
        """Extend the lease. Raises `Lost` when another took over."""
        with self._store.write() as connection:
            facts = self._own(connection, taken)
            now = connection.execute(sa.select(clock())).scalar_one()
            self._write(connection, taken.id, "running", self._held(facts, taken.token, now))

    def finish(self, taken: ProposalClaim, status: str, facts: Mapping[str, Any]) -> None:
        """Write how it ended, beside what was written before. Raises `Lost` when another took over."""
        with self._store.write() as connection:
            before = self._own(connection, taken)
            rest = {key: value for key, value in before.items() if key != "lease"}
            # The token stays: a runner that was paused must find a newer one even after the next has ended.
            self._write(connection, taken.id, status, {**rest, **facts, "lease": {"token": taken.token}})

    def give_back(self, taken: ProposalClaim) -> None:
        """Put it back for the next one who asks. Raises `Lost` when another took over."""
        self.finish(taken, "queued", {})

    def _own(self, connection: sa.Connection, taken: ProposalClaim) -> dict[str, Any]:
        query = sa.select(_C.status, _C.facts).where(_C.id == taken.id).with_for_update()
        row = connection.execute(query).first()
        if row is None or row.status != "running" or _token(row.facts) != taken.token:
            raise Lost(f"Proposal {taken.id} was taken over: nothing of this run is written.")
        return dict(row.facts)

    def _held(self, facts: Mapping[str, Any], token: int, now: float) -> dict[str, Any]:
        return {**facts, "lease": {"owner": owner(), "token": token, "until": now + self._lease_s}}

    def _write(self, connection: sa.Connection, number: int, status: str, facts: dict[str, Any]) -> None:
        values = {"status": status, "facts": facts}
        connection.execute(sa.update(proposal).where(_C.id == number).values(**values))


def _token(facts: Mapping[str, Any]) -> int:
    return int((facts.get("lease") or {}).get("token", 0))


def _left(facts: Mapping[str, Any], now: float) -> bool:
    """Whether a running proposal was taken from the queue by somebody who is gone."""
    lease = facts.get("lease") or {}
    return "until" in lease and (lease["until"] < now or dead(str(lease["owner"])))


def record(config: Mapping[str, Any], reason: str) -> int | None:
    """Mark the rows of `config` as failed whose process is gone; returns the newest one's id, if any."""
    key = identity.key(config, signature(dict(config)))
    store = Store(config["store"]["url"])
    try:
        with store.write() as connection:
            return next(reversed(buried(connection, key, reason)), None)
    finally:
        store.close()

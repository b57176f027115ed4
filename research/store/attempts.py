"""Attempts at trials: rows are handed out under random tokens, so that none is run twice and none is lost.

Every function works inside the write transaction of its caller; `work.py` has the verbs. A trial is queued,
leased (taken by a process that starts others), running (in the process that trains it), or it has ended. What
nobody holds any more, by the lease or because its process on this host is gone, is queued again.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

import sqlalchemy as sa

import pulse
from refusal import Ended
from research.store import address, index, outage
from research.store.faults import OTHERS
from research.store.owners import dead, host, owner
from research.store.schema import attempt, clock, trial
from research.store.spending import spent
from research.store.states import HELD, AttemptOutcome
from research.types import STOPPED

LEASE_S = 60.0
MOST_OWN, MOST_OTHERS = 3, 20
"""attempts that fail by themselves, and that are lost or meet a broken machine, after which it is dead"""
_OWN, _OTHERS = ("configuration", "hung", "timeout"), OTHERS
_BACK_OFF_S = (2, 300)
"""first and longest wait after a failure of the machine"""
_SPENT = ("step", "seconds", "cpu_seconds", "joules", "joules_method")
_C, _A = trial.c, attempt.c
NUMBER: sa.BindParameter[int] = sa.bindparam("number", type_=sa.Integer)
TOKEN: sa.BindParameter[str] = sa.bindparam("of_token", type_=sa.Text)
LEASE: sa.BindParameter[float] = sa.bindparam("lease_s", type_=sa.Double)
# Statements that every trial needs stand here: to put one together costs more than to run it.
_BEFORE = sa.select(clock(), sa.func.coalesce(sa.func.max(_A.n), 0)).where(_A.trial_id == NUMBER)
_OF_TRIAL = sa.update(trial).where(_C.id == NUMBER)
_NEW = sa.insert(attempt)
_MINE = sa.update(trial).where(_C.id == NUMBER, _C.token == TOKEN)
_KEPT = _MINE.values(lease_until=clock() + LEASE)
_CANCEL = sa.select(_C.cancel).where(_C.id == NUMBER)
SEEN = sa.update(attempt).where(_A.token == TOKEN).values(seen=clock())
_STANDING = (
    sa.select(_A.outcome.label("ended_as"), _C.folder, *index.OF_TRIAL)
    .join(trial, _C.id == _A.trial_id)
    .where(_A.token == TOKEN)
)
_ENDS = _MINE.where(_C.status.in_(HELD)).values(finished=clock(), token=None)
_OPEN = (_A.trial_id == NUMBER) & _A.ended.is_(None)
_LAST = sa.select(_A.token, _C.folder).join(trial, _C.id == _A.trial_id).where(_OPEN)
_CLOSES = sa.update(attempt).where(_OPEN).values(ended=clock())


@final
class Lost(Ended):
    """Another process took it over: what this one measured is not written."""


@final
@dataclass(frozen=True)
class TrialClaim:
    """The right to one attempt at a trial: nobody else has its token."""

    trial_id: int
    token: str


def taken_over(mine: TrialClaim) -> Lost:
    """What is raised for a claim that another attempt has followed."""
    return Lost(f"Trial {mine.trial_id} was taken over: nothing of this run is written.")


def hold(
    connection: sa.Connection,
    number: int,
    lease_s: float,
    status: str,
    values: Mapping[str, Any] = {},
    engine: str = "local",
) -> TrialClaim:
    """Give a row that nobody holds to this process: another attempt, under a token of its own."""
    now, tried = connection.execute(_BEFORE, {"number": number}).one()
    mine = TrialClaim(number, new_token())
    own = held(mine.token, status, now, lease_s) | {"reason": None, "finished": None, "cancel": 0}
    connection.execute(_OF_TRIAL, {**values, **own, "number": number})
    begun(connection, mine, tried + 1, now, engine)
    return mine


def new_token() -> str:
    """A fencing token: nobody else has it, and nobody guesses it."""
    return secrets.token_hex(16)


def held(token: str, status: str, now: float, lease_s: float) -> dict[str, Any]:
    """What the row of a trial says of who holds it from `now` on."""
    own = {"status": status, "token": token, "owner": owner(), "facts": {}}
    return own | {"started": now, "lease_until": now + lease_s}  # one clock for all


def begun(connection: sa.Connection, mine: TrialClaim, n: int, now: float, engine: str = "local") -> None:
    """Write that the `n`th attempt at a trial has begun."""
    row = {"trial_id": mine.trial_id, "n": n, "token": mine.token, "engine": engine}
    connection.execute(_NEW, row | {"owner": owner(), "started": now, "seen": now})


def beat(connection: sa.Connection, mine: TrialClaim, spent: Mapping[str, Any], lease_s: float) -> bool:
    """Hold on to a trial, and write what it has spent; whether it may go on. Raises `Lost`."""
    own = {"number": mine.trial_id, "of_token": mine.token}
    # Not by RETURNING, which MariaDB has for no update.
    if connection.execute(_KEPT, {**own, "lease_s": lease_s}).rowcount != 1:
        raise taken_over(mine)
    cancelled = connection.execute(_CANCEL, own).scalar_one()
    connection.execute(SEEN, {**_spent(spent), "of_token": mine.token})
    return not cancelled


def end(
    connection: sa.Connection,
    mine: TrialClaim,
    outcome: AttemptOutcome,
    *,
    reason: str | None = None,
    facts: Mapping[str, Any] | None = None,
    spent: Mapping[str, Any] | None = None,
) -> bool:
    """Write how an attempt ended, and what becomes of its trial. Raises `Lost` when another took over.

    False when this very claim is written as done already: its answer was lost on the way, not its figures.
    """
    row = connection.execute(_STANDING, {"of_token": mine.token}).first()
    if outcome == "done" and row is not None and row.ended_as == "done":
        return False
    values = _ended(connection, mine.trial_id, outcome, reason) | {"facts": dict(facts or {})}
    own = {"number": mine.trial_id, "of_token": mine.token}
    if connection.execute(_ENDS, {**values, **own}).rowcount != 1 or row is None:
        raise taken_over(mine)
    _close(connection, mine.trial_id, (mine.token, row.folder), outcome, reason, spent)
    if outcome not in ("cancelled", *_OTHERS):
        index.of_ended(connection, mine.trial_id, row, values["status"], reason)
    return True


def _ended(connection: sa.Connection, number: int, outcome: str, reason: str | None) -> dict[str, Any]:
    """What the row of a trial says after an attempt that ended so."""
    status = _after(connection, number, outcome, reason)
    values: dict[str, Any] = {"status": status, "reason": reason}
    if status == "queued":
        first, longest = _BACK_OFF_S
        waits = min(longest, first ** (1 + _count(connection, number, _OTHERS)))
        now = connection.execute(sa.select(clock())).scalar_one()
        values["not_before"] = now + (waits if outcome == "infrastructure" else 0)
    return values


def _after(connection: sa.Connection, number: int, outcome: str, reason: str | None) -> str:
    """What a trial is after an attempt that ended so."""
    if outcome in ("done", "cancelled"):
        return outcome
    if outcome in _OTHERS:
        return "queued" if _count(connection, number, _OTHERS) + 1 < MOST_OTHERS else "dead"
    if STOPPED in (reason or ""):
        return "stopped"
    dead = outcome in _OWN and _count(connection, number, _OWN) + 1 >= MOST_OWN
    return "dead" if dead else "failed"


def _count(connection: sa.Connection, number: int, outcomes: Sequence[str]) -> int:
    """How many attempts at a trial ended so, those left out that were stopped because they could not win."""
    fair = ~sa.func.coalesce(_A.reason, "").contains(STOPPED)
    query = sa.select(sa.func.count()).where(_A.trial_id == number, _A.outcome.in_(outcomes), fair)
    return int(connection.execute(query).scalar_one())


def _close(
    connection: sa.Connection,
    number: int,
    last: tuple[str, str | None] | None,
    outcome: str,
    reason: str | None,
    used: Mapping[str, Any] | None,
) -> None:
    """End the open attempt at a trial; `last` is its token and where its files are."""
    # What it wrote itself, where its files are: a process that is killed tells nothing, and it is this
    # attempt's alone.
    own = spent(pulse.left(Path(last[1]), last[0])) if last is not None and last[1] else {}
    told = {**own, **(used or {}), **{name: own[name] for name in ("joules",) if name in own}}
    values = {"outcome": outcome, "reason": reason, **_spent(told)}
    connection.execute(_CLOSES, {**values, "number": number})


@final
class LastRun(NamedTuple):
    """Who made the last attempt at a trial."""

    by: str
    """as `slurm on node3`"""
    seconds: float
    sweep: str | None
    """what it was run for"""


def ran(connection: sa.Connection, ids: Sequence[int]) -> dict[int, LastRun]:
    """Who ran these trials last."""
    took = sa.func.coalesce(_A.ended - _A.started, 0.0).label("took")
    query = sa.select(_A.trial_id, _A.engine, _A.owner, took, _C.sweep).join(trial, _C.id == _A.trial_id)
    rows = connection.execute(query.where(_A.trial_id.in_(ids)).order_by(_A.n))
    said = {"local": "another process"}
    return {
        row.trial_id: LastRun(f"{said.get(row.engine, row.engine)} on {host(row.owner)}", row.took, row.sweep)
        for row in rows
    }


def _spent(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in _SPENT if told.get(name) is not None}


def recover(connection: sa.Connection, ids: Sequence[int] | None = None) -> int:
    """Queue again what nobody holds any more, of these ids or of all; returns how many it was."""
    if ids is not None and not ids:
        return 0
    query = sa.select(_C.id, _C.owner, _C.cancel, (_C.lease_until < clock()).label("over"))
    query = query.where(_C.status.in_(HELD)).order_by(_C.id).with_for_update(skip_locked=True)
    wanted = None if ids is None else set(ids)
    held = [row for row in connection.execute(query) if wanted is None or row.id in wanted]
    # Where the database was away or the clock was set, whoever lives is given time to hold on to his own.
    away = outage.lately(address.told(connection.engine.url), LEASE_S)
    patient = outage.is_clock_new(LEASE_S) or away
    gone = [row for row in held if (row.over and not patient) or dead(row.owner)]
    for row in gone:
        reason = "its lease ended" if row.over else "its process is gone"
        status = "cancelled" if row.cancel else _after(connection, row.id, "lost", reason)
        last = connection.execute(_LAST, {"number": row.id}).first()
        _close(connection, row.id, last and (last.token, last.folder), "lost", reason, None)
        if status == "dead":
            reason = f"it was lost {MOST_OTHERS} times: {reason}"
        values = {"status": status, "token": None, "reason": reason, "finished": clock()}
        connection.execute(sa.update(trial).where(_C.id == row.id).values(**values))
    return len(gone)

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
from research.store.schema import FINAL, attempt, clock, metric, pause, trial
from research.store.states import FAILED, HELD, AttemptOutcome
from research.types import STOPPED, Key

LEASE_S = 60.0
MOST_OWN, MOST_OTHERS = 3, 20
"""attempts that fail by themselves, and that are lost or meet a broken machine, after which it is dead"""
_OWN, _OTHERS = ("configuration", "hung", "timeout"), OTHERS
_BACK_OFF_S = (2, 300)
"""first and longest wait after a failure of the machine"""
_WINDOW = 500
"""ids that one statement is given"""
_SPENT = ("step", "seconds", "cpu_seconds", "joules", "joules_method")
_OF = {"seconds": "train/seconds", "cpu_seconds": "train/cpu_seconds", "joules": "train/energy_j"}
_C, _A = trial.c, attempt.c


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
    mine = TrialClaim(number, secrets.token_hex(16))
    before = sa.select(clock(), sa.func.coalesce(sa.func.max(_A.n), 0)).where(_A.trial_id == number)
    now, tried = connection.execute(before).one()  # one clock for all: a lease begins with its attempt
    held: dict[str, Any] = {
        "status": status,
        "token": mine.token,
        "owner": owner(),
        "lease_until": now + lease_s,
    }
    held |= {"reason": None, "started": now, "finished": None, "facts": {}, "cancel": 0}
    connection.execute(sa.update(trial).where(_C.id == number).values(**{**values, **held}))
    row = {"trial_id": number, "n": tried + 1, "token": mine.token}
    row |= {"owner": owner(), "engine": engine, "started": now, "seen": now}
    connection.execute(sa.insert(attempt).values(**row))
    return mine


def waiting(
    needs: Sequence[str] | None = None, sweep: str | None = None, ids: Sequence[int] | None = None
) -> sa.Select[int]:
    """The trials that may be begun now, the most urgent first, then the oldest.

    By who has these `needs`, None those of every trial; of one sweep or campaign, of these ids, or of all.
    """
    held_back = sa.select(pause.c.name)
    # No index has it like this: a few ids are looked up, and not found by going through all that waits.
    status = _C.status if ids is None else sa.func.coalesce(_C.status, "")
    query = sa.select(_C.id).where(
        status == "queued",
        _C.not_before <= clock(),
        sa.true() if ids is None else _C.id.in_(ids[:_WINDOW]),
        sa.true() if needs is None else _C.needs.in_(needs),
        sa.true() if sweep is None else _C.sweep == sweep,
        sa.func.coalesce(_C.sweep, "").not_in(held_back),
        ~sa.exists(held_back.where(pause.c.name == "all")),
    )
    return query.order_by(_C.priority.desc(), _C.id)


def take(
    connection: sa.Connection,
    ids: Sequence[int] | None,
    needs: Sequence[str] | None,
    most: int,
    lease_s: float,
    engine: str,
) -> list[TrialClaim]:
    """Lease up to `most` of the trials that wait, of these ids or of all: the most urgent first."""
    query = waiting(needs, ids=ids).limit(most).with_for_update(skip_locked=True)
    numbers = connection.execute(query).scalars().all()
    return [hold(connection, number, lease_s, "leased", engine=engine) for number in numbers]


def beat(connection: sa.Connection, mine: TrialClaim, spent: Mapping[str, Any], lease_s: float) -> bool:
    """Hold on to a trial, and write what it has spent; whether it may go on. Raises `Lost`."""
    own = sa.update(trial).where(_C.id == mine.trial_id, _C.token == mine.token)
    # Not by RETURNING, which MariaDB has for no update.
    if connection.execute(own.values(lease_until=clock() + lease_s)).rowcount != 1:
        raise taken_over(mine)
    cancelled = connection.execute(sa.select(_C.cancel).where(_C.id == mine.trial_id)).scalar_one()
    told = {"seen": clock(), **_spent(spent)}
    connection.execute(sa.update(attempt).where(_A.token == mine.token).values(**told))
    return not cancelled


def finished(connection: sa.Connection, mine: TrialClaim) -> bool:
    """True when this very claim is written as done: its answer was lost on the way, not its figures."""
    query = sa.select(_A.outcome).where(_A.token == mine.token)
    return connection.execute(query).scalar() == "done"


def end(
    connection: sa.Connection,
    mine: TrialClaim,
    outcome: AttemptOutcome,
    *,
    reason: str | None = None,
    facts: Mapping[str, Any] | None = None,
    spent: Mapping[str, Any] | None = None,
) -> None:
    """Write how an attempt ended, and what becomes of its trial. Raises `Lost` when another took over."""
    status = _after(connection, mine.trial_id, outcome, reason)
    values: dict[str, Any] = {"status": status, "token": None, "finished": clock(), "reason": reason}
    values["facts"] = dict(facts or {})
    if status == "queued":
        first, longest = _BACK_OFF_S
        waits = min(longest, first ** (1 + _count(connection, mine.trial_id, _OTHERS)))
        values["not_before"] = clock() + (waits if outcome == "infrastructure" else 0)
    own = (_C.id == mine.trial_id) & (_C.token == mine.token) & _C.status.in_(HELD)
    if connection.execute(sa.update(trial).where(own).values(**values)).rowcount != 1:
        raise taken_over(mine)
    _close(connection, mine.trial_id, outcome, reason, spent)
    if outcome not in ("cancelled", *_OTHERS):
        index.of_trial(connection, mine.trial_id)


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
    connection: sa.Connection, number: int, outcome: str, reason: str | None, used: Mapping[str, Any] | None
) -> None:
    last = (_A.trial_id == number) & _A.ended.is_(None)
    query = sa.select(_A.token, _C.folder).join(trial, _C.id == _A.trial_id).where(last)
    row = connection.execute(query).first()
    # What it wrote itself, where its files are: a process that is killed tells nothing, and it is this
    # attempt's alone.
    own = spent(pulse.left(Path(row.folder), row.token)) if row is not None and row.folder else {}
    told = {**own, **(used or {}), **{name: own[name] for name in ("joules",) if name in own}}
    values = {"ended": clock(), "outcome": outcome, "reason": reason, **_spent(told)}
    connection.execute(sa.update(attempt).where(last).values(**values))


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


def spent(figures: Mapping[str, float]) -> dict[str, float]:
    """What a row of an attempt says of a training's figures."""
    return {name: figures[key] for name, key in _OF.items() if key in figures}


def _spent(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in _SPENT if told.get(name) is not None}


def joules(connection: sa.Connection, sweep: str, key: Key | None = None) -> dict[Key, float]:
    """What the trials of a sweep were trained for, over all attempts, those that were killed among them.

    Where nobody wrote down what an attempt spent, it is what its trial measured, or said when it failed.
    """
    parts, own = [_C[part] for part in Key._fields], [_C.sweep == sweep]
    own += [] if key is None else [_C[part] == value for part, value in key._asdict().items()]
    taken = (metric.c.key == "train/energy_j") & (metric.c.point == FINAL)
    measured = dict(
        map(tuple, connection.execute(sa.select(_C.id, metric.c.value).join(metric).where(*own, taken)))
    )
    tried = (
        sa.select(_C.id, _A.outcome, _A.joules, *parts).outerjoin(attempt).where(*own).order_by(_C.id, _A.n)
    )
    failed = sa.select(_C.id, _C.facts).where(*own, _C.status.in_(FAILED))
    told = {
        row.id: (row.facts.get("spent") or {}).get("train/energy_j") for row in connection.execute(failed)
    }
    spent: dict[Key, float] = {}
    for number, ended, used, *of in connection.execute(tried):
        if used is None and ended in ("done", None):
            used = measured.get(number, told.get(number))
        spent[Key(*of)] = spent.get(Key(*of), 0.0) + (used or 0.0)
    return spent


def all_joules(connection: sa.Connection, sweep: str) -> float:
    """The sum of `joules`, by the database where each attempt has its own."""
    own = _C.sweep == sweep
    told = sa.select(sa.func.sum(_A.joules)).join(trial, _C.id == _A.trial_id).where(own)
    done = _A.outcome.is_(None) | (_A.outcome == "done")
    untold = sa.select(_C.id).outerjoin(attempt).where(own, _A.joules.is_(None), done).limit(1)
    if connection.execute(untold).first() is not None:
        return sum(joules(connection, sweep).values())
    return float(connection.execute(told).scalar() or 0.0)


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
        _close(connection, row.id, "lost", reason, None)
        if status == "dead":
            reason = f"it was lost {MOST_OTHERS} times: {reason}"
        values = {"status": status, "token": None, "reason": reason, "finished": clock()}
        connection.execute(sa.update(trial).where(_C.id == row.id).values(**values))
    return len(gone)

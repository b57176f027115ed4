"""Which row stands for a trial that is wanted: the one that is done, held or waits, or a new one.

Every function works inside the write transaction of its caller; `work.py` has the verbs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, final

import sqlalchemy as sa

from refusal import Refusal
from research.store import attempts
from research.store.attempts import TrialClaim, begun, end, held, hold, recover, taken_over
from research.store.owners import owner
from research.store.schema import batches, clock, config_sha, schema_version, trial
from research.store.states import FAILED, HELD
from research.store.turns import counted
from research.types import Key, Trial

_AGAIN = (*FAILED, "cancelled")
APART = "apart"
"""what a trial needs that only who asks for it by its row may run"""
_C = trial.c
_NOW = sa.select(clock())
_LOOKED = sa.select(_C.id, _C.status, _C.replicate, *(_C[part] for part in Key._fields)).with_for_update()
_OF_SIGNATURES = _LOOKED.where(_C.signature.in_(sa.bindparam("signatures", expanding=True)))
_IN_ORDER = _OF_SIGNATURES.order_by(_C.replicate, _C.id)
_MINE = _LOOKED.where(_C.id == attempts.NUMBER, _C.token == attempts.TOKEN)
_BEGINS = sa.update(trial).where(_C.id == attempts.NUMBER).values(lease_until=clock() + attempts.LEASE)


@final
@dataclass(frozen=True)
class WantedTrial:
    """A trial that is wanted: what its row says beside its key."""

    key: Key
    values: Mapping[str, Any]
    force: bool = False


def wanted(
    key: Key,
    *,
    config: Mapping[str, Any],
    overrides: Sequence[str] = (),
    seed: int = 0,
    name: str | None = None,
    sweep: str | None = None,
    source: str = "person",
    folder: str | None = None,
    force: bool = False,
    apart: bool = False,
) -> WantedTrial:
    """A trial with what its row says of it: its resolved config, and where it comes from.

    One that is `apart` is offered to no worker.
    """
    values: dict[str, Any] = {"config": config, "overrides": list(overrides), "seed": seed, "source": source}
    values |= {"name": name, "sweep": sweep, "folder": None if folder is None else str(folder)}
    values["needs"] = APART if apart else need_of(config)
    return WantedTrial(key, values | {"config_sha": config_sha(key.signature, config)}, force)


def need_of(config: Mapping[str, Any]) -> str:
    """What a worker must have to run a trial of this config."""
    device = (config.get("trainer") or {}).get("accelerator")
    return "gpu" if device in ("gpu", "cuda") else "cpu"


@final
@dataclass(eq=False)
class _Row:
    id: int
    status: str
    replicate: int


def same(key: Key) -> sa.ColumnElement[bool]:
    """The condition that a row of the trial table has this key, whatever its replicate."""
    return sa.and_(*(_C[part] == value for part, value in key._asdict().items()))


def claim(connection: sa.Connection, asked: WantedTrial, lease_s: float) -> TrialClaim | int | None:
    """Claim a run of one key.

    Returns the claim, or the id of the row that stands in the way (done, dead, or held by another), or None
    when another process was faster and the caller should look again. A run that failed, waits, or was lost
    is taken over before a new replicate is opened.
    """
    rows = _rows(connection, [asked.key]).get(asked.key, [])
    standing, free = _choose(connection, rows, asked.force)
    if standing is not None:
        return standing
    if free is None:
        return _open(connection, asked, _next(rows), lease_s)
    return hold(connection, free.id, lease_s, "running", asked.values)


def enqueue(connection: sa.Connection, asked: Sequence[WantedTrial]) -> list[int]:
    """Have every trial queued that is not done, dead or held; returns the row of each.

    What is queued or held already is shared by all who ask for it. With `force` a row of its own is queued.
    """
    if connection.dialect.name == "mariadb":
        connection.execute(sa.select(schema_version.c.version).with_for_update())
    if connection.dialect.name == "postgresql":
        # Two that insert the same keys at once would wait for each other.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(0x7175657565)))
    rows = _rows(connection, [one.key for one in asked])
    chosen: list[_Row] = []
    new: list[dict[str, Any]] = []
    for one in asked:
        own = rows.setdefault(one.key, [])
        fit = [row for row in own if not one.force or row not in chosen]
        standing, row = _choose(connection, fit, one.force)
        if row is None and standing is not None:
            row = next(known for known in own if known.id == standing)
        elif row is None:
            row = _Row(0, "queued", _next(own))
            own.append(row)
            new.append(_new(one, row.replicate))
        else:
            _queue(connection, row, one)
        chosen.append(row)
    if new:
        _open_all(connection, new, rows)
        counted(connection, len(new))
    return [row.id for row in chosen]


def _queue(connection: sa.Connection, row: _Row, asked: WantedTrial) -> None:
    """Have a row that nobody holds queued as it is asked for."""
    own = sa.update(trial).where(_C.id == row.id)
    if row.status != "queued":
        again = {"status": "queued", "not_before": 0, "cancel": 0, "token": None}
        connection.execute(own.values(**{**asked.values, **again}))
        row.status = "queued"
    elif asked.values["source"] == "agent":
        # What a campaign that died has queued has the bars, and the place, of then.
        connection.execute(own.where(_C.sweep == asked.values["sweep"]).values(**asked.values))


def _open_all(connection: sa.Connection, new: list[dict[str, Any]], rows: dict[Key, list[_Row]]) -> None:
    """Write rows that are new, all by one statement, and fill in their ids."""
    now = connection.execute(_NOW).scalar_one()
    connection.execute(sa.insert(trial), [row | {"started": now} for row in new])
    for some in batches(sorted({str(row["signature"]) for row in new})):
        for found in connection.execute(_OF_SIGNATURES, {"signatures": some}):
            for row in rows.get(Key(*found[3:]), ()):
                if row.replicate == found.replicate:
                    row.id = found.id


def _choose(connection: sa.Connection, rows: Sequence[_Row], force: bool) -> tuple[int | None, _Row | None]:
    """Of the rows of a key the one that stands in the way, or else the one that may be run, if any."""
    done = [row.id for row in rows if row.status == "done"]
    if done and not force:
        return preferred(connection, done), None
    may = {"queued", *_AGAIN} - (set() if force else {"dead"})
    free = next((row for row in rows if row.status in may), None)
    return (rows[0].id if rows and not force and free is None else None), free


def preferred(connection: sa.Connection, ids: Sequence[int]) -> int:
    """Of finished replicates of one key, in their order, the one that answers for it.

    It is the first one that nobody disturbed: what a busy machine spoilt is completed under the same key by a
    replicate, and nothing that stands is written over. Of two alike it is the one with nothing unmeasured.
    """
    if len(ids) == 1:
        return ids[0]
    rows = connection.execute(sa.select(_C.id, _C.facts).where(_C.id.in_(ids)))
    facts = {row.id: row.facts for row in rows}
    held = {number: told.get("disturbed") or {} for number, told in facts.items()}
    # A training is dearer than an inference: rather the one whose training is sound.
    return min(
        ids, key=lambda one: ("train" in held[one], bool(facts[one].get("unmeasured")), len(held[one]))
    )


def whole(connection: sa.Connection, key: Key) -> int | None:
    """The finished replicate of a key that left nothing unmeasured and answers for it, if any."""
    done = sa.select(_C.id, _C.facts).where(same(key), _C.status == "done").order_by(_C.replicate)
    ids = [row.id for row in connection.execute(done) if not row.facts.get("unmeasured")]
    return preferred(connection, ids) if ids else None


def _next(rows: Sequence[_Row]) -> int:
    """The replicate that comes after these: one of them may have been taken back."""
    return max((row.replicate + 1 for row in rows), default=0)


def _rows(connection: sa.Connection, keys: Iterable[Key]) -> dict[Key, list[_Row]]:
    """The rows of keys by their replicate, after what nobody holds any more was queued again."""
    rows: dict[Key, list[_Row]] = {}
    for some in batches(sorted({key.signature for key in keys})):
        found = connection.execute(_IN_ORDER, {"signatures": some}).all()
        if recover(connection, [row.id for row in found if row.status in HELD]):
            found = connection.execute(_IN_ORDER, {"signatures": some}).all()
        for row in found:
            rows.setdefault(Key(*row[3:]), []).append(_Row(row.id, row.status, row.replicate))
    return rows


def _new(asked: WantedTrial, replicate: int) -> dict[str, Any]:
    row = {"replicate": replicate, "status": "queued", "owner": "", "lease_until": 0, "facts": {}}
    return row | asked.key._asdict() | dict(asked.values)


def _open(connection: sa.Connection, asked: WantedTrial, replicate: int, lease_s: float) -> TrialClaim | None:
    """A new row that this process holds; None where another process has just made it."""
    token, now = attempts.new_token(), connection.execute(_NOW).scalar_one()
    row = _new(asked, replicate) | held(token, "running", now, lease_s)
    opened = connection.execute(_opens(connection.dialect.name), row).scalar()
    if opened is None:
        return None
    mine = TrialClaim(int(opened), token)
    begun(connection, mine, 1, now)
    return mine


@cache
def _opens(dialect: str) -> Any:
    return _if_new(dialect, trial).returning(_C.id)


def new_only(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> Any:
    """An insert that does nothing, and returns nothing, where another row has the key already."""
    return _if_new(connection.dialect.name, table).values(**row)


def _if_new(dialect: str, table: sa.Table) -> Any:
    if dialect == "mariadb":
        return sa.insert(table).prefix_with("IGNORE")
    # Of its kind alone: all of them take 60 ms of every command to import.
    of_its_kind: Any = import_module(f"sqlalchemy.dialects.{dialect}")
    return of_its_kind.insert(table).on_conflict_do_nothing()


def begin(
    connection: sa.Connection, mine: TrialClaim, asked: WantedTrial, lease_s: float
) -> TrialClaim | int | None:
    """Go on with what was leased, in the process that trains, and return what `claim` does.

    The kind of machine and the code are known there only: where they make it another trial, the row becomes
    that one, unless there is a row of it already.
    """
    held_by_me = {"number": mine.trial_id, "of_token": mine.token}
    row = connection.execute(_MINE, held_by_me).first()
    if row is None:
        raise taken_over(mine)
    if Key(*row[3:]) != asked.key and connection.execute(_LOOKED.where(same(asked.key))).first():
        end(connection, mine, "cancelled", reason="the code or the machine made it another trial")
        return claim(connection, asked, lease_s)
    # Whom it may be offered to when this attempt is lost was said by who queued it.
    told = {name: value for name, value in asked.values.items() if name != "needs"}
    told |= {"status": "running", "owner": owner(), **asked.key._asdict()}
    connection.execute(_BEGINS, told | held_by_me | {"lease_s": lease_s})
    connection.execute(attempts.SEEN, {"owner": owner(), "of_token": mine.token})
    return mine


def refuse_edited(of: Trial) -> None:
    """Raise `Refusal` for a trial whose config is not the one that was written, before it is run again.

    A row of a version that took no digest passes: what it may call is held by `construct` in any case.
    """
    if of.config_sha is not None and of.config_sha != config_sha(of.key.signature, of.config):
        raise Refusal(
            f"The configuration of trial {of.id} was changed in the database after it was written (its "
            "SHA-256 differs): it is not run. Restore the row from a copy, or type its overrides anew."
        )


def completed(connection: sa.Connection, number: int, facts: Mapping[str, Any]) -> bool:
    """Add to the facts of a finished trial that left something unmeasured; False when somebody else has.

    The row is locked from the look to the write, so of several who measured only the first is heard. A row
    that is done is never run again.
    """
    query = sa.select(_C.status, _C.facts).where(_C.id == number).with_for_update()
    row = connection.execute(query).first()
    if row is None or row.status != "done" or not row.facts.get("unmeasured"):
        return False
    told = {key: value for key, value in {**row.facts, **facts}.items() if key != "unmeasured"}
    connection.execute(sa.update(trial).where(_C.id == number).values(facts=told))
    return True

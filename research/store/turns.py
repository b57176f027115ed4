"""Whose turn it is: the trials that wait, the most urgent first, then the oldest.

Every function works inside the transaction of its caller; `work.py` has the verbs.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from research.store.attempts import TrialClaim, hold
from research.store.schema import clock, pause, trial

_WINDOW = 500
"""ids that one statement is given"""
_MANY = 500
"""rows that are queued at once by which what PostgreSQL knows of the table is no longer so"""
_C = trial.c


def waiting(
    connection: sa.Connection,
    most: int,
    needs: Sequence[str] | None = None,
    sweep: str | None = None,
    ids: Sequence[int] | None = None,
    *,
    lock: bool = False,
) -> list[int]:
    """The trials that may be begun now, at most so many.

    By who has these `needs`, None those of every trial; of one sweep or campaign, of these ids, or of all.
    Those that somebody else looks at under a `lock` are left out.
    """
    kind = connection.dialect.name
    asked: dict[str, Any] = {"needs": needs, "sweep": sweep}
    if ids is not None:
        asked["ids"] = _as_value(kind, list(ids[:_WINDOW]))
    given = {name: value for name, value in asked.items() if value is not None}
    return list(connection.execute(in_turn(kind, *given, lock=lock), given | {"most": most}).scalars())


@cache
def in_turn(kind: str, *given: str, lock: bool = False) -> sa.Select[int]:
    """The statement of `waiting` for one kind of database; it asks for what is given of its arguments."""
    held_back = sa.select(pause.c.name)
    among = {
        "needs": _C.needs.in_(sa.bindparam("needs", expanding=True)),
        "sweep": _C.sweep == sa.bindparam("sweep"),
        "ids": _of_ids(kind),
    }
    # No index has it like this: a few ids are looked up, and not found by going through all that waits.
    status = sa.func.coalesce(_C.status, "") if "ids" in given else _C.status
    query = sa.select(_C.id).where(
        status == "queued",
        _C.not_before <= clock(),
        *(among[name] for name in given),
        sa.func.coalesce(_C.sweep, "").not_in(held_back),
        ~sa.exists(held_back.where(pause.c.name == "all")),
    )
    query = query.order_by(_C.priority.desc(), _C.id).limit(sa.bindparam("most", type_=sa.Integer))
    return query.with_for_update(skip_locked=True) if lock else query


def _as_value(kind: str, ids: list[int]) -> list[int] | str:
    """Two hundred ids as one text where there is one: as many values cost more than all the rest."""
    listed = json.dumps(ids)
    return {"sqlite": listed, "postgresql": f"{{{listed[1:-1]}}}"}.get(kind, ids)


def _of_ids(kind: str) -> sa.ColumnElement[bool]:
    """The condition that a trial is among the ids of `_as_value`."""
    if kind == "postgresql":
        many: Any = sa.cast(sa.bindparam("ids", type_=sa.Text), sa.ARRAY(sa.Integer))
        return _C.id == sa.any_(many)
    if kind == "sqlite":
        listed = sa.func.json_each(sa.bindparam("ids", type_=sa.Text)).table_valued("value")
        return _C.id.in_(sa.select(listed.c.value))
    return _C.id.in_(sa.bindparam("ids", expanding=True))


def take(
    connection: sa.Connection,
    ids: Sequence[int] | None,
    needs: Sequence[str] | None,
    most: int,
    lease_s: float,
    engine: str,
) -> list[TrialClaim]:
    """Lease up to `most` of the trials that wait, of these ids or of all: the most urgent first."""
    # How many attempts there were is asked once a row is locked: by the same statement it would be told as it
    # was when that began, and another may have tried and given back the trial since.
    numbers = waiting(connection, most, needs, ids=ids, lock=True)
    return [hold(connection, number, lease_s, "leased", engine=engine) for number in numbers]


def counted(connection: sa.Connection, queued: int) -> None:
    """Tell PostgreSQL what it holds after so many were queued.

    By the counts of before it would sort all that wait for each that is taken: 12 ms beside 5,000.
    """
    if connection.dialect.name == "postgresql" and queued >= _MANY:
        connection.execute(sa.text("ANALYZE trial (status, priority, needs, not_before, sweep)"))

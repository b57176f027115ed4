"""What holds of the rows at any moment, whatever was killed: one function that looks for all of it.

The tests ask it after every history, and `benchmarks/faults.py` after every kill.
"""

from collections.abc import Iterator

import sqlalchemy as sa

from research.store.schema import FINAL, attempt, metadata, metric, trial
from research.store.states import HELD, OPEN

_C, _A, _M = trial.c, attempt.c, metric.c


def broken(connection: sa.Connection) -> list[str]:
    """A sentence for each row that should not be; empty where everything holds."""
    return [*_held(connection), *_ended(connection), *_figures(connection), *sound(connection)]


def _held(connection: sa.Connection) -> Iterator[str]:
    """A trial is held by the token of its one open attempt, or by nobody."""
    own = (_A.trial_id == _C.id) & _A.ended.is_(None)
    pairs = sa.select(_C.id, _C.status, _C.token, _A.token.label("own")).outerjoin(attempt, own)
    for row in connection.execute(pairs.where(_C.status.in_(OPEN) | _A.token.is_not(None))):
        if row.status in HELD and row.token != row.own:
            yield f"trial {row.id} is {row.status} under a token of no open attempt"
        if row.status not in HELD and row.own is not None:
            yield f"trial {row.id} is {row.status}, and an attempt at it has not ended"


def _ended(connection: sa.Connection) -> Iterator[str]:
    """Attempts are counted without a gap, each that ended says how, and what is done was done once."""
    ended = sa.func.sum(sa.case((_A.outcome == "done", 1), else_=0)).label("done")
    counts = sa.select(_A.trial_id, sa.func.count().label("count"), sa.func.max(_A.n).label("last"), ended)
    tried = counts.group_by(_A.trial_id).subquery()
    columns = (_C.id, _C.status, tried.c.count, tried.c.last, tried.c.done)
    rows = sa.select(*columns).join(tried, tried.c.trial_id == _C.id)
    for row in connection.execute(rows):
        if row.count != row.last:
            yield f"trial {row.id} has {row.count} attempts, the last of them number {row.last}"
        if row.done != (row.status == "done"):
            yield f"trial {row.id} is {row.status}, and {row.done} attempts at it are done"
    silent = sa.select(_A.trial_id).where(_A.ended.is_not(None) != _A.outcome.is_not(None))
    for number in connection.execute(silent).scalars():
        yield f"an attempt at trial {number} has an end without an outcome, or the reverse"


def _figures(connection: sa.Connection) -> Iterator[str]:
    """Figures are of trials that are done."""
    stray = sa.select(_M.trial_id, _C.status).outerjoin(trial, _C.id == _M.trial_id)
    for number, status in connection.execute(stray.where(_M.point == FINAL, _C.status != "done").distinct()):
        yield f"trial {number} is {status} and has figures"


def sound(connection: sa.Connection) -> Iterator[str]:
    """The file itself, its links, and that no id is given twice."""
    if connection.dialect.name != "sqlite":
        return
    for (said,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if said != "ok":
            yield f"the file is damaged: {said}"
    for table, _, other, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"a row of {table} refers to one of {other} that is not there"
    told = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
    numbered = {row.name: row.seq for row in told}
    for name in (
        table.name for table in metadata.sorted_tables if table.dialect_options["sqlite"]["autoincrement"]
    ):
        highest = connection.execute(sa.select(sa.func.max(metadata.tables[name].c.id))).scalar() or 0
        if highest > numbered.get(name, 0):
            yield f"the next row of {name} may have the id of an earlier one"

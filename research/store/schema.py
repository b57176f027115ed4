"""The tables, and the database's own clock."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar, final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from research.store.columns import Json, Number, Words, marked


def config_sha(signature: str, config: Any) -> str:
    """SHA-256 of a trial's config as it is stored, under the signature of its row.

    It tells a config that was damaged, edited or moved from another row. Who can write rows can write this as
    well: it is no permission to call what a config names.
    """
    text = json.dumps([signature, marked(config)], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@final
class clock(FunctionElement[float]):
    """Seconds since 1970 by the database's clock: the only clock that all workers share."""

    type = sa.Double()
    inherit_cache = True


@compiles(clock, "sqlite")
def _sqlite_clock(element: clock, compiler: Any, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(clock, "postgresql")
def _postgresql_clock(element: clock, compiler: Any, **kw: Any) -> str:
    # now() is the start of the transaction, which may have waited for a lock.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)"


@compiles(clock, "mysql")
@compiles(clock, "mariadb")
def _mariadb_clock(element: clock, compiler: Any, **kw: Any) -> str:
    # NOW() is the start of the statement.
    return "CAST(UNIX_TIMESTAMP(SYSDATE(6)) AS DOUBLE)"


metadata = sa.MetaData()


def _table(name: str, *columns: sa.schema.SchemaItem, **options: Any) -> sa.Table:
    return sa.Table(name, metadata, *columns, **options)


_ONCE = {"sqlite_autoincrement": True}
"""an id is never used again, whatever was deleted: SQLite would use the highest one anew"""


def _row(name: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    """A table of rows that are only appended to: an id, when it was written, free facts."""
    first = (sa.Column("id", sa.Integer, primary_key=True), sa.Column("created", Number, nullable=False))
    return _table(name, *first, *columns, sa.Column("facts", Json, nullable=False), **_ONCE)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


def _link(table: str, nullable: bool = True) -> sa.Column[int]:
    key = sa.ForeignKey(f"{table}.id")
    return sa.Column(f"{table}_id", sa.Integer, key, nullable=nullable, index=True)


schema_version = _table(
    "schema_version",
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("applied", Number, nullable=False),
)
sprint = _row(
    "sprint",
    sa.Column("goal", Words, nullable=False),
    sa.Column("objective", Json, nullable=False),
    sa.Column("status", Words, nullable=False),
    sa.Column("folder", Words),
)
proposal = _row(
    "proposal",
    _link("sprint"),
    sa.Column("proposal", Json, nullable=False),
    sa.Column("status", Words, nullable=False),
)
review = _row(
    "review",
    _link("proposal", nullable=False),
    sa.Column("role", Words, nullable=False),
    sa.Column("score", Number),
    sa.Column("content", Json, nullable=False),
)
interaction = _row(
    "interaction",
    _link("sprint"),
    sa.Column("role", Words, nullable=False),
    sa.Column("model", Words, nullable=False),
    sa.Column("prompt", Words, nullable=False),
    # sha256 of what was asked of which model and how: equal digests may share a reply.
    sa.Column("digest", Words(180), index=True),
    sa.Column("reply", Words),
    sa.Column("outcome", Words, nullable=False),
    sa.Column("tokens_in", sa.Integer),
    sa.Column("tokens_out", sa.Integer),
    sa.Column("dollars", Number),
    sa.Column("seconds", Number),
    sa.Column("joules", Number),
)
insight = _row(
    "insight",
    _link("sprint"),
    _link("proposal"),
    sa.Column("word", Words, nullable=False),
    sa.Column("insight", Json, nullable=False),
)
comparison = _row(
    "comparison",
    # What is asked of which data: its comparisons share one error rate, whatever sprints are forgotten.
    sa.Column("question", Words(500), nullable=False, index=True),
    sa.Column("name", Words(180), nullable=False),
    sa.Column("word", Words, nullable=False),
    sa.UniqueConstraint("question", "name"),
)
trial = _table(
    "trial",
    sa.Column("id", sa.Integer, primary_key=True),
    *(sa.Column(part, Words(180), nullable=False) for part in ("signature", "code", "data", "hardware")),
    sa.Column("replicate", sa.Integer, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("overrides", Json, nullable=False),
    sa.Column("config", Json, nullable=False),
    sa.Column("status", Words(180), nullable=False),
    sa.Column("reason", Words),
    sa.Column("name", Words),
    sa.Column("sweep", Words(180), index=True),
    sa.Column("source", Words, nullable=False),
    sa.Column("folder", Words),
    # What a worker must have to take it: `cpu` or `gpu`.
    sa.Column("needs", Words, nullable=False, server_default="cpu"),
    _count("priority"),
    # By the database's clock; what is held back by a person waits for ever.
    sa.Column("not_before", Number, nullable=False, server_default="0"),
    # Whether whoever runs it is to end it.
    _count("cancel"),
    # Random, and of one attempt alone: what it does not go with is not written.
    sa.Column("token", Words(180), unique=True),
    sa.Column("owner", Words, nullable=False),
    sa.Column("lease_until", Number, nullable=False),
    sa.Column("started", Number, nullable=False),
    sa.Column("finished", Number),
    sa.Column("facts", Json, nullable=False),
    # NULL where a version wrote the row that took no digest.
    sa.Column("config_sha", Words),
    sa.UniqueConstraint("signature", "code", "data", "hardware", "replicate"),
    sa.CheckConstraint("(status IN ('leased', 'running')) = (token IS NOT NULL)", name="held_by_a_token"),
    **_ONCE,
)
# What waits stands here in the order of its turns, so that who takes the next one sorts nothing.
turn = sa.Index("ix_trial_turn", trial.c.status, trial.c.priority.desc(), trial.c.id)
attempt = _table(
    "attempt",
    sa.Column("trial_id", sa.Integer, sa.ForeignKey("trial.id"), primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("token", Words(180), nullable=False, unique=True),
    sa.Column("owner", Words, nullable=False),
    sa.Column("engine", Words, nullable=False),
    sa.Column("started", Number, nullable=False),
    sa.Column("seen", Number, nullable=False),
    sa.Column("step", sa.BigInteger),
    sa.Column("ended", Number),
    sa.Column("outcome", Words),
    sa.Column("reason", Words),
    # What it has spent so far, by its last sign of life; joules with how they are known.
    sa.Column("seconds", Number),
    sa.Column("cpu_seconds", Number),
    sa.Column("joules", Number),
    sa.Column("joules_method", Words),
)
# At most one at a time, and at most one result. MariaDB has no index of some rows, but one of a column that
# is NULL in all others. As texts, for `sa.Index` with options of PostgreSQL takes 60 ms of every command.
for _name, _said in (("open", "ended IS NULL"), ("done", "outcome = 'done'")):
    _of_some = f"CREATE UNIQUE INDEX ix_attempt_{_name} ON attempt (trial_id) WHERE {_said}"
    _column = f"ix_{_name} INTEGER AS (CASE WHEN {_said} THEN trial_id END) VIRTUAL INVISIBLE UNIQUE"
    for _sql, _kinds in (
        (_of_some, ("sqlite", "postgresql")),
        (f"ALTER TABLE attempt ADD COLUMN {_column}", "mariadb"),
    ):
        _added: Any = sa.DDL(_sql)  # type: ignore[no-untyped-call]
        sa.event.listen(attempt, "after_create", _added.execute_if(_kinds))
pause = _table(
    "pause",
    # A sweep or campaign whose queued trials wait until a person says so; `all` is everything.
    sa.Column("name", Words(180), primary_key=True),
    sa.Column("created", Number, nullable=False),
)
lease = _table(
    "lease",
    # What is run by one process at a time though it is no trial: `campaign NAME`, `proposal 7`.
    sa.Column("name", Words(180), primary_key=True),
    sa.Column("token", Words, nullable=False),
    sa.Column("owner", Words, nullable=False),
    sa.Column("until", Number, nullable=False),
)
metric = _table(
    "metric",
    sa.Column("trial_id", sa.Integer, sa.ForeignKey("trial.id"), primary_key=True),
    # -1 is the trial's final figure; 0, 1, 2, ... are the points of its learning curve.
    sa.Column("point", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", Words(180), primary_key=True),
    sa.Column("value", Number),
    sa.Column("step", sa.BigInteger),
    sa.Column("second", Number),
    sa.Column("joule", Number),
    sqlite_with_rowid=False,
)


FINAL = -1
episode = _table(
    "episode",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("created", Number, nullable=False),
    # Of these three one is set: what the episode is about.
    _link("trial"),
    _link("proposal"),
    _link("insight"),
    sa.Column("task", Words(180), index=True),
    sa.Column("metric", Words),
    sa.Column("overrides", Json, nullable=False),
    sa.Column("terms", Words, nullable=False),
)


T = TypeVar("T")
_AT_ONCE = 500  # SQLite and the wire limit how many values one statement may carry


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in lists that are short enough for one statement each."""
    left = iter(items)
    while batch := list(islice(left, _AT_ONCE)):
        yield batch

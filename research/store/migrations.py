"""How a database of an earlier joulelab becomes one of today: named steps, in order.

The newest tables are made by `schema`; what is new in a table that others have already needs a step here.
Each step looks whether it is needed: all of them may run over a database of any age, and over a new one.
"""

from collections.abc import Callable

import sqlalchemy as sa

from refusal import Refusal
from research.store import index
from research.store.schema import (
    attempt,
    clock,
    episode,
    insight,
    interaction,
    metadata,
    review,
    schema_version,
    trial,
    turn,
)
from research.types import STOPPED

Step = Callable[[sa.Connection], None]
VERSION = 8
"""grows with every step, so that a database that is up to date is known by one number"""


def tables(connection: sa.Connection) -> None:
    """All tables that are not there: in version 1 most, in 3 `episode`, in 4 `comparison`."""
    metadata.create_all(connection)


def digests(connection: sa.Connection) -> None:
    """Version 2 finds an exchange with a language model by the digest of what was asked."""
    if "digest" not in _columns(connection, interaction):
        connection.execute(sa.text("ALTER TABLE interaction ADD COLUMN digest TEXT"))
        _index(interaction, "digest").create(connection)


def proposals(connection: sa.Connection) -> None:
    """Version 5 calls a proposal by that name; its table was `experiment`, its links `experiment_id`."""
    linked = [table for table in (review, insight, episode) if "experiment_id" in _columns(connection, table)]
    if not linked:
        return
    _refuse_taken({"proposal"} & set(sa.inspect(connection).get_table_names()))
    connection.execute(sa.text("ALTER TABLE experiment RENAME TO proposal"))
    connection.execute(sa.text("DROP INDEX ix_experiment_sprint_id"))
    _index(metadata.tables["proposal"], "sprint_id").create(connection)
    for table in linked:
        connection.execute(sa.text(f"ALTER TABLE {table.name} RENAME COLUMN experiment_id TO proposal_id"))
        connection.execute(sa.text(f"DROP INDEX ix_{table.name}_experiment_id"))
        _index(table, "proposal_id").create(connection)


def config_shas(connection: sa.Connection) -> None:
    """Version 6 keeps the digest of a trial's config; rows of before have none."""
    if "config_sha" not in _columns(connection, trial):
        connection.execute(sa.text("ALTER TABLE trial ADD COLUMN config_sha TEXT"))


_NEW = ("needs", "priority", "not_before", "cancel")
_RANDOM = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "md5(random()::text || id)"}


def handed_out(connection: sa.Connection) -> None:
    """Version 7 has random tokens, attempts, and ids that are never used again.

    What runs under a number as its token may not write any more: its lease, or its process, ends it.
    """
    name = connection.dialect.name
    old = "needs" not in _columns(connection, trial)
    random = f"CASE WHEN status = 'running' THEN {_RANDOM.get(name)} END"
    if name == "sqlite":
        for table in metadata.sorted_tables:
            _number_once(connection, table, {"token": random} if old and table is trial else {})
        if wrong := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
            raise Refusal(
                f"The database refers to rows that are not there ({wrong[0]}): restore a copy of it."
            )
    elif old:
        _on_server(connection, random)
    if not old:
        return
    c = trial.c
    stopped = sa.update(trial).where(c.status == "failed", c.reason.contains(STOPPED))
    connection.execute(stopped.values(status="stopped"))
    runs = sa.select(c.id, sa.literal(1), c.token, c.owner, sa.literal("local"), c.started, c.started)
    names = ["trial_id", "n", "token", "owner", "engine", "started", "seen"]
    connection.execute(sa.insert(attempt).from_select(names, runs.where(c.status == "running")))


def _on_server(connection: sa.Connection, random: str) -> None:
    """The new columns by PostgreSQL's own commands."""
    for column in (trial.c[name] for name in _NEW):
        made = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
        connection.execute(sa.text(f"ALTER TABLE trial ADD COLUMN {made}"))
    connection.execute(sa.text("ALTER TABLE trial ALTER COLUMN token DROP NOT NULL"))
    connection.execute(sa.text(f"ALTER TABLE trial ALTER COLUMN token TYPE TEXT USING {random}"))
    connection.execute(sa.text("ALTER TABLE trial ADD UNIQUE (token)"))
    held = next(one for one in trial.constraints if one.name == "held_by_a_token")
    connection.execute(sa.schema.AddConstraint(held))


def _number_once(connection: sa.Connection, table: sa.Table, instead: dict[str, str]) -> None:
    """Make a table anew whose ids SQLite would use again; `instead` is SQL for columns of another kind."""
    told = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
    sql = str(connection.execute(told, {"name": table.name}).scalar_one())
    if not table.dialect_options["sqlite"]["autoincrement"] or "AUTOINCREMENT" in sql:
        return
    present = _columns(connection, table)
    kept = [column.name for column in table.columns if column.name in present]
    made = str(sa.schema.CreateTable(table).compile(dialect=connection.dialect))
    connection.exec_driver_sql(made.replace(f"TABLE {table.name}", f"TABLE {table.name}_anew", 1))
    read = ", ".join(instead.get(name, name) for name in kept)
    copy = f"INSERT INTO {table.name}_anew ({', '.join(kept)}) SELECT {read} FROM {table.name}"  # noqa: S608
    connection.execute(sa.text(copy))
    table.drop(connection)
    connection.execute(sa.text(f"ALTER TABLE {table.name}_anew RENAME TO {table.name}"))
    for one in table.indexes:
        one.create(connection)


def in_turn(connection: sa.Connection) -> None:
    """Version 8 has an index of trials in the order of their turns; the one before knew which are open."""
    names = {index["name"] for index in sa.inspect(connection).get_indexes(trial.name)}
    if "ix_trial_open" in names:
        of = " ON trial" if connection.dialect.name == "mariadb" else ""
        connection.execute(sa.text(f"DROP INDEX ix_trial_open{of}"))
    if turn.name not in names:
        turn.create(connection)


STEPS: tuple[Step, ...] = (proposals, tables, digests, config_shas, handed_out, in_turn, index.install)
"""in order: what has another name by now is renamed before what is missing is made"""


def version(connection: sa.Connection) -> int:
    """The version of the database that is there, 0 where there is none."""
    if not sa.inspect(connection).has_table(schema_version.name):
        return 0
    return connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() or 0


def migrate(connection: sa.Connection) -> None:
    """Bring the database to the newest version; the caller's transaction makes it all or nothing.

    Raises `Refusal` when the database is newer than this code or holds foreign tables under our names.
    """
    present = set(sa.inspect(connection).get_table_names())
    if schema_version.name not in present:
        # A server's database may be shared with other programs; a file with other tables is somebody else's.
        alone = connection.dialect.name == "sqlite"
        _refuse_taken(present if alone else present & set(metadata.tables))
        schema_version.create(connection)
    present_version = version(connection)
    if present_version > VERSION:
        raise Refusal(
            f"The database has schema version {present_version} and this joulelab knows up to {VERSION}: "
            "update joulelab, or choose another store.url."
        )
    for step in STEPS:
        step(connection)
    if present_version < VERSION:
        connection.execute(sa.insert(schema_version).values(version=VERSION, applied=clock()))


def _refuse_taken(names: set[str]) -> None:
    if names:
        raise Refusal(
            f"The database already holds a table '{min(names)}' that joulelab did not make: "
            "choose another store.url."
        )


def _columns(connection: sa.Connection, table: sa.Table) -> set[str]:
    """The columns that a table has in the database; none where it is not there."""
    inspected = sa.inspect(connection)
    return (
        {c["name"] for c in inspected.get_columns(table.name)} if inspected.has_table(table.name) else set()
    )


def _index(table: sa.Table, column: str) -> sa.Index:
    return next(index for index in table.indexes if [c.name for c in index.columns] == [column])

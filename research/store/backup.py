"""A copy of the whole database at one moment, as a SQLite file, and whether what a database holds is sound.

SQLite copies itself by its online backup while others write. What a server holds is read in one snapshot and
written row by row into a new file of the same tables, which `store.url` takes like any other.
"""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from refusal import Refusal
from research.store import promises
from research.store.connection import Connection, Database
from research.store.schema import config_sha, metadata, schema_version, trial
from research.store.store import Store

_AT_ONCE = 500
_LOOKED_AT = 2000
"""trials, the newest, whose configuration is held against its digest: a tenth of a millisecond each"""

_LAST = {
    "postgresql": "SELECT relname, pg_sequence_last_value(pg_get_serial_sequence(quote_ident(relname), 'id')"
    "::regclass) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'id' "
    "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'",
    "mariadb": "SELECT table_name, auto_increment - 1 FROM information_schema.tables "
    "WHERE table_schema = DATABASE()",
}
"""the highest id that each table of a server has given"""


def backup(store: Store, to: Path) -> dict[str, int]:
    """Copy the database to a new file that nobody else may read, and return its rows by table.

    Raises `Refusal` for a file that is there already, a folder that takes none, and a copy that is not sound.
    """
    if to.exists():
        raise Refusal(f"{to} is there already, and a backup replaces nothing: name another file.")
    beside = to.with_name(f".{to.name}.{os.getpid()}.tmp")
    try:
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        counts = _copy(store, beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.rename(to)
    except (OSError, sqlite3.Error) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise Refusal(f"{to} cannot be written ({said}): name another file.") from error
    finally:
        for left in to.parent.glob(f"{beside.name}*") if to.parent.is_dir() else ():
            left.unlink()
    return counts


def _copy(store: Store, to: Path) -> dict[str, int]:
    with store.snapshot() as connection:
        before = _counts(connection)
        if connection.dialect.name == "sqlite":
            source: Any = connection.connection.driver_connection
            with closing(sqlite3.connect(to)) as target:
                source.backup(target)
        else:
            _rows(connection, to)
    copy = Store(f"sqlite:///{to}")
    try:
        with copy.read() as connection:
            wrong, counts = complaints(connection), _counts(connection)
    finally:
        copy.close()
    if wrong or counts != before:
        raise Refusal(
            f"The copy is not sound ({wrong[0] if wrong else counts}): task=doctor looks at the source."
        )
    return counts


def _rows(source: Connection, to: Path) -> None:
    """All rows of a server's database, into a new file of the same tables."""
    target = Database(f"sqlite:///{to}")
    try:
        with target.write() as connection:
            for table in metadata.sorted_tables:
                if table is schema_version:
                    continue
                found = source.execute(sa.select(table).order_by(*table.primary_key.columns)).mappings()
                for some in found.partitions(_AT_ONCE):
                    connection.execute(sa.insert(table), [dict(row) for row in some])
            _count_on(source, connection)
    finally:
        target.close()


def _count_on(source: Connection, connection: Connection) -> None:
    """Have ids go on behind all that the server has given, of rows too that were forgotten since."""
    for table, last in source.exec_driver_sql(_LAST[source.dialect.name]):
        if table in metadata.tables and last:
            connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            connection.exec_driver_sql("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, int(last)))


def _counts(connection: Connection) -> dict[str, int]:
    tables = [table for table in metadata.sorted_tables if table is not schema_version]
    return {
        table.name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
        for table in tables
    }


def complaints(connection: Connection) -> list[str]:
    """What is wrong with a database, in sentences; a file is read whole, of a server only the rows."""
    found = list(promises.sound(connection))
    c = trial.c
    newest = sa.select(c.id, c.signature, c.config, c.config_sha).order_by(c.id.desc()).limit(_LOOKED_AT)
    with suppress(sa.exc.DatabaseError):  # a damaged page is told above
        found += [
            f"the configuration of trial {row.id} is not the one that was written"
            for row in connection.execute(newest)
            if row.config_sha is not None and row.config_sha != config_sha(row.signature, row.config)
        ]
    return found

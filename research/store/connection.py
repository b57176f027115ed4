"""A connection to the database that `store.url` names, and its failures as sentences."""

import json
import logging
import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, final

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from refusal import Refusal
from research.store import address, migrations
from research.store.outage import Outage, Unreachable, first_line, passes
from research.store.writers import Writers

__all__ = ["Connection", "Database", "Unreachable"]

Connection = sa.Connection
"""a transaction that is open, for those who ask `queries`"""
_BUSY_MS = 30_000
_SYNCHRONOUS = "FULL"  # what was committed survives a power cut
# By any number, the same in every process: "joule". MariaDB's is given back with the connection.
_ALONE = {
    "postgresql": f"SELECT pg_advisory_xact_lock({0x6A6F756C65})",
    "mariadb": f"SELECT GET_LOCK('{0x6A6F756C65}', 60)",
}
_WRITE = "joulelab_write"
_EXTRAS = {kind: f"pip install .[{kind}]" for kind in ("postgresql", "mariadb")}
_RIGHTS = ("permission denied", "no schema has been selected")
_ADVICE = {
    "locked": "another process held the database for too long: stop it, or use PostgreSQL",
    "full": "the disk is full: free some space and type the command again",
    "no space left": "the disk is full: free some space and type the command again",
    "no such module": "this build of SQLite lacks FTS5: install another Python, or use PostgreSQL",
    "readonly": "the file or its folder cannot be written: change its rights, or choose another store.url",
    "read-only": "the file or its folder cannot be written: change its rights, or choose another store.url",
    "unable to open": "its folder is missing or cannot be written: create it, or choose another store.url",
    "not a database": "the file is no database: move it away, or choose another store.url",
    "malformed": "the file is damaged: restore a copy, or move it away to start anew",
    "disk i/o": "the disk failed: check it, or choose another store.url",
    # Before a colon it would be read as the name of a secret, and what follows be masked.
    "password": "the server refused the user or its password; give others by store.url, or PGPASSWORD",
    'role "': "the server does not know the user: correct store.url",
    "does not exist": "the server has no such database or table: create it, or correct store.url",
    **dict.fromkeys(_RIGHTS, "the user may not do this there: grant it, or correct store.url"),
    # MariaDB tells nobody without rights whether there is such a database.
    "denied": "the user may not do this there, or nothing has that name: grant it, or correct store.url",
    "refused": "no server answers there: start it, or correct store.url",
}
_BUGS = (exc.IntegrityError, exc.ProgrammingError, exc.DataError)
_ENGINES: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


@final
class Database:
    """One engine; `read` and `write` are transactions, and a write on SQLite locks before it looks."""

    def __init__(self, url: str, *, foreign: bool = False, patient: bool = False) -> None:
        """A `foreign` database is only read: neither made nor brought to the newest version.

        One that was reached before is waited for when it does not answer; a `patient` one from the start.
        """
        self.url, self._patient = address.parsed(url), patient
        self._file: tuple[int, int] | None = None
        self._shown = address.told(self.url)
        if foreign and self.url.database and self._is_missing():
            raise Refusal(f"There is no database {self._shown} to read: correct memory.store.url.")
        if self._is_missing():
            _make_private(str(self.url.database))
        self._engine = _engine(self.url, foreign)
        self._writer = self._engine.execution_options(**{_WRITE: True})
        self._writers = Writers(Path(str(self.url.database)), _BUSY_MS / 1000) if self._is_file else None
        _ENGINES.add(self._engine)
        try:
            self._check() if foreign else self._migrate()
            self._patient, self._file = True, address.file_of(self.url)
        except BaseException:
            self.close()
            raise

    @property
    def _is_file(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    def _is_missing(self) -> bool:
        return self._is_file and not Path(str(self.url.database)).is_file()

    def _version(self) -> int:
        with self.read() as connection:
            return migrations.version(connection)

    def _check(self) -> None:
        if (found := self._version()) != migrations.VERSION:
            raise Refusal(
                f"The database {self._shown} has schema version {found} and {migrations.VERSION} is read: "
                f"open it once by python agent.py task=status store.url=..., or choose another."
            )

    def _migrate(self) -> None:
        if self._version() == migrations.VERSION:
            return
        with self._sentences(), self._writer.connect() as connection:
            sqlite: Any = connection.connection.driver_connection if self._is_file else None
            if sqlite is not None:  # a table that is made anew is gone for a moment, and others refer to it
                sqlite.execute("PRAGMA foreign_keys = OFF")
            with connection.begin():
                if sqlite is None:
                    connection.execute(sa.text(_ALONE[self.url.get_backend_name()]))
                migrations.migrate(connection)
            if sqlite is not None:
                sqlite.execute("PRAGMA foreign_keys = ON")
            elif connection.dialect.name == "mariadb":
                connection.exec_driver_sql("SELECT RELEASE_ALL_LOCKS()")

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads; raises `Refusal` when the database cannot be used."""
        with self._transaction(self._engine) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that is written whole or not at all; raises `Refusal` as `read` does."""
        with self._transaction(self._writer) as connection:
            yield connection

    def snapshot(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that only reads, and sees what there was at its first look whatever is written."""
        if self.url.get_backend_name() == "sqlite":
            return self.read()
        return self._transaction(self._engine.execution_options(isolation_level="REPEATABLE READ"))

    @contextmanager
    def _transaction(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        unsure = False
        try:
            with self._sentences(), ExitStack() as stack:
                yield self._entered(engine, stack)
                unsure = True  # what follows is the commit
        except Unreachable as error:
            error.unsure = unsure
            raise

    def _entered(self, engine: sa.Engine, stack: ExitStack) -> sa.Connection:
        """A transaction that has begun, after a database that was away for a moment was waited for."""
        outage = Outage(self._shown)
        while True:
            self._refuse_vanished()
            try:
                if engine is self._writer and self._writers is not None:
                    stack.enter_context(self._writers.turn())
                connection = stack.enter_context(engine.begin())
                if connection.dialect.name == "sqlite" and engine is not self._writer:
                    connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1")  # takes the lock
                outage.over()
                return connection
            except exc.OperationalError as error:
                stack.close()
                waits = passes(error) and (self._patient or "locked" in str(error.orig))
                if not waits or not outage.outlasts(first_line(error)):
                    refusal = self._refusal(error)
                    refusal.waited = waits
                    raise refusal from error

    def _refuse_vanished(self) -> None:
        """Raise `Refusal` where the file is not the one that was opened: a new one would be made silently."""
        if self._file is not None and address.file_of(self.url) != self._file:
            raise Refusal(
                f"The database {self._shown} vanished while it was in use, or another file took its place, "
                "and none is made anew: bring it back, from a backup if need be, and type the command again."
            )

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except OverflowError as error:  # by SQLite's driver; servers say it themselves
            if "SQLite" not in str(error):
                raise
            raise self._too_large(error) from error
        except exc.DBAPIError as error:
            if isinstance(error, exc.DataError) and "out of range" in str(error.orig).lower():
                raise self._too_large(error.orig) from error
            if isinstance(error, _BUGS) and not any(said in str(error.orig) for said in _RIGHTS):
                raise
            raise self._refusal(error) from error
        except json.JSONDecodeError as error:
            raise Refusal(
                f"The database {self._shown} holds a row that is cut or was edited ({error}): bring a "
                "backup back."
            ) from error

    def _too_large(self, error: Any) -> Refusal:
        return Refusal(
            f"The database {self._shown} holds no number as large as one that it was given ({error}): write "
            "a smaller one."
        )

    def _refusal(self, error: exc.DBAPIError) -> Any:
        said = str(error.orig).lower()
        advice = next((text for word, text in _ADVICE.items() if word in said), "check store.url")
        sentence = f"The database {self._shown} cannot be used ({first_line(error)}): {advice}."
        return (Unreachable if passes(error) else Refusal)(sentence)

    def close(self) -> None:
        """Close every connection; the next transaction opens a new one."""
        self._engine.dispose()


def _make_private(path: str) -> None:
    """An empty file that nobody else may read; SQLite gives its journals the same rights."""
    with suppress(OSError):  # SQLite will say what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _engine(url: URL, foreign: bool = False) -> sa.Engine:
    kind = url.get_backend_name()
    # READ COMMITTED: a claim looks again after it waited for a lock.
    server: dict[str, Any] = {"pool_pre_ping": True, "isolation_level": "READ COMMITTED"}
    server["connect_args"] = {"connect_timeout": 10}
    if foreign and kind == "postgresql":
        server["connect_args"]["options"] = "-c default_transaction_read_only=on"
    if kind == "mariadb":
        only = "SET SESSION TRANSACTION READ ONLY" if foreign else "SET sql_mode = 'STRICT_ALL_TABLES'"
        server["connect_args"] |= {"charset": "utf8mb4", "init_command": only}
    try:
        engine = sa.create_engine(url, **({} if kind == "sqlite" else server))
    except ModuleNotFoundError as error:
        how = _EXTRAS.get(url.get_backend_name(), "another store.url")
        raise Refusal(f"store.url needs the package '{error.name}': {how}.") from error
    logging.getLogger(f"{QueuePool.__module__}.{QueuePool.__name__}").addFilter(_is_told)
    if kind == "sqlite":
        sa.event.listen(engine, "connect", _only_read_sqlite if foreign else _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _is_told(record: logging.LogRecord) -> bool:
    """Whether SQLAlchemy may print what it met while it closed a connection: Ctrl-C is told by who ends."""
    return not (record.exc_info and isinstance(record.exc_info[1], KeyboardInterrupt))


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # the driver would begin by itself, and later than we must
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute(f"PRAGMA journal_mode = {journal(sqlite3.sqlite_version_info)}")
    connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS}")
    connection.execute("PRAGMA foreign_keys = ON")


def _only_read_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute("PRAGMA query_only = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    # Two readers that both turn writers deadlock: who means to write locks first.
    immediate = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def journal(version: tuple[int, ...]) -> str:
    """WAL where its reset bug is fixed (SQLite 3.51.3, 3.50.7, 3.44.6), else TRUNCATE."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "WAL" if fixed else "TRUNCATE"


def _forget_after_fork() -> None:
    # A child that used its parent's socket or file lock would break both.
    for engine in _ENGINES:
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_after_fork)

"""A database that cannot be used is a sentence, and SQLite is opened the safe way."""

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

import redact
from claiming import KEY, ask, mine
from refusal import Refusal
from research.store import connection, outage
from research.store.claims import wanted
from research.store.connection import journal
from research.store.store import Store


def test_unreadable_urls_and_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, but long enough to be read as one " * 50)
    cases = {
        "no url": "no database URL",
        "oracle://localhost/x": "sqlite, postgresql or mariadb",
        "sqlite://": "in memory",
        f"sqlite:///{tmp_path}/none/lab.db": "does not exist: create it",
        f"sqlite:///{tmp_path}": "names the folder",
        f"sqlite:///{tmp_path}/text.db": "no database",
        "sqlite:////proc/lab.db": "cannot be written",
        "postgresql://me:secret@127.0.0.1:1/x": "no server answers",
    }
    for url, words in cases.items():
        with pytest.raises(Refusal, match=words) as refused:
            Store(url)
        assert "secret" not in str(refused.value) and "\n" not in str(refused.value), url


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Refusal, match=r"pip install \.\[postgresql\]"):
        Store("postgresql://localhost/x")


def test_a_full_disk_is_a_sentence_and_leaves_the_row_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/lab.db"
    claim = mine(ask(Store(url)))
    prepare = connection._prepare_sqlite

    def full(raw: Any, record: Any) -> None:
        prepare(raw, record)
        raw.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size as the smallest

    monkeypatch.setattr(connection, "_prepare_sqlite", full)
    small = Store(url)
    with pytest.raises(Refusal, match="disk is full"):
        small.finish(claim, {f"metric/{i}": 1.0 for i in range(5000)})
    assert small.trials()[0].status == "running"
    small.fail(claim, "no space")


def test_a_database_that_stays_locked_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_BUSY_MS", 50)
    monkeypatch.setattr(outage, "PATIENCE_S", 0)
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    other = sqlite3.connect(tmp_path / "lab.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refusal, match="another process held the database"):
        ask(store)
    other.close()
    mine(ask(store))


def test_wal_only_where_its_reset_bug_is_fixed(tmp_path: Path) -> None:
    fixed = [(3, 44, 6), (3, 44, 9), (3, 50, 7), (3, 51, 3), (3, 52, 0), (4, 0, 0)]
    broken = [(3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 0), (3, 51, 2)]
    assert {journal(version) for version in fixed} == {"WAL"}
    assert {journal(version) for version in broken} == {"TRUNCATE"}
    with Store(f"sqlite:///{tmp_path}/lab.db").read() as opened:
        mode = opened.exec_driver_sql("PRAGMA journal_mode").scalar()
        assert str(mode).upper() == journal(sqlite3.sqlite_version_info)
        assert opened.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.mark.slow
def test_a_forked_child_does_not_share_its_parents_connection(store: Store) -> None:
    store.trials()
    child = os.fork()
    if child == 0:
        try:
            mine(ask(store))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(store.trials()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p@zz/w0rd@127.0.0.1:1/db",
        "postgresql://me:p@zz@127.0.0.1:1/db",
        "postgresql://me:zz/w0rd@127.0.0.1:1/db",
        "postgresql://me:zz?w0rd@127.0.0.1:1/db",
        "postgresql://me:zz#w0rd@127.0.0.1:1/db",
        "postgresql://me:zz w0rd@127.0.0.1:1/db",
        "postgresql://me:zz:w0rd",
        "postgresql://me:zz:w0rd@127.0.0.1:zzw0rd/db",
        "postgresql://me:zz%2Fw0rd@127.0.0.1:1/db",
        "mysql://me:zzw0rd@127.0.0.1/db",
        "postgresql://127.0.0.1:1/db?user=me&password=zzw0rd",
    ],
)
def test_a_password_is_in_no_sentence_in_part_or_whole(url: str) -> None:
    with pytest.raises(Refusal) as told:
        connection.Database(url)
    assert not any(part in str(told.value) for part in ("zz/", "p@", "zz", "w0rd", "zz:"))
    assert "store.url" in str(told.value) and "\n" not in str(told.value)


def test_no_advice_is_taken_for_a_secret() -> None:
    said = {word: f"The database cannot be used (x): {text}." for word, text in connection._ADVICE.items()}
    assert {word: redact.shown(text) for word, text in said.items()} == said


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("(1045, \"Access denied for user 'me'@'::1' (using password: YES)\")", "refused the user or its"),
        ("(1044, \"Access denied for user 'me'@'::1' to database 'lab'\")", "grant it"),
        ("(1142, \"CREATE command denied to user 'me'@'::1' for table `lab`.`trial`\")", "grant it"),
    ],
)
def test_who_is_denied_by_mariadb_is_told_what_to_do(tmp_path: Path, said: str, advice: str) -> None:
    database = connection.Database(f"sqlite:///{tmp_path}/lab.db")
    refused = database._refusal(OperationalError("SELECT 1", {}, Exception(said)))
    database.close()
    assert advice in redact.shown(str(refused)) and not isinstance(refused, connection.Unreachable)


def test_a_number_that_no_row_holds_is_a_sentence(store: Store) -> None:
    (number,) = store.enqueue([wanted(KEY, config={})])
    with pytest.raises(Refusal, match="holds no number as large as one that it was given"):
        store.prioritise([number], 10**30)


def test_a_file_is_told_as_it_is_called(tmp_path: Path) -> None:
    from research.store.address import shown

    assert shown(f"sqlite:///{tmp_path}/mä b.db") == f"sqlite:///{tmp_path}/mä b.db"

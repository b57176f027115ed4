"""Both databases keep the same values, and one schema is made and grown, whole and once."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from claiming import ask, mine
from refusal import Refusal
from research.store import schema
from research.store.schema import Json, Words
from research.store.store import Store

HERE = sa.create_engine("sqlite://").dialect


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSONS)
def test_json_survives_both_databases(value: Any) -> None:
    stored = Json().process_bind_param(value, HERE)
    assert stored.isascii() and "\0" not in stored
    assert repr(Json().process_result_value(stored, HERE)) == repr(value)


@given(st.text(st.characters(exclude_categories=())))
def test_words_can_be_stored_anywhere_and_change_only_what_cannot(text: str) -> None:
    stored = Words().process_bind_param(text, HERE)
    assert stored is not None and "\0" not in stored and len(stored.encode()) >= len(text) == len(stored)
    assert all(
        a == b for a, b in zip(stored, text, strict=True) if b != "\0" and not "\ud800" <= b <= "\udfff"
    )


def test_a_newer_or_foreign_database_is_refused_untouched(store: Store, store_url: str) -> None:
    with store.write() as connection:
        connection.execute(sa.insert(schema.schema_version).values(version=99, applied=0))
    with pytest.raises(Refusal, match="version 99"):
        Store(store_url)
    with store.write() as connection:
        schema.schema_version.drop(connection)
    with pytest.raises(Refusal, match="did not make"):
        Store(store_url)


def test_many_first_starts_at_once_make_one_schema(store_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(Store, [store_url] * 8))
    with stores[0].read() as opened:
        made = set(sa.inspect(opened).get_table_names())
        assert {name for name in made if not name.startswith("episode_terms")} == set(schema.metadata.tables)
        versions = opened.execute(sa.select(schema.schema_version.c.version)).scalars().all()
        assert versions == sorted(schema.MIGRATIONS)
    for store in stores:
        store.close()


def test_migrations_run_in_order_once_and_whole(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(connection: sa.Connection) -> None:
        connection.execute(sa.text("ALTER TABLE insight ADD COLUMN rating INTEGER"))

    def three(connection: sa.Connection) -> None:
        connection.execute(sa.text("UPDATE insight SET rating = 7"))
        raise ZeroDivisionError

    claim = mine(ask(store))
    released = dict(schema.MIGRATIONS)
    next_two = (max(released) + 1, max(released) + 2)
    monkeypatch.setattr(schema, "MIGRATIONS", released | dict(zip(next_two, (two, three), strict=True)))
    with pytest.raises(ZeroDivisionError):
        Store(store_url)
    columns = lambda: {c["name"] for c in sa.inspect(store._database._engine).get_columns("insight")}  # noqa: E731
    assert "rating" not in columns()
    done = (two, lambda connection: None)
    monkeypatch.setattr(schema, "MIGRATIONS", released | dict(zip(next_two, done, strict=True)))
    Store(store_url).close()
    newer = Store(store_url)
    assert "rating" in columns()
    with newer.read() as connection:
        versions = connection.execute(sa.select(schema.schema_version.c.version)).scalars().all()
    assert sorted(versions) == [*released, *next_two]
    newer.finish(claim, {"a": 1.0})
    newer.close()


def test_a_database_of_version_1_learns_to_find_an_exchange_by_its_digest(store_url: str) -> None:
    first = Store(store_url)
    with first.write() as connection:
        connection.execute(sa.text("DROP INDEX ix_interaction_digest"))
        connection.execute(sa.text("ALTER TABLE interaction DROP COLUMN digest"))
        connection.execute(sa.text("DELETE FROM schema_version WHERE version > 1"))
    first.close()
    again = Store(store_url)
    again.add_interaction(role="r", model="m", prompt="p", reply=None, outcome="lost", digest="abc")
    assert [row["digest"] for row in again.interactions()] == ["abc"]
    again.close()


def test_a_file_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "songs.db")) as songs:
        songs.execute("CREATE TABLE song (name TEXT)")
    before = (tmp_path / "songs.db").read_bytes()
    with pytest.raises(Refusal, match=r"'song' that joulelab did not make"):
        Store(f"sqlite:///{tmp_path / 'songs.db'}")
    assert (tmp_path / "songs.db").read_bytes() == before

"""Both databases keep the same values, and one schema is made and grown, whole and once."""

import math
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from claiming import ask, keys, mine
from past import insight, proposed, sprint
from refusal import Refusal
from research.memory.retrieval import Nearest, Query
from research.store import migrations, promises, schema
from research.store.claims import refuse_edited, wanted
from research.store.columns import Json, Words
from research.store.store import Store

HERE = sa.create_engine("sqlite://").dialect


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.slow
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
        assert versions == [migrations.VERSION]
    for store in stores:
        store.close()


@pytest.fixture
def aged(store_url: str) -> None:
    """No version before this one had a MariaDB, which undoes no change of a table either."""
    if store_url.startswith("mariadb"):
        pytest.skip("there is no earlier database of that kind")


@pytest.mark.usefixtures("aged")
def test_migrations_run_in_order_once_and_whole(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(connection: sa.Connection) -> None:
        connection.execute(sa.text("ALTER TABLE insight ADD COLUMN rating INTEGER"))

    def three(connection: sa.Connection) -> None:
        connection.execute(sa.text("UPDATE insight SET rating = 7"))
        raise ZeroDivisionError

    def to(*steps: migrations.Step) -> None:
        monkeypatch.setattr(migrations, "STEPS", (*released, *steps))
        monkeypatch.setattr(migrations, "VERSION", newest + len(steps))

    def columns() -> set[str]:
        return {column["name"] for column in sa.inspect(store._database._engine).get_columns("insight")}

    claim = mine(ask(store))
    released, newest = migrations.STEPS, migrations.VERSION
    to(two, three)
    with pytest.raises(ZeroDivisionError):
        Store(store_url)
    assert "rating" not in columns()
    to(two, lambda connection: None)
    Store(store_url).close()
    later = Store(store_url)
    assert "rating" in columns()
    with later.read() as connection:
        versions = connection.execute(sa.select(schema.schema_version.c.version)).scalars().all()
    assert sorted(versions) == [newest, newest + 2]
    later.finish(claim, {"a": 1.0})
    later.close()


@pytest.mark.usefixtures("aged")
def test_a_database_of_version_1_learns_to_find_an_exchange_by_its_digest(store_url: str) -> None:
    first = Store(store_url)
    with first.write() as connection:
        connection.execute(sa.text("DROP INDEX ix_interaction_digest"))
        connection.execute(sa.text("ALTER TABLE interaction DROP COLUMN digest"))
        connection.execute(sa.text("ALTER TABLE trial DROP COLUMN config_sha"))
        connection.execute(sa.text("UPDATE schema_version SET version = 1"))
    first.close()
    again = Store(store_url)
    again.add_interaction(role="r", model="m", prompt="p", reply=None, outcome="lost", digest="abc")
    assert [row["digest"] for row in again.interactions()] == ["abc"]
    again.close()


def test_trials_of_before_have_no_digest_and_those_to_come_have(store: Store, store_url: str) -> None:
    fresh = laid_out(store)
    claim = mine(ask(store))
    store.finish(claim, {"a": 1.0})
    with store.write() as connection:
        connection.execute(sa.text("ALTER TABLE trial DROP COLUMN config_sha"))
        connection.execute(sa.text("UPDATE schema_version SET version = 5"))
    again = Store(store_url)
    assert laid_out(again) == fresh
    (before,) = again.trials()
    assert (before.config, before.config_sha) == ({"seed": 1}, None)
    refuse_edited(before)
    again.claim(before.key._replace(signature="another"), config={"lr": math.nan, "b": [1, 2.5, "\0é"]})
    (_, after) = again.trials()
    assert len(after.config_sha) == 64
    refuse_edited(after)
    again.close()


@pytest.mark.slow
@given(JSONS)
def test_a_config_has_the_same_digest_when_it_is_read_again(value: Any) -> None:
    read = Json().process_result_value(Json().process_bind_param({"a": value}, HERE), HERE)
    assert schema.config_sha("s", read) == schema.config_sha("s", {"a": value})
    assert (
        schema.config_sha("t", read) != schema.config_sha("s", read) != schema.config_sha("s", {"b": value})
    )


def laid_out(store: Store) -> Any:
    """Tables with their columns, indexes and links, as the database itself tells them."""
    with store.read() as connection:
        found = sa.inspect(connection)
        links = found.get_foreign_keys
        return {
            name: (
                [column["name"] for column in found.get_columns(name)],
                sorted(index["name"] for index in found.get_indexes(name)),
                sorted((*key["constrained_columns"], key["referred_table"]) for key in links(name)),
            )
            for name in schema.metadata.tables
        }


def age_to_version_4(store: Store) -> None:
    """Give a database the names of version 4, in which a proposal was called an experiment."""
    with store.write() as connection:
        connection.execute(sa.text("ALTER TABLE trial DROP COLUMN config_sha"))
        connection.execute(sa.text("ALTER TABLE proposal RENAME TO experiment"))
        for table, column in (("experiment", "sprint"), *((name, "experiment") for name in LINKED)):
            if column == "experiment":
                connection.execute(sa.text(f"ALTER TABLE {table} RENAME COLUMN proposal_id TO experiment_id"))
            former = f"ix_{table}_{column}_id".replace("experiment", "proposal")
            connection.execute(sa.text(f"DROP INDEX {former}"))
            connection.execute(sa.text(f"CREATE INDEX ix_{table}_{column}_id ON {table} ({column}_id)"))
        connection.execute(sa.text("UPDATE schema_version SET version = 4"))


LINKED = ("review", "insight", "episode")


@pytest.mark.usefixtures("aged")
def test_a_database_of_version_4_learns_to_say_proposal_and_keeps_all(store: Store, store_url: str) -> None:
    fresh, number = laid_out(store), sprint(store)
    about = proposed(store, number, ["optimizer=lion"], "Signs are cheap")
    store.add_review(about, role="reviewer", score=7.0)
    insight(store, number, about)
    before = (store.proposals(), store.reviews(), store.insights())
    age_to_version_4(store)
    again = Store(store_url)
    assert laid_out(again) == fresh
    assert (again.proposals(), again.reviews(), again.insights()) == before
    later = proposed(again, number, ["optimizer=muon"], "Orthogonal updates")
    assert later == about + 1
    found = {episode.id for episode in Nearest()(again, Query(task="digits"))}
    assert found == {"insight 1", f"proposal {later}"}
    with pytest.raises(sa.exc.IntegrityError):
        again.add_review(later + 1, role="reviewer", score=1.0)
    again.close()


@pytest.mark.usefixtures("aged")
def test_a_server_where_another_program_has_that_name_stays_as_it_is(store: Store, store_url: str) -> None:
    proposed(store, None, ["optimizer=lion"])
    age_to_version_4(store)
    with store.write() as connection:
        connection.execute(sa.text("CREATE TABLE proposal (title TEXT)"))
    with pytest.raises(Refusal, match="already holds a table 'proposal' that joulelab did not make"):
        Store(store_url)
    with store.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM experiment")).scalar() == 1
        assert connection.execute(sa.text("SELECT max(version) FROM schema_version")).scalar() == 4


def test_a_file_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "songs.db")) as songs:
        songs.execute("CREATE TABLE song (name TEXT)")
    before = (tmp_path / "songs.db").read_bytes()
    with pytest.raises(Refusal, match=r"'song' that joulelab did not make"):
        Store(f"sqlite:///{tmp_path / 'songs.db'}")
    assert (tmp_path / "songs.db").read_bytes() == before


def test_a_kept_database_of_version_6_opens_with_all_that_it_holds(tmp_path: Path) -> None:
    """Its ids were used again, tokens counted, and nothing was known of attempts."""
    shutil.copy(Path(__file__).with_name("version_6.sqlite"), tmp_path / "lab.db")
    with closing(Store(f"sqlite:///{tmp_path}/new.db")) as new:
        fresh = laid_out(new)
    with closing(Store(f"sqlite:///{tmp_path}/lab.db")) as kept:
        assert laid_out(kept) == fresh
        rows = kept.trials()
        assert {row.id: row.word for row in rows} == {1: "done", 2: "failed", 3: "stopped", 4: "lost"}
        assert kept.results([1])[1].metrics == {"train/energy_j": 2.0, "val/accuracy": 0.9}
        assert len(kept.proposals()) == len(kept.insights()) == len(kept.reviews()) == 1
        refuse_edited(rows[0])
        with kept.write() as connection:
            assert promises.broken(connection) == []
        (again,) = kept.take([4])
        kept.fail(again, "diverged: x")
        assert [row.status for row in kept.trials()] == ["done", "failed", "stopped", "failed"]
        with kept.write() as connection:
            for table in (schema.attempt, schema.episode):
                connection.execute(sa.delete(table).where(table.c.trial_id == 4))
            connection.execute(sa.delete(schema.trial).where(schema.trial.c.id == 4))
            assert promises.broken(connection) == []
        assert mine(ask(kept)).trial_id == 5, "an id was used again"


@pytest.mark.slow
def test_a_server_of_version_6_is_brought_on(postgres: Any) -> None:
    url = postgres.url("version6")
    with closing(Store(url)) as store:
        store.finish(mine(ask(store)), {"a": 1.0})
        store.fail(mine(ask(store, keys(2)[0])), "stopped early: it could not win")
        ask(store, keys(2)[1], lease_s=0.0)
        with store.write() as connection:
            for statement in (
                "DROP TABLE attempt, lease, pause",
                "DROP INDEX ix_trial_turn",
                "ALTER TABLE trial DROP CONSTRAINT held_by_a_token",
                *(f"ALTER TABLE trial DROP COLUMN {name}" for name in (*migrations._NEW, "token")),
                "ALTER TABLE trial ADD COLUMN token INTEGER NOT NULL DEFAULT 1",
                "UPDATE trial SET status = 'failed' WHERE status = 'stopped'",
                "UPDATE schema_version SET version = 6",
            ):
                connection.execute(sa.text(statement))
    with closing(Store(url)) as kept:
        assert [row.word for row in kept.trials()] == ["done", "stopped", "lost"]
        (again,) = kept.take([3])
        kept.finish(again, {"a": 2.0})
        with kept.read() as connection:
            assert promises.broken(connection) == []


def test_a_database_of_version_7_has_its_trials_in_the_order_of_their_turns(
    store: Store, store_url: str
) -> None:
    fresh = laid_out(store)
    of = " ON trial" if store_url.startswith("mariadb") else ""
    with store.write() as connection:
        connection.execute(sa.text(f"DROP INDEX ix_trial_turn{of}"))
        connection.execute(sa.text("CREATE INDEX ix_trial_open ON trial (status)"))
        connection.execute(sa.text("UPDATE schema_version SET version = 7"))
    with closing(Store(store_url)) as again:
        assert laid_out(again) == fresh
        numbers = again.enqueue([wanted(key, config={}) for key in keys(4)])
        assert again.prioritise(numbers[2:], 1) == 2
        assert [claim.trial_id for claim in again.take(most=4)] == [*numbers[2:], *numbers[:2]]

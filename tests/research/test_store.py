"""What the store promises on both databases: nothing doubled, nothing lost, nothing half-written."""

import math
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from refusal import Refusal
from research import connection, lease, schema
from research.connection import journal
from research.schema import Json, Words, metric, trial
from research.store import Busy, Claim, Known, Lost, Store
from research.types import Key

ROOT = Path(__file__).parents[2]
KEY = Key("s", "c", "d", "h")
HERE = sa.create_engine("sqlite://").dialect


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()


def keys(n: int) -> list[Key]:
    return [KEY._replace(signature=f"s{i}") for i in range(n)]


def ask(store: Store, key: Key = KEY, **more: Any) -> Claim | Known | Busy:
    return store.claim(key, config={"seed": 1}, overrides=["seed=1"], seed=1, **more)


def mine(got: Claim | Known | Busy) -> Claim:
    assert isinstance(got, Claim)
    return got


def end_lease(store: Store, trial_id: int) -> None:
    with store.write() as connection:
        connection.execute(sa.update(trial).where(trial.c.id == trial_id).values(lease_until=0))


def elsewhere(store: Store, trial_id: int) -> None:
    """Make the row look as if another host's process ran it."""
    with store.write() as connection:
        owner = "otherhost 0-0-0 pid:[1] 4 5"
        connection.execute(sa.update(trial).where(trial.c.id == trial_id).values(owner=owner))


def test_a_trial_runs_once_and_its_figures_come_back_as_they_were(store: Store) -> None:
    claim = mine(ask(store, name="n\0ame", sweep="w", source="agent", folder="runs/1"))
    assert isinstance(ask(store), Busy)
    metrics = {"test/accuracy": 0.5, "bad": math.nan, "huge": math.inf, "count": 2**53}
    facts = {"per_class": [0.25, math.nan, -math.inf], "text": "a\0b\ud800", "nested": {"none": None}}
    store.finish(claim, metrics, facts)
    known = ask(store)
    assert isinstance(known, Known)
    found = dict(known.result.metrics)
    assert math.isnan(found.pop("bad")) and found == {"test/accuracy": 0.5, "huge": math.inf, "count": 2**53}
    assert repr(known.result.facts) == repr(facts)
    row = known.trial
    assert (row.name, row.sweep, row.source, row.folder) == ("n\ufffdame", "w", "agent", "runs/1")
    assert (row.key, row.replicate, row.seed, row.status, row.reason) == (KEY, 0, 1, "done", None)
    assert row.overrides == ("seed=1",) and row.config == {"seed": 1}
    assert row.finished is not None and row.started <= row.finished
    assert store.known([KEY, KEY._replace(data="other")]).keys() == {KEY}
    assert repr(store.known([KEY])[KEY]) == repr(store.results([row.id])[row.id]) == repr(known.result)


def test_every_part_of_the_key_makes_another_trial(store: Store) -> None:
    others = [KEY._replace(**{part: "other"}) for part in Key._fields]
    assert len({mine(ask(store, key)).trial_id for key in [KEY, *others]}) == 5


def test_a_learning_curve_comes_back_in_order_with_gaps_as_nan(store: Store) -> None:
    claim = mine(ask(store))
    points = [
        {"step": 10, "second": 0.5, "joule": None, "val/accuracy": 0.1, "train/loss": math.nan},
        {"step": 20, "second": 1.5, "val/accuracy": 0.2},
    ]
    store.finish(claim, {"val/accuracy": 0.3}, {}, points)
    first, second = store.curve(claim.trial_id)
    assert (
        math.isnan(first.pop("joule"))
        and math.isnan(first.pop("train/loss"))
        and math.isnan(second.pop("joule"))
    )
    assert first == {"step": 10, "second": 0.5, "val/accuracy": 0.1}
    assert second == {"step": 20, "second": 1.5, "val/accuracy": 0.2}
    assert store.results([claim.trial_id])[claim.trial_id].metrics == {"val/accuracy": 0.3}


def test_a_failed_trial_keeps_its_reason_and_is_run_again_when_asked_for(store: Store) -> None:
    store.fail(mine(ask(store)), "diverged: loss is \0 nan")
    (row,) = store.trials(status="failed")
    assert row.reason == "diverged: loss is \ufffd nan" and store.results([row.id]) == {}
    again = mine(ask(store, sweep="second"))
    assert again == Claim(row.id, 2)
    (row,) = store.trials(status="running")
    assert row.reason is None and row.sweep == "second"


def test_a_paused_owner_whose_lease_was_taken_cannot_write(store: Store) -> None:
    paused = mine(ask(store))
    elsewhere(store, paused.trial_id)
    assert isinstance(ask(store), Busy)
    end_lease(store, paused.trial_id)
    taken = mine(ask(store))
    assert taken == Claim(paused.trial_id, 2)
    for write in (store.renew, lambda c: store.finish(c, {"a": 1}), lambda c: store.fail(c, "late")):
        with pytest.raises(Lost):
            write(paused)
    assert store.trials()[0].status == "running"
    store.finish(taken, {"a": 2.0})
    with pytest.raises(Lost):
        store.finish(paused, {"a": 1.0})
    assert store.known([KEY])[KEY].metrics == {"a": 2.0}


def test_a_renewed_lease_holds_and_is_counted_by_the_database(store: Store) -> None:
    claim = mine(ask(store, lease_s=0.0))
    store.renew(claim, 60)
    assert isinstance(ask(store), Busy)
    with store.read() as connection:
        left = connection.execute(sa.select(trial.c.lease_until - schema.clock())).scalar()
    assert left is not None and 50 < left <= 60


def test_finishing_twice_under_one_claim_is_finishing_once(store: Store) -> None:
    claim = mine(ask(store))
    store.finish(claim, {"a": 1.0})
    store.finish(claim, {"a": 1.0})
    assert store.known([KEY])[KEY].metrics == {"a": 1.0}
    with pytest.raises(Lost):
        store.fail(claim, "no")


def test_a_trial_that_cannot_be_written_whole_is_not_written_at_all(store: Store) -> None:
    claim = mine(ask(store))
    with pytest.raises(sa.exc.StatementError):
        store.finish(claim, {"a": 1.0}, {"open file": object()})
    with pytest.raises(Refusal, match="no 'step'"):
        store.finish(claim, {"a": 1.0}, {}, [{"val/accuracy": 0.5}])
    with pytest.raises((ValueError, TypeError)):
        store.finish(claim, {"a": "fast"})  # type: ignore[dict-item]
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(metric)).scalar() == 0
    assert store.trials()[0].status == "running"
    store.fail(claim, "said so")


def test_force_runs_a_declared_replicate_beside_what_is_there(store: Store) -> None:
    store.finish(mine(ask(store)), {"a": 1.0})
    second = mine(ask(store, force=True))
    third = mine(ask(store, force=True))
    assert [row.replicate for row in store.trials()] == [0, 1, 2]
    store.fail(second, "killed")
    assert mine(ask(store, force=True)) == Claim(second.trial_id, 2)  # what failed is finished first
    store.finish(third, {"a": 3.0})
    assert store.known([KEY])[KEY].metrics == {"a": 1.0}


def test_trials_are_found_by_what_they_are(store: Store) -> None:
    for at, key in enumerate(keys(4)):
        claim = mine(
            ask(store, key, sweep="even" if at % 2 == 0 else "odd", source="agent" if at else "person")
        )
        if at < 2:
            store.finish(claim, {})
    ids = [row.id for row in store.trials()]
    assert ids == sorted(ids) and len(ids) == 4
    assert [row.id for row in store.trials(sweep="even")] == [ids[0], ids[2]]
    assert [row.id for row in store.trials(status="done", source="agent")] == [ids[1]]
    assert [row.id for row in store.trials(limit=2)] == ids[2:]
    assert [row.id for row in store.trials(ids=[ids[3], ids[0], ids[0], 99])] == [ids[0], ids[3]]
    assert [row.id for row in store.trials(ids=ids, limit=1)] == [ids[3]]
    assert store.trials(ids=[]) == [] == store.trials(limit=0)


def test_more_keys_than_a_statement_may_carry_are_looked_up(store: Store) -> None:
    some = keys(3)
    for key in some:
        store.finish(mine(ask(store, key)), {"a": 1.0})
    assert store.known([*some, *(KEY._replace(signature=f"x{i}") for i in range(40_000))]).keys() == set(some)


def test_many_threads_claim_each_trial_once(store: Store) -> None:
    wanted = keys(30)

    def work(worker: int) -> list[int]:
        got = [ask(store, key) for key in (wanted if worker % 2 else reversed(wanted))]
        return [claim.trial_id for claim in got if isinstance(claim, Claim)]

    with ThreadPoolExecutor(6) as pool:
        claimed = [number for numbers in pool.map(work, range(6)) for number in numbers]
    assert len(claimed) == len(set(claimed)) == 30


CLAIM_AND_WAIT = """
import sys
from research.store import Store
from research.types import Key
print(Store(sys.argv[1]).claim(Key("s", "c", "d", "h"), config={}), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_trial_whose_process_was_killed_is_taken_over_at_once(store: Store, store_url: str) -> None:
    command = [sys.executable, "-c", CLAIM_AND_WAIT, store_url]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "Claim(trial_id=1, token=1)\n"
        assert isinstance(ask(store), Busy)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, but still a zombie: nobody reaped it
        assert ask(store) == Claim(1, 2)


WORK = """
import random, sys, time
from research.store import Busy, Claim, Store
from research.types import Key
store, random_ = Store(sys.argv[1]), random.Random(int(sys.argv[2]))
wanted = [Key(f"s{i}", "c", "d", "h") for i in range(40)]
random_.shuffle(wanted)
while wanted:
    got = store.claim(wanted[0], config={})
    if isinstance(got, Busy):
        wanted.append(wanted.pop(0))
        time.sleep(0.005)
        continue
    if isinstance(got, Claim):
        time.sleep(random_.uniform(0, 0.01))
        store.finish(got, {"a": 1.0}, {}, [{"step": 1, "a": 1.0}])
    wanted.pop(0)
"""


@pytest.mark.slow
def test_workers_killed_at_any_moment_double_and_lose_nothing(store: Store, store_url: str) -> None:
    def spawn(seed: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WORK, store_url, str(seed)], cwd=ROOT)

    for seed, life in enumerate((1.2, 1.4, 1.7)):
        victims = [spawn(seed), spawn(seed + 10)]
        threading.Event().wait(life)
        for victim in victims:
            victim.kill()
            victim.wait()
    last = [spawn(20), spawn(21)]
    assert [worker.wait(timeout=60) for worker in last] == [0, 0]
    with store.read() as connection:
        figures = Counter(connection.execute(sa.select(metric.c.trial_id)).scalars())
        rows = connection.execute(sa.select(trial.c.signature, trial.c.status)).all()
    assert sorted(rows) == sorted((f"s{i}", "done") for i in range(40))
    assert set(figures.values()) == {2} and len(figures) == 40


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


def test_the_lease_is_kept_while_the_body_runs_and_its_loss_is_told(store: Store) -> None:
    claim = mine(ask(store, lease_s=5))

    def until() -> float:
        with store.read() as opened:
            return opened.execute(sa.select(trial.c.lease_until)).scalar_one()

    first, end = until(), time.monotonic() + 20
    with store.keep(claim, 0.3) as lost:
        while until() == first:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert not lost.is_set()
        with store.write() as opened:
            opened.execute(sa.update(trial).values(token=claim.token + 1))
        assert lost.wait(20)
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_a_database_out_of_reach_does_not_end_the_lease() -> None:
    tries, enough = [], threading.Event()

    def renew(seconds: float) -> None:
        tries.append(seconds)
        if len(tries) == 3:
            enough.set()
        raise Refusal("no server answers")

    with lease.kept(renew, 0.03) as lost:
        assert enough.wait(20) and not lost.is_set()
    assert set(tries) == {0.03}


def test_owners_of_other_places_are_never_called_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    me = lease.owner()
    assert not lease.dead(me)
    place, process, started = me.rsplit(" ", 2)
    assert lease.dead(f"{place} {process} {int(started) - 1}")  # the id was used again
    assert lease.dead(f"{place} 99999999 1")
    assert not lease.dead(f"{place}x 99999999 1")
    monkeypatch.setattr(lease, "place", lambda: "")
    assert not lease.dead(" 99999999 1")


def test_unreadable_urls_and_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, but long enough to be read as one " * 50)
    cases = {
        "no url": "no database URL",
        "mysql://localhost/x": "sqlite or postgresql",
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
        assert set(sa.inspect(opened).get_table_names()) == set(schema.metadata.tables)
        assert opened.execute(sa.select(schema.schema_version.c.version)).scalars().all() == [1]
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
    monkeypatch.setattr(schema, "MIGRATIONS", {**schema.MIGRATIONS, 2: two, 3: three})
    with pytest.raises(ZeroDivisionError):
        Store(store_url)
    columns = lambda: {c["name"] for c in sa.inspect(store._database._engine).get_columns("insight")}  # noqa: E731
    assert "rating" not in columns()
    monkeypatch.setattr(schema, "MIGRATIONS", {**schema.MIGRATIONS, 2: two, 3: lambda connection: None})
    Store(store_url).close()
    newer = Store(store_url)
    assert "rating" in columns()
    with newer.read() as connection:
        versions = connection.execute(sa.select(schema.schema_version.c.version)).scalars().all()
    assert sorted(versions) == [1, 2, 3]
    newer.finish(claim, {"a": 1.0})
    newer.close()


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

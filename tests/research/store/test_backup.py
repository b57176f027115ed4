"""A backup is the whole database of one moment; databases of every earlier version become today's."""

import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from claiming import KEY, ask, keys, mine
from refusal import Refusal
from research.memory.retrieval import Nearest, Query
from research.store import backup, migrations
from research.store.forgetting import Forget, forget
from research.store.schema import metadata
from research.store.store import Store

VERSIONS = sorted((Path(__file__).parent / "versions").glob("*.sql"))


def filled(store: Store) -> None:
    for number, key in enumerate(keys(7)):
        claim = mine(ask(store, key))
        if number % 3:
            store.finish(claim, {"a": float(number), "b": float("nan")}, {"x": [1]}, [{"step": 1, "a": 0.5}])
        else:
            store.fail(claim, "diverged: the loss is nan")
    store.add_sprint("a goal with ümläuts and \0", facts={"campaign": "one"})


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.read() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
            if table.name != "schema_version"
        }


def test_a_copy_has_every_row_and_is_a_database(store: Store, tmp_path: Path) -> None:
    filled(store)
    to = tmp_path / "copies" / "one.db"
    counts = backup.backup(store, to)
    assert counts["trial"] == 7 and counts["sprint"] == 1 and counts["episode"] == 7
    assert to.stat().st_mode & 0o777 == 0o600 and [path.name for path in to.parent.iterdir()] == ["one.db"]
    copy = Store(f"sqlite:///{to}")
    assert repr(rows(copy)) == repr(rows(store))
    assert copy.known(keys(7)).keys() == store.known(keys(7)).keys()
    mine(ask(copy, KEY._replace(signature="new")))
    copy.close()


def test_an_id_that_was_forgotten_comes_in_no_copy_again(store: Store, tmp_path: Path) -> None:
    filled(store)
    forget(store, Forget(before=1e11, trials=True))
    backup.backup(store, tmp_path / "copy.db")
    copy = Store(f"sqlite:///{tmp_path}/copy.db")
    assert mine(ask(copy, KEY)).trial_id == 8 and copy.add_sprint("next") == 2
    copy.close()


def test_nothing_is_replaced_and_a_folder_that_takes_none_is_a_sentence(store: Store, tmp_path: Path) -> None:
    (tmp_path / "there.db").write_text("mine")
    with pytest.raises(Refusal, match="replaces nothing"):
        backup.backup(store, tmp_path / "there.db")
    assert (tmp_path / "there.db").read_text() == "mine"
    with pytest.raises(Refusal, match="cannot be written"):
        backup.backup(store, Path("/proc/none/x.db"))


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*about: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(backup, "_copy", full)
    with pytest.raises(Refusal, match=r"cannot be written \(database or disk is full\): name another file"):
        backup.backup(store, tmp_path / "copies" / "one.db")
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.slow
def test_a_copy_is_of_one_moment_while_others_write(store: Store, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            store.finish(mine(ask(store, KEY._replace(signature=f"w{number}"))), {"a": 1.0, "b": 2.0})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            backup.backup(store, tmp_path / f"{number}.db")
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        copy = Store(f"sqlite:///{tmp_path}/{number}.db")
        done = {one.id for one in copy.trials(status="done")}
        assert set(copy.results(done)) == done
        assert all(one.metrics.keys() == {"a", "b"} for one in copy.results(done).values())
        copy.close()


def test_damage_is_told(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    filled(store)
    with store.read() as connection:
        assert backup.complaints(connection) == []
    with store.write() as connection:
        connection.execute(sa.text("UPDATE trial SET config = '{\"seed\": 2}' WHERE id = 3"))
    with store.read() as connection:
        assert backup.complaints(connection) == [
            "the configuration of trial 3 is not the one that was written"
        ]
    store.close()
    with closing(sqlite3.connect(tmp_path / "lab.db")) as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("DELETE FROM trial WHERE id = 2")
        raw.commit()
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    with store.read() as connection:
        assert "a row of metric refers to one of trial that is not there" in backup.complaints(connection)
    with pytest.raises(Refusal, match="not sound"):
        backup.backup(store, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    store.close()


@pytest.mark.parametrize("script", VERSIONS, ids=lambda path: path.stem)
def test_a_database_of_every_earlier_version_becomes_todays(script: Path, tmp_path: Path) -> None:
    """What the code of that version wrote, see the first line of each file."""
    with closing(sqlite3.connect(tmp_path / "lab.db")) as raw:
        raw.executescript(script.read_text())
        version = raw.execute("SELECT MAX(version) FROM schema_version").fetchone()[0]
    assert version < migrations.VERSION and version == int(re.sub(r"\D", "", script.stem))
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    with store.read() as connection:
        assert backup.complaints(connection) == []
    words = {one.key.signature: one.word for one in store.trials() if one.replicate == 0}
    assert words == {"s1": "done", "s2": "failed", "s3": "stopped", "s4": words["s4"]}
    first = store.trials()[0]
    found = store.results([first.id])[first.id]
    assert found.metrics["val/accuracy"] == 0.9 and found.metrics["x"] != found.metrics["x"]
    assert store.curve(first.id)[0]["val/loss"] == 0.5 and first.config["odd"] != first.config["odd"]
    (proposal,) = store.proposals()
    assert proposal["proposal"].overrides == ("optimizer=lion",)
    assert len(store.reviews(proposal_id=proposal["id"])) == len(store.interactions()) == 1
    assert Nearest()(store, Query(words="lion"))
    again = mine(ask(store, first.key._replace(signature="s4"))) if words["s4"] == "lost" else None
    new = mine(ask(store, KEY))
    store.finish(new, {"a": 1.0})
    assert again is None or again.trial_id < new.trial_id
    store.close()
    Store(f"sqlite:///{tmp_path}/lab.db").close()


def test_there_is_a_file_of_every_version() -> None:
    assert [path.stem for path in VERSIONS] == [f"version_{n}" for n in range(1, migrations.VERSION)]

"""A database that is away for seconds is waited for by every verb, told, and never for ever."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from claiming import KEY, ask, elsewhere, end_lease, mine
from refusal import Refusal
from research.store import attempts, connection, outage
from research.store.claims import wanted
from research.store.outage import Outage, Unreachable, at_once, insist
from research.store.store import Busy, Store
from research.types import Key

VERBS: dict[str, Callable[[Store], object]] = {
    "claim": lambda store: ask(store, KEY._replace(signature="again")),
    "trials": lambda store: store.trials(),
    "known": lambda store: store.known([Key("s", "c", "d", "h")]),
    "sprint": lambda store: store.add_sprint("a goal"),
    "sprints": lambda store: store.sprints(),
}


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        ("connection failed: FATAL:  the database system is not yet accepting connections", True),
        ("FATAL:  the database system is starting up", True),
        ("FATAL:  the database system is in recovery mode", True),
        ("FATAL:  the database system is shutting down", True),
        ("FATAL:  sorry, too many clients already", True),
        ("server closed the connection unexpectedly", True),
        ("the connection is lost", True),
        ("(1053, 'Server shutdown in progress')", True),
        ("(2013, 'Lost connection to MySQL server during query')", True),
        ("(2003, \"Can't connect to MySQL server on '127.0.0.1' ([Errno 111] Connection refused)\")", True),
        ('FATAL:  password authentication failed for user "joule"', False),
        ('FATAL:  database "lab" does not exist', False),
        ('relation "trial" has no such column', False),
    ],
)
def test_what_a_server_says_that_comes_back_is_waited_for(said: str, waits: bool) -> None:
    error = sa.exc.OperationalError("SELECT 1", None, Exception(said))
    assert outage.passes(error) is waits


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Store]]:
    """A SQLite store that somebody else locks until so many tries have failed."""
    monkeypatch.setattr(connection, "_BUSY_MS", 20)
    holder = sqlite3.connect(tmp_path / "lab.db", isolation_level=None)
    outlasts, left = Outage.outlasts, [0]

    def tried(self: Outage, said: str) -> bool:
        left[0] -= 1
        if left[0] == 0:
            holder.execute("COMMIT")
        return outlasts(self, said)

    def hold(tries: int) -> Store:
        store = Store(f"sqlite:///{tmp_path}/lab.db")
        holder.execute("BEGIN EXCLUSIVE")
        left[0] = tries
        monkeypatch.setattr(Outage, "outlasts", tried)
        return store

    yield hold
    holder.close()


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_locked_file_is_waited_for_by_every_verb(
    locked: Callable[[int], Store], verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = locked(2)
    VERBS[verb](store)
    said = capsys.readouterr().err
    assert "does not answer (database is locked): waiting for it, up to 10 minutes; Ctrl-C ends that" in said
    assert "answers again, after" in said and said.count("\n") == 2
    store.close()


@pytest.mark.slow
def test_a_result_outlasts_a_lock(locked: Callable[[int], Store], tmp_path: Path) -> None:
    before = Store(f"sqlite:///{tmp_path}/lab.db")
    claim = mine(ask(before))
    before.close()
    store = locked(2)
    store.finish(claim, {"a": 1.0})
    assert [one.status for one in store.trials()] == ["done"]
    store.close()


@pytest.mark.slow
def test_the_wait_ends_and_a_thread_that_others_join_does_not_wait(
    locked: Callable[[int], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = locked(1000)
    with at_once(), pytest.raises(Unreachable) as told:  # else it would wait for ten minutes
        store.trials()
    assert told.value.waited
    monkeypatch.setattr(outage, "PATIENCE_S", 0.3)
    with pytest.raises(Unreachable, match="cannot be used") as told:
        store.trials()
    assert told.value.waited
    store.close()


def test_a_cut_transaction_is_repeated_unless_it_may_have_been_written() -> None:
    calls: list[int] = []

    def verb(unsure: bool) -> int:
        calls.append(1)
        if len(calls) < 3:
            error = Unreachable("gone")
            error.unsure = unsure
            raise error
        return len(calls)

    assert insist(lambda: verb(False)) == 3
    calls.clear()
    assert insist(lambda: verb(True), twice=True) == 3
    calls.clear()
    with pytest.raises(Unreachable):
        insist(lambda: verb(True))
    assert len(calls) == 1


def test_a_file_that_vanished_is_said_and_not_made_anew(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    claim = mine(ask(store))
    (tmp_path / "lab.db").rename(tmp_path / "moved.db")
    for verb in (lambda: store.finish(claim, {"a": 1.0}), store.trials):
        with pytest.raises(Refusal, match="vanished while it was in use"):
            verb()
    assert not (tmp_path / "lab.db").exists()
    (tmp_path / "lab.db").write_bytes((tmp_path / "moved.db").read_bytes())
    with pytest.raises(Refusal, match="another file took its place"):
        store.trials()
    (tmp_path / "moved.db").rename(tmp_path / "lab.db")
    store.finish(claim, {"a": 1.0})
    store.close()


@pytest.mark.slow
def test_a_server_that_is_gone_for_seconds_is_waited_for_by_every_verb(restarting) -> None:
    store = Store(restarting.url("lab"))
    claim = mine(ask(store))
    for verb in (*VERBS.values(), lambda store: store.finish(claim, {"a": 1.0})):
        restarting.stop()
        starting = threading.Timer(0.7, restarting.start)
        starting.start()
        verb(store)
        starting.join()
    assert {one.status for one in store.trials()} == {"done", "running"}
    store.close()


@pytest.mark.slow
def test_every_verb_is_repeated_whose_connection_is_cut_in_the_middle_of_it(restarting) -> None:
    """Only the two that write a result were: a sweep ended when the server was restarted under any other."""
    store = Store(restarting.url("lab"))
    number = store.enqueue([wanted(KEY, config={})])[0]
    cuts: list[str] = []

    def cut(connection, cursor, statement, parameters, context, many) -> None:
        if not cuts:
            cuts.append(statement)
            others = "pid <> pg_backend_pid() AND datname = 'lab'"
            restarting.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    sa.event.listen(store._database._engine, "before_cursor_execute", cut)
    (taken,) = store.take()
    verbs = (
        *VERBS.values(),
        lambda store: store.begin(taken, wanted(KEY, config={})),
        lambda store: store.beat(taken),
        lambda store: store.states([number]),
        lambda store: store.enqueue([wanted(KEY, config={})]),
        lambda store: store.finish(taken, {"a": 1.0}),
        lambda store: store.results([number]),
    )
    for at, verb in enumerate(verbs, 2):
        assert len(cuts) == 1, at
        cuts.clear()
        verb(store)
    assert store.known([KEY])[KEY].metrics == {"a": 1.0}
    assert len(store.sprints()) == 1
    store.close()


@pytest.mark.slow
def test_a_server_that_never_answered_is_refused_at_once_unless_one_is_patient(
    restarting, capsys: pytest.CaptureFixture[str]
) -> None:
    url = restarting.url("lab")
    restarting.stop()
    with pytest.raises(Refusal, match="no server answers there"):
        Store(url)
    assert "waiting for it" not in capsys.readouterr().err
    starting = threading.Timer(0.7, restarting.start)
    starting.start()
    Store(url, patient=True).close()
    starting.join()


@pytest.mark.slow
def test_after_an_outage_nobody_is_lost_by_the_clock_alone(
    locked: Callable[[int], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever lives could keep no lease meanwhile, and does so again in a moment."""
    before = Store(f"sqlite:///{tmp_path}/lab.db")
    alive = mine(ask(before))
    elsewhere(before, alive.trial_id)
    end_lease(before, alive.trial_id)
    before.close()
    store = locked(2)
    store.trials()
    assert isinstance(ask(store), Busy)
    monkeypatch.setattr(attempts, "LEASE_S", 0.0)
    assert mine(ask(store)) != alive
    store.close()


def test_nobody_is_lost_because_the_clock_was_set_or_the_machine_slept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight runners on one file took each other's trials when the clock was set an hour ahead."""
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    alive = mine(ask(store))
    elsewhere(store, alive.trial_id)
    for name in ("apart", "jumped"):
        monkeypatch.setitem(outage._clock, name, outage._clock[name])
    ahead = outage._apart() + 3600.0
    monkeypatch.setattr(outage, "_apart", lambda: ahead)
    end_lease(store, alive.trial_id)
    assert isinstance(ask(store), Busy) and store.take() == []
    monkeypatch.setattr(attempts, "LEASE_S", 0.0)
    assert mine(ask(store)) != alive
    store.close()


def test_ctrl_c_while_a_connection_is_closed_prints_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLAlchemy prints what it meets there, and who is interrupted says so in a line of his own."""

    def interrupted(connection: Any) -> None:
        raise error

    store = Store(f"sqlite:///{tmp_path}/lab.db")
    monkeypatch.setattr(store._database._engine.dialect, "do_close", interrupted)
    error: BaseException = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        store.close()
    assert not caplog.records
    with store.read():
        pass
    error = ValueError("odd")
    store.close()
    assert "odd" in caplog.text, "what is no interrupt is told"

"""A result that could not be written waits in its trial's folder, and is delivered once and not trained."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from research.run.row import UNDELIVERED, Row, claimed
from research.store.outage import Unreachable
from research.store.store import Lost, Store
from research.store.work import Work

METRICS = {"val/accuracy": 0.9, "val/loss": float("nan")}
FACTS, CURVE = {"threads": 1}, [{"step": 1.0, "second": 0.5, "val/loss": 0.7}]


@contextmanager
def row_of(config: dict[str, Any]) -> Iterator[Row]:
    with claimed(config, overrides=["seed=0"], sweep=None, source="person") as row:
        yield row


def refuse(error: Exception) -> Callable[..., None]:
    def finish(*about: object, **named: object) -> None:
        raise error

    return finish


@pytest.fixture
def waiting(resolve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], Path]:
    """A config whose trial has measured, and whose database was away when it wanted to write that."""
    config = resolve()
    with monkeypatch.context() as away, pytest.raises(Unreachable), row_of(config) as row:
        away.setattr(Work, "finish", refuse(Unreachable("no server answers there")))
        row.finish(METRICS, FACTS, CURVE)
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / UNDELIVERED).stat().st_mode & 0o777 == 0o600
    return config, folder


def test_the_same_command_delivers_it_and_trains_nothing(waiting: Any, tmp_path: Path) -> None:
    config, folder = waiting
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    assert [one.status for one in store.trials()] == ["queued"], "an outage is tried again by itself"
    with row_of(config) as row:
        assert (row.status, row.metrics["val/accuracy"]) == ("known", 0.9)
    (trial,) = store.trials()
    found = store.results([trial.id])[trial.id]
    assert trial.status == "done" and found.metrics["val/accuracy"] == 0.9 and found.facts["threads"] == 1
    assert store.curve(trial.id)[0]["val/loss"] == 0.7
    assert not (folder / UNDELIVERED).exists()
    with row_of(config) as again:
        assert (again.status, again.trial_id) == ("known", trial.id)
    assert len(store.trials()) == 1
    store.close()


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-9], lambda text: text.replace("0.9", "0.8"), lambda text: ""]
)
def test_a_damaged_one_is_trained_again(waiting: Any, damage: Callable[[str], str]) -> None:
    config, folder = waiting
    file = folder / UNDELIVERED
    file.write_text(damage(file.read_text()))
    with row_of(config) as row:
        assert row.status == "running"
        row.finish(METRICS, FACTS, CURVE)
    assert not file.exists()


def test_one_of_another_trial_is_not_taken(waiting: Any, resolve: Any, tmp_path: Path) -> None:
    _, folder = waiting
    other = resolve("seed=1")
    with row_of(other) as row:
        row.folder.mkdir()
        (row.folder / UNDELIVERED).write_bytes((folder / UNDELIVERED).read_bytes())
        row.deliver_what_waits()
        assert row.status == "running"
        row.finish(METRICS, FACTS, CURVE)


def test_what_another_has_taken_over_is_not_kept(
    resolve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Work, "finish", refuse(Lost("Trial 1 was taken over")))
    with pytest.raises(Lost), row_of(resolve()) as row:
        row.finish(METRICS, FACTS, CURVE)
    assert not list((tmp_path / "runs").rglob(UNDELIVERED))

"""A command whose workers have ended starts others for what waits, and waits for what others run."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from empty_stores import laid
from refusal import Refusal
from research.run import engines, handout, lookup
from research.run.job import Job
from research.store.schema import trial
from research.store.store import Store


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handout, "_WAIT_S", 0.0)
    monkeypatch.setattr(engines, "_LOOK_S", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(laid(tmp_path / "lab.db"))
    yield opened
    opened.close()


class Idle(engines.Engine):
    """Starts workers that end at once, as those that find nothing to do."""

    name = "idle"

    def __init__(self, look: Callable[[int], None]) -> None:
        super().__init__(workers=2)
        self.started, self.looks, self._look = 0, 0, look

    def start(self, n: int, needs: Sequence[str], url: str, **more: Any) -> None:
        self.started += 1

    def alive(self) -> int:
        self.looks += 1
        self._look(self.looks)
        return 0

    def stop(self) -> None:
        pass


def test_a_command_whose_workers_have_ended_waits_for_what_others_run(jobs: list[Job], store: Store) -> None:
    """Two commands shared a sweep, and the one whose workers were through first called the rest undone."""
    claims = store.take(store.enqueue([lookup.wanted_of(job) for job in jobs]), 4)

    def others(look: int) -> None:
        if look > 9 and claims:
            store.finish(claims.pop(), {"val/accuracy": 0.5})

    engine = Idle(others)
    told = [one.status for one in engines.launched(engine, jobs)]
    assert told == ["done"] * 4 and engine.started <= 1


def test_workers_are_started_again_for_what_dead_ones_held(jobs: list[Job], store: Store) -> None:
    store.take(store.enqueue([lookup.wanted_of(job) for job in jobs]), 4)
    with store.write() as connection:
        connection.execute(sa.update(trial).values(lease_until=0.0))
    with pytest.raises(Refusal, match="end while 4 trials wait"):
        list(engines.launched(Idle(lambda look: None), jobs))


def test_a_command_whose_sweep_is_paused_waits_for_it(jobs: list[Job], store: Store) -> None:
    store.pause("a-sweep", True)
    resumed: list[int] = []

    def others(look: int) -> None:
        if look == 9:
            store.pause("a-sweep", False)
        for claim in store.take(most=4):
            resumed.append(look)
            store.finish(claim, {"val/accuracy": 0.5})

    engine = Idle(others)
    assert [one.status for one in engines.launched(engine, jobs)] == ["done"] * 4
    assert resumed == [9] * 4 and engine.started <= 2

"""Lessons compare whole keys: what else two trials differ in is told, or they are not compared."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from past import ENERGY, proposed, sprint, trial
from research.memory.memory import opened
from research.memory.records import Query
from research.store.index import turned
from research.store.store import Store
from research.types import Proposal

ASKED = Query(task="digits", objective=ENERGY)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/past.db")
    yield made
    made.close()


def ran(
    store: Store, joules: float | None, *overrides: str, reason: str = "diverged: the loss is nan"
) -> None:
    for seed in range(3):
        figures = None if joules is None else {"train/energy_j": joules + seed, "val/accuracy": 0.9}
        trial(store, overrides, figures, seed=seed, reason=reason)


SAVED = "in 3 of 3 paired trials on digits, median"


def said(store: Store) -> list[str]:
    return [lesson.sentence for lesson in opened({"mode": "on"}, store).lessons(ASKED)]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["data=digits", "data.batch_size=512", "seed=3"], ("data.batch_size=512",)),
        (["data.split_seed=7", "data.path=/x", "data.val_share=0.1"], ("data.val_share=0.1",)),
        (["logger=csv", "logger.csv.x=1", "store.url=sqlite:///x", "root=r", "launcher.jobs=2"], ()),
        (["model.block=separable", "model.blocks=2"], ("model.block=separable", "model.blocks=2")),
        (["trainer.steps_per_call=10", "trainer.precision=auto"], ("trainer.precision=auto",)),
        (["datasets=1", "seeded=2", "names=3"], ("datasets=1", "names=3", "seeded=2")),
    ],
)
def test_what_is_turned_is_known_by_its_whole_key(typed: Sequence[str], kept: tuple[str, ...]) -> None:
    assert turned(typed) == kept


def test_trials_that_differ_in_two_keys_teach_nothing_of_one(store: Store) -> None:
    ran(store, 10.0)
    ran(store, 4.0, "data.batch_size=512", "budget.steps=60")
    assert said(store) == []
    ran(store, 6.0, "budget.steps=60")
    assert said(store) == [
        f"budget.steps=60 beat the default {SAVED} -36.4 % training energy",
        f"data.batch_size=512 beat the default {SAVED} -28.6 % training energy",
    ]


def test_keys_that_begin_alike_are_two(store: Store) -> None:
    ran(store, 10.0, "model=mobilenet", "model.block=separable")
    ran(store, 5.0, "model=mobilenet", "model.blocks=2")
    assert said(store) == [
        "model=mobilenet with model.blocks=2 beat mobilenet with model.block=separable "
        f"{SAVED} -45.5 % training energy"
    ]


def test_a_choice_is_told_with_the_knobs_that_were_turned_beside_it(store: Store) -> None:
    ran(store, 10.0)
    ran(store, 5.0, "optimizer=lion", "optimizer.lr=0.0003")
    assert said(store) == [
        f"optimizer=lion with optimizer.lr=0.0003 beat the default {SAVED} -45.5 % training energy"
    ]


def test_a_database_whose_index_lost_the_batch_size_teaches_nothing_false(store: Store) -> None:
    ran(store, 10.0)
    ran(store, 4.0, "data.batch_size=512", "budget.steps=60")
    with store.write() as connection:
        connection.execute(sa.text("DROP TRIGGER episode_kept"))
        lost = """UPDATE episode SET overrides = '["budget.steps=60"]' WHERE overrides LIKE '%512%'"""
        connection.execute(sa.text(lost))
    assert said(store) == []


@pytest.mark.parametrize("status", ["queued", "proposed", "running", "dropped", "refused", "repeat"])
def test_what_was_not_run_is_no_lesson(store: Store, status: str) -> None:
    number = sprint(store)
    waiting = Proposal(hypothesis="Lion is cheap", overrides=("optimizer=lion",))
    store.add_proposal(waiting, sprint_id=number, status=status, facts={})
    ended = proposed(store, number, ["optimizer=sgd"], "Lion is cheap, or so")
    asked = ASKED.model_copy(update={"words": "Lion is cheap", "count": 1})
    assert [one.id for one in opened({"mode": "on"}, store).recall(asked)] == [f"proposal {ended}"]
    told = opened({"mode": "placebo"}, store).recall(asked)
    assert [one.id for one in told] == [f"proposal {ended}"]


def test_what_was_stopped_early_has_not_failed(store: Store) -> None:
    ran(store, None, "model.width=8", reason="stopped early at 30 % of its training: it cannot win")
    ran(store, None, "model.width=8", "budget.steps=5", reason="interrupted")
    ran(store, 5.0, "model.width=16")
    assert not [line for line in said(store) if "failed" in line]
    told = opened({"mode": "on"}, store).recall(ASKED.model_copy(update={"count": 9}))
    assert {one.overrides: one.word for one in told} == {
        ("model.width=8",): "stopped",
        ("model.width=16",): "done",
    }

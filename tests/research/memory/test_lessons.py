"""Lessons compare whole keys that acted, and configurations from elsewhere keep that task's own bounds."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from empty_stores import laid
from past import ENERGY, proposed, sprint, trial
from research.memory.memory import configured, opened
from research.memory.reading import PastTrial, runs
from research.memory.retrieval import Query
from research.space.gate import Space
from research.store.index import turned
from research.store.store import Store
from research.types import Constraint, Objective, Proposal

ROOT = Path(__file__).parents[3]
ASKED = Query(task="digits", objective=ENERGY)
HIGH, LOW = "scheduler.start=0.3", "scheduler.start=0.1"
NEAR = Constraint(metric="val/accuracy", op=">=", bound=-0.02, of_control="difference")
CHEAP = Objective(metric="train/energy_j", direction="min", constraints=(NEAR,))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(laid(tmp_path / "past.db"))
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


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(ROOT / "conf", ROOT / "conf" / "space.yaml")


def acted(store: Store, space: Space, warmup: float, start: str, joules: float | None, seed: int) -> int:
    own = [f"scheduler.warmup={warmup:g}", *filter(None, [start])]
    config: dict[str, Any] = space.resolve(["scheduler=onecycle", *own, f"seed={seed}"])
    measured = None if joules is None else {"train/energy_j": joules, "val/accuracy": 0.9}
    return trial(store, own, measured, seed=seed, config=config)


@pytest.mark.parametrize(("warmup", "told"), [(0.0, False), (0.1, True)])
def test_a_knob_wins_nothing_where_it_did_not_act(
    store: Store, space: Space, warmup: float, told: bool
) -> None:
    for seed in range(4):
        acted(store, space, warmup, "", 10.0, seed)
        acted(store, space, warmup, HIGH, 8.0, seed)
    assert any("scheduler.start" in line for line in said(store)) is told


@pytest.mark.parametrize(("warmup", "told"), [(0.0, False), (0.1, True)])
def test_nor_does_it_fail(store: Store, space: Space, warmup: float, told: bool) -> None:
    for seed in range(4):
        acted(store, space, warmup, HIGH, None, seed)
        acted(store, space, warmup, LOW, 9.0, seed)
    assert any("scheduler.start" in line for line in said(store)) is told


def test_a_run_holds_the_overrides_that_acted(store: Store, space: Space) -> None:
    acted(store, space, 0.0, HIGH, 8.0, 0)
    acted(store, space, 0.1, HIGH, 8.0, 0)
    assert [one.overrides for one in runs(store, ["train/energy_j"], task="digits")] == [
        ("scheduler.warmup=0",),
        (HIGH, "scheduler.warmup=0.1"),
    ]


def test_a_trial_whose_config_is_not_known_keeps_them(store: Store) -> None:
    trial(store, ["scheduler.warmup=0", HIGH], {"train/energy_j": 8.0})
    (one,) = runs(store, ["train/energy_j"], task="digits")
    assert HIGH in one.overrides


def past(number: int, task: str, line: str, joules: float, accuracy: float) -> PastTrial:
    figures = {"train/energy_j": joules, "val/accuracy": accuracy}
    return PastTrial(number, task, tuple(line.split()), 0, False, figures, "cpu")


def test_what_keeps_the_bound_there_is_good_however_hard_the_task() -> None:
    easy = [past(1, "easy", "", 10, 0.97), past(2, "easy", "a=1", 5, 0.96), past(3, "easy", "a=2", 4, 0.90)]
    hard = [past(4, "hard", "", 10, 0.60), past(5, "hard", "a=2", 4, 0.59), past(6, "hard", "a=3", 3, 0.50)]
    good = configured([*easy, *hard], CHEAP)
    assert [(one.task, one.overrides) for one in good] == [
        ("easy", ("a=1",)),
        ("easy", ()),
        ("hard", ("a=2",)),
        ("hard", ()),
    ]


def test_without_its_default_nothing_is_known_to_keep_it() -> None:
    assert configured([past(1, "easy", "a=1", 5, 0.96), past(2, "easy", "a=2", 4, 0.97)], CHEAP) == []

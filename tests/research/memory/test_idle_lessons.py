"""No lesson is made of a knob that did not act in the trials: they differ in something else, or by luck."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from past import ENERGY, trial
from research.memory.memory import opened
from research.memory.reading import runs
from research.memory.records import Query
from research.space.gate import Space
from research.store.store import Store

ROOT = Path(__file__).parents[3]
ASKED = Query(task="digits", objective=ENERGY)
HIGH, LOW = "scheduler.start=0.3", "scheduler.start=0.1"


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(ROOT / "conf", ROOT / "conf" / "space.yaml")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(f"sqlite:///{tmp_path}/past.db")
    yield found
    found.close()


def ran(store: Store, space: Space, warmup: float, start: str, joules: float | None, seed: int) -> int:
    own = [f"scheduler.warmup={warmup:g}", *filter(None, [start])]
    config: dict[str, Any] = space.resolve(["scheduler=onecycle", *own, f"seed={seed}"])
    measured = None if joules is None else {"train/energy_j": joules, "val/accuracy": 0.9}
    return trial(store, own, measured, seed=seed, config=config)


def said(store: Store) -> list[str]:
    memory = opened({"mode": "on"}, store)
    return [one.sentence for one in memory.lessons(ASKED) if one.key == "scheduler.start"]


@pytest.mark.parametrize(("warmup", "told"), [(0.0, False), (0.1, True)])
def test_a_knob_wins_nothing_where_it_did_not_act(
    store: Store, space: Space, warmup: float, told: bool
) -> None:
    for seed in range(4):
        ran(store, space, warmup, "", 10.0, seed)
        ran(store, space, warmup, HIGH, 8.0, seed)
    assert bool(said(store)) is told


@pytest.mark.parametrize(("warmup", "told"), [(0.0, False), (0.1, True)])
def test_nor_does_it_fail(store: Store, space: Space, warmup: float, told: bool) -> None:
    for seed in range(4):
        ran(store, space, warmup, HIGH, None, seed)
        ran(store, space, warmup, LOW, 9.0, seed)
    assert bool(said(store)) is told


def test_a_run_holds_the_overrides_that_acted(store: Store, space: Space) -> None:
    ran(store, space, 0.0, HIGH, 8.0, 0)
    ran(store, space, 0.1, HIGH, 8.0, 0)
    assert [one.overrides for one in runs(store, ["train/energy_j"], task="digits")] == [
        ("scheduler.warmup=0",),
        (HIGH, "scheduler.warmup=0.1"),
    ]


def test_a_trial_whose_config_is_not_known_keeps_them(store: Store) -> None:
    trial(store, ["scheduler.warmup=0", HIGH], {"train/energy_j": 8.0})
    (one,) = runs(store, ["train/energy_j"], task="digits")
    assert HIGH in one.overrides

"""Memory on, off and placebo; lessons with their trials; repeats, predicted failures, and forgetting."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import construct
from past import ACCURACY, ENERGY, insight, proposed, sprint, trial
from refusal import Refusal
from research.campaign.charter import Charter
from research.campaign.discuss import Recall
from research.goal.goal import Goal
from research.memory.memory import Memory, opened
from research.memory.reading import Episode
from research.memory.retrieval import Query
from research.space import identity
from research.space.signature import signature
from research.store.store import Store
from research.types import Constraint

ASKED = Query(task="digits", objective=ENERGY, words="signs")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lion costs 12 % less than the default on digits, wide networks fail; mnist1d has another best."""
    path = tmp_path_factory.mktemp("past") / "past.db"
    store = Store(f"sqlite:///{path}")
    for seed in range(4):
        usual = 10.0 + seed
        first = trial(store, [], {"train/energy_j": usual, "val/accuracy": 0.9}, seed=seed)
        trial(store, ["optimizer=lion"], {"train/energy_j": usual * 0.88, "val/accuracy": 0.95}, seed=seed)
        trial(store, [f"model.width={2048 + seed}"], None, seed=seed)
        trial(store, [f"model.width={64 + seed}"], {"train/energy_j": 20.0, "val/accuracy": 0.5}, seed=seed)
        for name, joules in (("sgd", 3.0), ("lion", 5.0), ("muon", 9.0)):
            figures = {"train/energy_j": joules, "val/accuracy": joules / 10}
            trial(store, [f"optimizer={name}"], figures, task="mnist1d", seed=seed)
    number = sprint(store)
    about = proposed(store, number, ["optimizer=lion"], "Signs are cheap", screened=[first + 1])
    insight(store, number, about, [first, first + 1])
    store.close()
    return path


@pytest.fixture
def past(written: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of it, written once: each row is synced to a disk."""
    shutil.copy(written, tmp_path / "past.db")
    store = Store(f"sqlite:///{tmp_path}/past.db")
    yield store
    store.close()


def test_a_team_is_told_what_came_of_the_choices_that_its_goal_fixes(store: Store) -> None:
    proposed(store, None, ["model=cnn"], "Filters share weights")
    proposed(store, None, ["model.width=64"], "Half the width is enough")
    goal = Goal(text="fewer joules with a cnn", objective=ENERGY)
    recall = Recall(memory(store, "on"), Charter(goal=goal, fixed=("data=digits", "model=cnn")))
    assert recall.lessons("planning") == ["proposal 1: model=cnn: screened"]
    assert recall.ids() == {"proposal 1"}


def mine(store: Store, query: Query) -> list[Episode]:
    """A retrieval that a config names."""
    return [Episode(id="trial 1", kind="trial", task=query.task, overrides=(), word="mine")]


def memory(own: Store, mode: str, **more) -> Memory:
    return opened({"mode": mode, **more}, own)


def test_off_recalls_nothing(past: Store) -> None:
    off = opened(None, past)
    assert off.mode == "off" and off.recall(ASKED) == off.lessons(ASKED) == ()
    assert off.elsewhere(ENERGY, "digits") == [] and off.doubts({}) is None
    assert off.facts() == {"mode": "off", "recalled": []} and off.counts()["refused"] == 0


def test_on_recalls_and_a_placebo_recalls_as_much_of_something_else(past: Store) -> None:
    on, placebo = memory(past, "on"), memory(past, "placebo", seed=1)
    real, other = on.recall(ASKED), placebo.recall(ASKED)
    assert real[0].id == "insight 1" and on.facts()["recalled"] == [one.id for one in real]
    assert len(other) == len(real) == 6 and other != real
    assert other == memory(past, "placebo", seed=1).recall(ASKED)
    assert other != memory(past, "placebo", seed=2).recall(ASKED)
    assert all(one.id.split()[0] == one.kind for one in other)


def test_lessons_count_pairs_and_failures_and_name_their_trials(past: Store) -> None:
    told = {one.sentence: one for one in memory(past, "on").lessons(ASKED)}
    lion = told[
        "optimizer=lion beat the default in 4 of 4 paired trials on digits, median -12 % training energy"
    ]
    assert (lion.wins, lion.total, len(lion.trial_ids)) == (4, 4, 8) and lion.median == pytest.approx(-0.12)
    wide = told["model.width above 67 failed 4 of 4 times on digits"]
    assert [row.status for row in past.trials(ids=wide.trial_ids)] == ["failed"] * 4
    known = memory(past, "on").lessons(Query(task="digits", objective=ACCURACY))
    assert any("accuracy" in one.sentence for one in known)
    placebo = memory(past, "placebo", seed=3).lessons(ASKED)
    assert len(placebo) == len(told) and {one.sentence for one in placebo} != set(told)


def test_elsewhere_tells_what_kept_the_bounds_on_other_tasks_best_first(past: Store) -> None:
    found = memory(past, "on").elsewhere(ENERGY, "digits")
    assert [(one.task, one.overrides, one.value) for one in found] == [
        ("mnist1d", ("optimizer=sgd",), 3.0),
        ("mnist1d", ("optimizer=lion",), 5.0),
        ("mnist1d", ("optimizer=muon",), 9.0),
    ]
    bound = ENERGY.model_copy(
        update={"constraints": (Constraint(metric="test/accuracy", op=">=", bound=0.5),)}
    )
    assert [one.value for one in memory(past, "on").elsewhere(bound, "digits")] == [5.0, 9.0]
    dealt = [memory(past, "placebo", seed=seed).elsewhere(ENERGY, "digits") for seed in range(5)]
    assert all(sorted(one.value for one in some) == [3.0, 5.0, 9.0] for some in dealt)
    assert any(some != found for some in dealt)


def test_a_class_or_a_function_of_the_config_replaces_the_retrieval(
    past: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrongs = ("research.nowhere.Nothing", "research.memory.memory._MODES", "research.types.Trial")
    monkeypatch.setattr(construct, "_trusted", {f"{__name__}.mine", *wrongs})
    named = memory(past, "on", retrieval={"_target_": f"{__name__}.mine"})
    assert [one.word for one in named.recall(ASKED)] == ["mine"]
    one = memory(past, "on", retrieval={"_target_": "research.memory.retrieval.Nearest", "each": 1})
    assert 0 < len(one.recall(ASKED)) < 6
    for wrong in (*wrongs, "os.system"):
        with pytest.raises(Refusal, match=r"memory\.retrieval"):
            memory(past, "on", retrieval={"_target_": wrong})
    with pytest.raises(Refusal, match=r"memory\.mode=maybe"):
        memory(past, "maybe")


def test_another_projects_database_is_read_and_not_touched(past: Store, tmp_path: Path) -> None:
    own = Store(f"sqlite:///{tmp_path}/own.db")
    url = {"url": f"sqlite:///{tmp_path}/past.db"}
    before = (tmp_path / "past.db").read_bytes()
    other = memory(own, "on", store=url)
    assert other.recall(ASKED)[0].id == "insight 1" and memory(own, "on").recall(ASKED) == ()
    with pytest.raises(Refusal, match="cannot be used"):
        other._store.add_sprint("a goal")
    other.close()
    assert (tmp_path / "past.db").read_bytes() == before
    with pytest.raises(Refusal, match="no database"):
        memory(own, "on", store={"url": f"sqlite:///{tmp_path}/none.db"})
    assert not (tmp_path / "none.db").exists()
    with past.write() as connection:
        connection.execute(sa.text("UPDATE schema_version SET version = 2"))
    with pytest.raises(Refusal, match="schema version 2"):
        memory(own, "on", store=url)
    own.close()


def config(width: int, batch: int, seed: int = 0) -> dict:
    parts = {"trainer": {"accelerator": "cpu"}, "data": {"packages": []}}
    return {"model": {"width": width}, "batch": batch, "seed": seed, **parts}


def ran(store: Store, asked: dict, failed: bool) -> int:
    key = identity.key(asked, signature(asked))
    return trial(store, [], None if failed else {"a": 1.0}, config=asked, key=key, reason="out of memory")


@pytest.mark.slow
def test_doubts_know_exact_repeats_and_predict_failures_and_count_the_false_ones(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    with_probes = memory(store, "on", doubts={"probe": 1.0})
    done = ran(store, config(8, 8), failed=False)
    diverged = trial(store, ["x"], None, config={}, key=identity.key(config(9, 9), signature(config(9, 9))))
    on = memory(store, "on", doubts={"probe": 0.0})
    repeat, lost = on.doubts(config(8, 8)), on.doubts(config(9, 9))
    assert repeat and repeat.chance == 0.0 and f"Trial {done} " in repeat.sentence
    assert lost and lost.chance == 1.0 and f"Trial {diverged} " in lost.sentence
    assert on.doubts(config(8, 8, seed=1)) is None and on.counts()["repeats"] == 2
    for width in range(10, 26):
        for batch in range(10, 20):
            ran(store, config(width, batch), failed=width > 22)
    ran(store, config(1, 1) | {"seed": 5}, failed=True)
    doubt = on.doubts(config(24, 50))
    assert doubt and "Trials like this one fail" in doubt.sentence and 0.5 < doubt.chance <= 1.0
    assert on.doubts(config(24, 50)) == doubt and on.doubts(config(12, 50)) is None
    assert on.counts() == {"repeats": 2, "refused": 1, "probed": 0, "ended": 0, "false": None}
    assert with_probes.doubts(config(24, 50)) is None and with_probes.doubts(config(25, 51)) is None
    ran(store, config(24, 50), failed=False)
    ran(store, config(25, 51), failed=True)
    assert with_probes.counts() == {"repeats": 0, "refused": 0, "probed": 2, "ended": 2, "false": 1}
    store.close()

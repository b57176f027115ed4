"""What a plan predicts, and that it says so when it cannot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from empty_stores import laid
from refusal import Refusal
from research.run import lookup, sweep
from research.run.plan import Prediction, Predictor, show, total
from research.run.runner import Job, Outcome
from research.space import identity
from research.space.signature import signature
from research.store.schema import trial
from research.store.store import Store, TrialClaim


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(laid(tmp_path / "lab.db"))


def done(store: Store, config: dict[str, Any], joules: float, method: str = "estimated") -> int:
    claim = store.claim(identity.key(config, signature(config)), config=config, seed=config["seed"])
    assert isinstance(claim, TrialClaim)
    store.finish(claim, {"train/energy_j": joules, "val/accuracy": 0.9}, {"energy_method": method})
    return claim.trial_id


def test_a_prediction_is_of_the_same_arm_else_of_trials_that_cost_alike(
    store: Store, resolve: Callable[..., dict[str, Any]]
) -> None:
    for seed, joules in enumerate([10.0, 20.0]):
        done(store, resolve(f"seed={seed}"), joules)
    done(store, resolve("optimizer=lion"), 60.0)
    predict = Predictor(store).predict
    arm = predict(resolve("seed=7"))
    assert (arm.joules, arm.method, arm.how) == (15.0, "estimated", "2 done of this arm")
    assert arm.seconds is not None and 0 <= arm.seconds < 60
    near = predict(resolve("optimizer=sgd"))
    assert near.joules == 30.0 and near.how.startswith("3 done with the same data")
    far = predict(resolve("model=cnn"))
    assert (far.seconds, far.joules, far.method) == (None, None, None) and "unknown" in far.how


def test_joules_of_different_methods_predict_none(
    store: Store, resolve: Callable[..., dict[str, Any]]
) -> None:
    done(store, resolve("seed=0"), 10.0)
    done(store, resolve("seed=1"), 10.0, "nvml")
    told = Predictor(store).predict(resolve("seed=2"))
    assert told.joules is None and told.seconds is not None


def test_the_trials_that_a_prediction_is_of_are_counted_and_no_others(
    store: Store, resolve: Callable[..., dict[str, Any]]
) -> None:
    numbers = [done(store, resolve(f"seed={seed}"), joules) for seed, joules in enumerate((10.0, 20.0, 90.0))]
    held = sa.update(trial).values(
        facts={"energy_method": "estimated", "disturbed": {"train": "its threads waited"}}
    )
    with store.write() as sql:
        sql.execute(held.where(trial.c.id == numbers[2]))
    told = Predictor(store).predict(resolve("seed=7"))
    assert (told.joules, told.how) == (15.0, "2 done of this arm")
    with store.write() as sql:
        sql.execute(held)
    told = Predictor(store).predict(resolve("seed=7"))
    assert (told.joules, told.how) == (None, "3 done of this arm, all disturbed")


def test_the_plan_tells_known_predicted_and_unknown(
    store: Store, resolve: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    number = done(store, resolve("seed=0"), 10.0)
    typed = [["seed=0"], ["seed=1"], ["model=cnn"]]
    show([resolve(*one) for one in typed], typed)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"1/3  seed=0  known: trial {number}"
    assert "10 J [estimated] (mean of 1 done of this arm)" in lines[1]
    assert lines[2] == "3/3  model=cnn  unknown: no trial like it is done"
    assert lines[3].startswith("3 trials: 1 known, 2 to run") and lines[3].endswith("nothing was trained")
    assert lines[3].count("1 unknown") == 2
    assert len(store.trials()) == 1


def test_the_plan_counts_equal_trials_once_and_makes_no_database(
    resolve: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = [["seed=0"], ["seed=1"], ["seed=0"]]
    elsewhere = {"url": f"sqlite:///{tmp_path / 'lab.db'}"}
    show([resolve(*one) | {"store": elsewhere} for one in typed], typed)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "3/3  seed=0  the same as 1"
    assert lines[3].startswith("3 trials: 0 known, 1 the same as another, 2 to run")
    assert not list(tmp_path.iterdir())


def test_a_plan_refuses_what_its_trials_would(resolve: Callable[..., dict[str, Any]]) -> None:
    for wrong in ({"seed": 1.5}, {"force": "no"}, {"score": "val/nothing"}):
        with pytest.raises(Refusal, match=next(iter(wrong))):
            show([resolve() | wrong], [[]])


def test_the_total_shares_seconds_between_those_at_a_time() -> None:
    one = Prediction(10.0, 5.0, "estimated", "")
    assert total([one] * 4, 4, 2) == (
        "4 trials: 0 known, 4 to run, 2 at a time: about 20 s, about 20 J [estimated]; nothing was trained"
    )
    assert total([], 3, 2) == "3 trials: 3 known, 0 to run; nothing was trained"
    assert "unknown seconds, unknown joules" in total([Prediction(None, None, None, "")], 1, 1)


def test_force_is_never_known(store: Store, resolve: Callable[..., dict[str, Any]]) -> None:
    number = done(store, resolve("seed=0"), 10.0)
    jobs = [Job(resolve("seed=0"), []), Job(resolve("seed=0", "force=true"), []), Job(resolve("seed=1"), [])]
    first, *others = lookup.known(jobs)
    assert first is not None and (first.trial_id, first.score, first.status) == (number, 0.9, "known")
    assert others == [None, None]


def test_what_is_dead_is_neither_planned_nor_promised(
    store: Store, resolve: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    configs = [resolve(f"seed={seed}", "launcher.jobs=1") for seed in range(3)]
    keys = [identity.key(config, signature(config)) for config in configs]
    for key, config, times in zip(keys, configs, (3, 1), strict=False):
        for _ in range(times):
            claim = store.claim(key, config=config, seed=config["seed"])
            assert isinstance(claim, TrialClaim)
            store.fail(claim, "diverged: the loss is nan")
    jobs = [Job(config, [f"seed={config['seed']}"]) for config in configs]
    assert store.dead(keys) == {keys[0]}
    show(configs, [job.overrides for job in jobs])
    told = capsys.readouterr().out
    assert "1/3  seed=0  dead: it failed for good, and only force=true runs it once more" in told
    assert "3 trials: 0 known, 1 dead, 2 to run, 1 at a time" in told
    show([config | {"force": True} for config in configs], [job.overrides for job in jobs])
    assert "0 known, 3 to run" in capsys.readouterr().out
    sweep.run(jobs, launch=lambda run: iter([Outcome(job, "failed", "it is") for job in run]))
    said = capsys.readouterr().out
    assert "3 of 3 trials have no numbers (see above why): the command typed again runs those" in said
    assert "but 1 that failed for good, which only force=true runs once more" in said

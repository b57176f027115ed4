"""Whoever looks at a clock: what a neighbour spoilt, or another instrument took, takes no part anywhere."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from claiming import KEY, ask, mine
from empty_stores import laid
from research.campaign.charter import Stop
from research.campaign.halving import Halving
from research.memory.lessons import lessons
from research.memory.memory import configured, opened
from research.memory.reading import runs
from research.memory.retrieval import Query
from research.report.arms import ArmNames, arms_table
from research.report.pictures import costs_among, curve, front_of, fronts
from research.run import sweep_table
from research.run.lines import line
from research.run.plan import Predictor
from research.run.runner import Job, Outcome
from research.run.sweep import peak_line
from research.stats.arms import Arm, complaint
from research.stats.rubric import efficiency
from research.store.schema import trial as table
from research.store.store import Known, Store, TrialClaim
from research.types import Key, Objective, Result
from statistics_rows import trial as row

WHY = "its threads waited 2.1 s for a processor while they ran 1 s"
HELD = {"train": WHY}
NEW = {"energy_method": "estimated", "energy_basis": "CPU seconds x 4 W a core", "threads": 1}
NUMBERS = itertools.count()
ENERGY = Objective(metric="train/energy_j", direction="min")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(laid(tmp_path / "lab.db"))


def wrote(
    store: Store,
    overrides: str,
    joules: float,
    seed: int = 0,
    held: bool = False,
    task: str = "digits",
    **facts: Any,
) -> int:
    typed = [f"data={task}", *overrides.split(), f"seed={seed}"]
    config = {"data": {"_target_": f"models.data.{task}.load"}, "seed": seed}
    key = Key(f"{overrides} {task} {held} {facts}", "c", "d", "h")._replace(
        signature=f"{typed} {held} {facts}"
    )
    got = store.claim(key, config=config, overrides=typed, seed=seed, source="agent")
    assert isinstance(got, TrialClaim)
    told = {**NEW, **facts} | ({"disturbed": HELD} if held else {})
    points = [{"step": n, "second": n, "joule": joules * n, "val/accuracy": 0.9} for n in (1, 2)]
    figures = {
        "train/energy_j": joules,
        "train/cpu_seconds": joules / 4,
        "train/seconds": joules,
        "val/accuracy": 0.9,
    }
    store.finish(got, figures, told, points)
    return got.trial_id


# The store: replicates of one key.


@pytest.mark.parametrize(
    ("held", "answers"),
    [
        ([HELD, {}, {}], 1),
        ([HELD, HELD], 0),
        ([HELD, {"infer": WHY}], 1),
        ([{"infer": WHY}, HELD, {}], 2),
        ([{}, {}], 0),
        ([{"harness": WHY}, {"infer": WHY, "harness": WHY}], 0),
    ],
)
def test_the_first_undisturbed_replicate_answers_for_its_key(
    store: Store, held: list[dict[str, str]], answers: int
) -> None:
    ids = []
    for one in held:
        claim = mine(ask(store, force=True))
        store.finish(claim, {"train/energy_j": 1.0}, {"disturbed": one} if one else {})
        ids.append(claim.trial_id)
    known = ask(store)
    assert isinstance(known, Known) and known.trial.id == ids[answers]
    assert store.known([KEY])[KEY].trial_id == ids[answers]


# Sweeps.


def outcome(name: str, joules: float, seed: int = 0, **facts: Any) -> Outcome:
    job = Job({"score": "train/energy_j"}, [f"optimizer={name}", f"seed={seed}"])
    metrics = {"train/energy_j": joules, "train/seconds": joules, "train/fraction_of_peak": joules / 100}
    return Outcome(job, "done", None, seed, joules, metrics | {"train/cpu_seconds": 1.0}, {**NEW, **facts})


def test_a_sweep_never_stars_what_was_disturbed_and_says_why() -> None:
    told = sweep_table.arms(
        [
            outcome("adam", 9.0),
            outcome("lion", 2.0, disturbed=HELD),
            outcome("sgd", 7.0),
            outcome("sgd", 1.0, 1, disturbed=HELD),
        ]
    )
    assert sweep_table.best(told, "train/energy_j").name == "optimizer=sgd"
    heads, texts = sweep_table.rows(told, "train/energy_j")
    cells = {text[0].removeprefix("* "): dict(zip(heads, text, strict=True)) for text in texts}
    assert (
        cells["optimizer=lion"]["train/seconds"] == cells["optimizer=lion"]["train/energy_j"] == "disturbed"
    )
    assert cells["optimizer=sgd"]["n"] == "1" and cells["optimizer=sgd"]["train/energy_j"] == "7 J"
    assert f"2 of 4 trials (train window: {WHY})" in sweep_table.caption(told)
    assert "disturbed: train" in line(outcome("lion", 2.0, disturbed=HELD), 1, 2)
    assert peak_line([outcome("adam", 9.0), outcome("lion", 2.0, disturbed=HELD)])[0].startswith(
        "fraction of peak 0.09:"
    )


def test_a_sweep_never_stars_among_two_instruments() -> None:
    other = outcome("lion", 2.0, energy_basis="CPU seconds x 5 W a core (calibrated 2026-11-29)")
    told = sweep_table.arms([outcome("adam", 9.0), other])
    assert sweep_table.best(told, "train/energy_j") is None
    _, texts = sweep_table.rows(told, "train/energy_j")
    assert [text[-2] for text in texts] == ["9 J", "not comparable"]


def test_a_plan_predicts_from_undisturbed_trials(
    store: Store, resolve: Callable[..., dict[str, Any]]
) -> None:
    from research.space import identity
    from research.space.signature import signature

    for seed, joules, held in ((0, 10.0, {}), (1, 500.0, {"disturbed": HELD})):
        config = resolve(f"seed={seed}")
        got = store.claim(identity.key(config, signature(config)), config=config, seed=seed)
        assert isinstance(got, TrialClaim)
        store.finish(got, {"train/energy_j": joules}, {**NEW, **held})
    assert Predictor(store).predict(resolve("seed=2")).joules == 10.0


# Early stopping and efficiency.


def test_early_stopping_takes_no_bar_from_a_disturbed_training(
    store: Store, resolve: Callable[..., dict[str, Any]]
) -> None:
    from research.space import identity
    from research.space.signature import signature

    halving = Halving(ENERGY, Stop())
    for seed, cpu, held in ((0, 2.0, {"disturbed": HELD}), (1, 10.0, {})):
        config = resolve(f"seed={seed}")
        got = store.claim(identity.key(config, signature(config)), config=config, seed=seed)
        assert isinstance(got, TrialClaim)
        store.finish(got, {"train/cpu_seconds": cpu}, {**NEW, **held})
        halving.learn(store, [got.trial_id], {"val/accuracy": 0.9}, reference=True)
        cap = halving.cap(time.time())
        assert cap is None if held else cap == 12.5


def test_efficiency_of_a_disturbed_trial_is_not_shown() -> None:
    metrics = {"test/accuracy": 0.9, "train/energy_j": 10.0, "train/cpu_seconds": 1.0}
    results = {
        1: Result(trial_id=1, metrics=metrics, facts=NEW),
        2: Result(trial_id=2, metrics=metrics, facts=NEW | {"disturbed": HELD}),
    }
    found = efficiency(row(2), row(1), results, floor=0.5)
    assert found.value is None and WHY in (found.reason or "")


# Reports.


def arm(name: str, joules: list[float], held: tuple[int, ...] = (), **facts: Any) -> Arm:
    first = 1000 * next(NUMBERS)
    results = tuple(
        Result(
            trial_id=first + at,
            metrics={"train/energy_j": one, "test/accuracy": 0.9, "train/cpu_seconds": one / 4},
            facts={**NEW, **facts} | ({"disturbed": HELD} if at in held else {}),
        )
        for at, one in enumerate(joules)
    )
    rows = tuple(row(first + at, seed=at) for at in range(len(joules)))
    status = "ran" if name else "control"
    return Arm((name,) if name else (), status=status, results=results, rows=rows)


def test_a_reports_arm_is_the_mean_of_its_undisturbed_trials() -> None:
    one = arm("x=1", [10.0, 12.0, 90.0], held=(2,))
    assert one.of("train/energy_j").mean == 11.0 and one.of("train/energy_j").n == 2
    assert one.of("test/accuracy").n == 3 and one.means["train/energy_j"] == 11.0
    assert str(one.by_seed("train/energy_j")[2]) == "nan"
    text = "\n".join(
        arms_table(
            [arm("", [20.0, 20.0, 20.0]), one, arm("x=2", [1.0], held=(0,))], ["train/energy_j"], ArmNames()
        )
    )
    assert "(n = 2)" in text and "| disturbed |" in text
    assert "Joules are CPU seconds x 4 W a core." in text.replace("\\", "")
    assert f"Disturbed: train/energy_j of 2 of 7 trials is left out (train window: {WHY})." in text.replace(
        "\\", ""
    )


def test_a_front_holds_no_disturbed_figure_and_no_two_instruments() -> None:
    control, good = arm("", [20.0, 21.0, 22.0]), arm("x=1", [10.0, 11.0, 1.0], held=(2,))
    assert (
        costs_among([], [control, good]) == ["train/energy_j"]
        and complaint("train/energy_j", [control, good]) is None
    )
    assert front_of([control, good], "test/accuracy", "train/energy_j") == [good]
    spoilt = arm("x=1", [1.0, 1.0, 1.0], held=(0, 1, 2))
    assert costs_among([], [control, spoilt]) == [] and fronts([control, spoilt], [], ArmNames()) == []
    other = arm("x=1", [1.0, 1.0, 1.0], energy_basis="CPU seconds x 9 W a core")
    assert costs_among([], [control, other]) == []


def test_a_curve_against_joules_leaves_disturbed_trainings_out(store: Store) -> None:
    from research.report.arms import measured

    ids = [wrote(store, "x=1", 10.0, 0), wrote(store, "x=1", 90.0, 1, held=True)]
    one = measured(store, ["x=1"], "p", "ran", ids)
    assert [point.x for point in curve(store, one, "val/accuracy")] == [10.0, 20.0]
    assert [point.x for point in curve(store, one, "val/accuracy", "step")] == [1.0, 2.0]


# Memory.


def test_lessons_pair_no_disturbed_trial_and_no_two_instruments(store: Store) -> None:
    for seed in range(4):
        wrote(store, "model.width=64", 10.0, seed)
        wrote(store, "model.width=32", 30.0, seed, held=True)
    past = runs(store, [ENERGY.metric], task="digits")
    assert lessons(past, ENERGY, "digits", all_pairs=True) == []
    for seed in range(4):
        wrote(store, "model.width=16", 5.0, seed, energy_basis="CPU seconds x 9 W a core")
    past = runs(store, [ENERGY.metric], task="digits")
    assert [one for one in lessons(past, ENERGY, "digits", all_pairs=True) if one.median is not None] == []
    for seed in range(4):
        wrote(store, "model.width=8", 5.0, seed)
    (told,) = lessons(runs(store, [ENERGY.metric], task="digits"), ENERGY, "digits")
    assert told.sentence.startswith("model.width=8 beat 64 in 4 of 4")


def test_what_was_best_elsewhere_is_ranked_by_one_instrument(store: Store) -> None:
    for seed in range(3):
        wrote(store, "model.width=64", 10.0, seed, task="mnist1d")
        wrote(store, "model.width=32", 20.0, seed, task="mnist1d")
        wrote(store, "model.width=16", 1.0, seed, task="mnist1d", held=True)
    wrote(store, "model.width=8", 0.5, 0, task="mnist1d", energy_basis="CPU seconds x 9 W a core")
    found = configured(runs(store, [ENERGY.metric], but="digits"), ENERGY)
    assert [(one.overrides, one.value) for one in found] == [
        (("model.width=64",), 10.0),
        (("model.width=32",), 20.0),
    ]


def test_an_episode_tells_no_disturbed_joules(store: Store) -> None:
    wrote(store, "model.width=64", 10.0, 0)
    wrote(store, "model.width=64", 400.0, 1, held=True)
    wrote(store, "model.width=64", 90.0, 2, energy_basis="CPU seconds x 36 W a core")
    memory = opened({"mode": "on"}, store)
    (told,) = memory.recall(Query(task="digits", objective=ENERGY, overrides=("model.width=64",)))
    assert told.figures["train/energy_j"] == 90.0, "the newest instrument's, undisturbed"
    assert told.figures["val/accuracy"] == pytest.approx(0.9) and len(told.trial_ids) == 3


# Lists.


def test_the_status_counts_disturbed_trials(store: Store) -> None:
    from research.store.queries import disturbed

    wrote(store, "x=1", 1.0, held=True)
    wrote(store, "x=2", 1.0)
    with store.write() as sql:
        sql.execute(sa.update(table).where(table.c.id == 2).values(facts={"disturbed": {}}))
    with store.read() as sql:
        assert disturbed(sql, newest=10) == 1 and disturbed(sql, newest=1) == 0

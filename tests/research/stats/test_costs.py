"""Costs of trainings are predicted from what others cost; the right values follow a known law."""

import math
import random

import pytest

from research.space.gate import Space
from research.stats.costs import Case, Costs
from research.types import Key, Result, Trial

WATTS = 4.0


@pytest.fixture(scope="module")
def space() -> Space:
    from pathlib import Path

    conf = Path(__file__).parents[3] / "conf"
    return Space(conf, conf / "space.yaml")


def law(config: dict) -> float:
    """CPU seconds of a training: a call, each product of a one-layer perceptron, a dear optimizer."""
    batch, width, steps = config["data"]["batch_size"], config["model"]["width"], config["budget"]["steps"]
    products = 64 * width + width * width * (config["model"]["depth"] - 1) + 10 * width
    dear = 3.0 if "Muon" in config["optimizer"]["_target_"] else 1.0
    return steps * dear * (8e-4 + 6 * products * batch / 1.2e10)


def case(config: dict, cpu: float, **more: object) -> Case:
    steps = float(config["budget"]["steps"])
    given = {
        "joules": WATTS * cpu,
        "instrument": "estimated",
        "train_s": 1.5 * cpu,
        "whole_s": 1.5 * cpu + 0.8,
    }
    return Case(config, steps, cpu, **given | more)


def drawn(space: Space, rng: random.Random) -> dict:
    width, batch = round(math.exp(rng.uniform(2, 7))), round(math.exp(rng.uniform(2, 7)))
    steps, depth = round(math.exp(rng.uniform(3, 7))), rng.choice([1, 2, 3])
    optimizer = rng.choice(["adamw", "adamw", "muon"])
    line = [f"model.width={width}", f"data.batch_size={batch}", f"budget.steps={steps}"]
    return space.resolve([*line, f"model.depth={depth}", f"optimizer={optimizer}"])


def test_random_configurations_are_predicted_within_one_and_a_half_times(space: Space) -> None:
    rng = random.Random(0)
    known: list[Case] = []
    off = []
    for at in range(80):
        config = drawn(space, rng)
        cpu = law(config) * math.exp(rng.gauss(0, 0.1))
        if at >= 30:
            found = Costs(known).predict(config)
            off.append(max(found.cpu_seconds / cpu, cpu / found.cpu_seconds))
            assert found.joules == pytest.approx(WATTS * found.cpu_seconds)
            assert found.seconds == pytest.approx(0.8 + 1.5 * found.cpu_seconds)
        known.append(case(config, cpu))
    assert sum(one <= 1.5 for one in off) >= 0.8 * len(off), sorted(off)[-12:]


def test_steps_count_in_proportion_from_the_first_trial_on(space: Space) -> None:
    short, long = (space.resolve([f"budget.steps={steps}"]) for steps in (200, 1000))
    found = Costs([case(short, 0.2)])
    assert found.predict(short).cpu_seconds == pytest.approx(0.2)
    assert found.predict(long).cpu_seconds == pytest.approx(1.0)
    assert found.predict(long).error > 2, "one trial says nothing of how far off others are"


def test_the_told_error_is_the_one_that_is_made(space: Space) -> None:
    rng = random.Random(1)
    cases = [case(config, law(config) * math.exp(rng.gauss(0, 0.1))) for config in _some(space, rng, 60)]
    costs = Costs(cases)
    fresh = _some(space, rng, 60)
    ratios = [costs.predict(config).cpu_seconds / law(config) for config in fresh]
    within = sum(max(one, 1 / one) <= costs.predict(fresh[0]).error for one in ratios) / len(ratios)
    assert 0.6 <= within <= 0.97


def _some(space: Space, rng: random.Random, count: int) -> list[dict]:
    return [drawn(space, rng) for _ in range(count)]


def test_what_a_neighbour_disturbed_counts_only_where_there_is_little_else(space: Space) -> None:
    config = space.resolve([])
    held = [case(config, 9.0, disturbed=True)] * 20
    assert Costs(held).predict(config).cpu_seconds == pytest.approx(9.0)
    assert Costs([*held, *[case(config, 0.3)] * 12]).predict(config).cpu_seconds == pytest.approx(0.3)


def test_joules_of_two_instruments_are_not_mixed(space: Space) -> None:
    config = space.resolve([])
    found = Costs([case(config, 0.3), case(config, 0.3, instrument="rapl")]).predict(config)
    assert found.joules is None and found.cpu_seconds == pytest.approx(0.3)


def test_nothing_is_predicted_from_nothing_or_without_a_length(space: Space) -> None:
    config = space.resolve([])
    assert Costs([]).predict(config) is None
    assert Costs([case(config, 0.3)]).predict(space.resolve(["budget=minute"])) is None


def test_a_training_that_ended_at_its_target_counts_the_steps_that_it_took(space: Space) -> None:
    config = space.resolve(["budget.target='val/accuracy >= 0.5'"])
    row = {"replicate": 0, "seed": 0, "overrides": (), "status": "done", "reason": None, "name": None}
    times = {"sweep": None, "source": "person", "folder": None, "started": 10.0, "finished": 13.0}
    trial = Trial(id=1, key=Key("a", "b", "c", "d"), config=config, **row, **times)
    metrics = {"train/cpu_seconds": 0.5, "train/seconds": 1.0, "train/steps_per_second": 120.0}
    found = Case.of(trial, Result(trial_id=1, metrics=metrics, facts={}))
    assert found.steps == 120.0 and found.whole_s == 3.0
    assert Case.of(trial, Result(trial_id=1, metrics={"train/seconds": 1.0}, facts={})) is None

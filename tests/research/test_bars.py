"""Bars come from curves that are done; what cannot win is ended, counted, and not paid for twice."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign_lab import Lab, energy, learning, opened

from research import identity
from research.campaigns.halving import Halving, Stop
from research.types import Constraint, Objective

ACCURACY = Objective(metric="val/accuracy", direction="max")
CHEAP = Objective(
    metric="train/energy_j",
    direction="min",
    constraints=(Constraint(metric="val/accuracy", op=">=", bound=0.9),),
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path) as made:
        yield made


def finished(lab: Lab, number: int, accuracies: list[float], joules: float = 10.0) -> dict[str, float]:
    """A trial whose curve has these accuracies at even distances; its id is `number`."""
    config = lab.space.resolve([f"seed={number}"])
    claim = lab.store.claim(identity.key(config, lab.space.signature(config)), config=config)
    curve = [{"step": 10.0 * (at + 1), "val/accuracy": value} for at, value in enumerate(accuracies)]
    means = {"val/accuracy": accuracies[-1], "train/energy_j": joules}
    lab.store.finish(claim, means, {}, curve)
    return means


def test_nothing_is_said_before_there_are_enough_curves(lab: Lab) -> None:
    halving = Halving(ACCURACY, Stop(enough=3, rungs=(0.5,)))
    for number in (1, 2):
        halving.learn(lab.store, [number], finished(lab, number, [0.1, 0.2, 0.3, 0.4]))
    assert halving.settings() is None
    halving.learn(lab.store, [3], finished(lab, 3, [0.5, 0.6, 0.7, 0.8]))
    assert halving.settings()["bars"] == {"0.5": 0.2}  # two of three go on


def test_what_was_ended_still_counts_at_the_rung_that_it_reached(lab: Lab) -> None:
    halving = Halving(ACCURACY, Stop(enough=1, rungs=(0.5,)))
    halving.learn(lab.store, [1], finished(lab, 1, [0.5, 0.6, 0.7, 0.8]))
    halving.lost({"share": 0.5, "projected": 8.0, "train/energy_j": 4.0, "at/0.5": 0.1})
    assert halving.settings()["bars"] == {"0.5": 0.6}
    halving.lost({"share": 0.25, "projected": 4.0, "train/energy_j": 1.0, "at/0.5": 0.2})
    assert halving.settings()["bars"] == {"0.5": 0.2}
    assert halving.facts() == {"trials": 2, "joules_saved": pytest.approx(4.0 + 3.0)}


def test_a_goal_of_joules_caps_them_by_the_best_that_keeps_its_bound(lab: Lab) -> None:
    halving = Halving(CHEAP, Stop(enough=2, rungs=(0.5,), slack=1.5))
    halving.learn(lab.store, [1], finished(lab, 1, [0.1, 0.2, 0.3], joules=1.0))
    assert halving.settings() is None, "what breaks the bound is no measure"
    halving.learn(lab.store, [2], finished(lab, 2, [0.5, 0.8, 0.95], joules=8.0))
    halving.learn(lab.store, [3], finished(lab, 3, [0.6, 0.6, 0.92], joules=6.0))
    found = halving.settings()
    assert found["joules"] == 9.0 and found["metric"] == "val/accuracy" and found["direction"] == "max"
    assert found["bars"]["0.5"] == pytest.approx(0.6 - 0.1)


def test_a_training_that_keeps_its_bound_already_is_never_ended_by_it(lab: Lab) -> None:
    loss = Constraint(metric="val/loss", op="<=", bound=0.5)
    for bound, good in ((CHEAP.constraints[0], 0.99), (loss, 0.01)):
        halving = Halving(CHEAP.model_copy(update={"constraints": (bound,)}), Stop(enough=1, rungs=(0.5,)))
        halving._reached[0.5] = [good, good]
        bar = halving.settings()["bars"]["0.5"]
        assert bar <= 0.9 if bound.op == ">=" else bar >= 0.5


def test_joules_of_trials_that_ended_early_are_kept_and_the_same_end_is_not_paid_for_twice(lab: Lab) -> None:
    from research.campaigns.bench import Arm

    sprint = lab.sprint(lab.charter(energy()))
    bench, bars = sprint._bench, {"_target_": "models.callbacks.halving.Halving", "joules": 3.0}

    def stop(config: dict, rng: object) -> dict[str, float]:
        raise ArithmeticError("stopped early: 4 J at 40% of the budget come to more than 3 J")

    lab.task = stop
    first = Arm(("model.width=64",), "tpe", 0)
    bench.run([(first, 0)], halving=bars)
    assert first.failures[0].startswith("stopped early") and len(lab.ran) == 1
    again = Arm(("model.width=64",), "tpe", 0)
    bench._ended = None
    bench.run([(again, 0)], halving=bars)
    assert again.failures == first.failures and len(lab.ran) == 1
    bench._ended = None
    bench.run(
        [(Arm(("model.width=64",), "tpe", 0), 0)],
        halving={"_target_": "models.callbacks.halving.Halving", "joules": 9.0},
    )
    assert len(lab.ran) == 2, "other bars are another question"
    key = identity.key(
        bench.config(("model.width=64",), 0), lab.space.signature(bench.config(("model.width=64",), 0))
    )
    claim = lab.store.claim(key, config={}, sweep=sprint._bench._sweep)
    lab.store.fail(claim, "stopped early: x", {"spent": {"train/energy_j": 4.0, "share": 0.4}})
    assert bench.lost(first, 0) == {"train/energy_j": 4.0, "share": 0.4}


def test_a_campaign_ends_what_cannot_win_and_counts_what_that_saved(lab: Lab) -> None:
    def watched(config: dict, rng: random.Random) -> dict[str, float]:
        """As a training with the callback would: joules are seen to run away at a fifth of the budget."""
        found = learning(config, rng)
        cap = (config.get("callbacks") or {}).get("halving", {}).get("joules")
        if cap is not None and found["train/energy_j"] > cap:
            error = ArithmeticError("stopped early: they come to more than the best's")
            joules = found["train/energy_j"]
            error.facts = {"spent": {"train/energy_j": joules / 5, "projected": joules, "share": 0.2}}
            raise error
        return found

    lab.task = watched
    found = lab.campaign(lab.charter(energy()))
    ended = [row for row in lab.store.experiments() if row["status"] == "stopped"]
    assert ended and found.insights[-1].verdict.word == "supported"
    (sprint,) = lab.store.sprints()
    assert sprint["facts"]["pruned"]["trials"] == len(ended) and sprint["facts"]["pruned"]["joules_saved"] > 0
    lost = lab.store.lost(sprint["facts"]["campaign"])
    assert len(lost) == len(ended)
    assert found.cost().joules == pytest.approx(
        sum(one["train/energy_j"] for one in lost.values())
        + sum(one.metrics["train/energy_j"] for one in lab.store.results(range(1, 999)).values())
    )

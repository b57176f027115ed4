"""Bars come from curves that are done; what cannot win is ended, counted, and not paid for twice."""

import random
import time

import pytest

from campaign_lab import Lab, energy, learning
from research.campaign.charter import Screen, Stop
from research.campaign.halving import Halving
from research.report.cost import used
from research.space import identity
from research.types import Constraint, Objective

ACCURACY = Objective(metric="val/accuracy", direction="max")
CHEAP = Objective(
    metric="train/energy_j",
    direction="min",
    constraints=(Constraint(metric="val/accuracy", op=">=", bound=0.9),),
)


def finished(
    lab: Lab, number: int, accuracies: list[float], cpu: float = 2.5, facts: dict | None = None
) -> dict[str, float]:
    """A trial whose curve has these accuracies at even distances; its id is `number`."""
    config = lab.space.resolve([f"seed={number}"])
    claim = lab.store.claim(identity.key(config, lab.space.signature(config)), config=config)
    curve = [{"step": 10.0 * (at + 1), "val/accuracy": value} for at, value in enumerate(accuracies)]
    means = {"val/accuracy": accuracies[-1], "train/energy_j": 4 * cpu, "train/cpu_seconds": cpu}
    lab.store.finish(claim, means, facts or {}, curve)
    return means


def test_nothing_is_said_before_there_are_enough_curves(lab: Lab) -> None:
    halving = Halving(ACCURACY, Stop(enough=3, rungs=(0.5,)))
    for number in (1, 2):
        halving.learn(lab.store, [number], finished(lab, number, [0.1, 0.2, 0.3, 0.4]))
    assert halving.settings(time.time()) is None
    halving.learn(lab.store, [3], finished(lab, 3, [0.5, 0.6, 0.7, 0.8]))
    assert halving.settings(time.time())["bars"] == {"0.5": 0.2}  # two of three go on


def test_what_was_ended_still_counts_at_the_rung_that_it_reached(lab: Lab) -> None:
    halving = Halving(ACCURACY, Stop(enough=1, rungs=(0.5,)))
    halving.learn(lab.store, [1], finished(lab, 1, [0.5, 0.6, 0.7, 0.8]))
    half = {"train/cpu_seconds": 1.0, "projected/cpu_seconds": 2.0}
    halving.lost({"share": 0.5, "train/energy_j": 4.0, "at/0.5": 0.1, **half})
    assert halving.settings(time.time())["bars"] == {"0.5": 0.6}
    quarter = {"train/cpu_seconds": 0.25, "projected/cpu_seconds": 1.0}
    halving.lost({"share": 0.25, "train/energy_j": 1.0, "at/0.5": 0.2, **quarter})
    assert halving.settings(time.time())["bars"] == {"0.5": 0.2}
    saved = {"joules_saved": pytest.approx(4.0 + 3.0), "cpu_seconds_saved": pytest.approx(1.0 + 0.75)}
    assert halving.facts() == {"trials": 2, **saved}


def test_a_goal_of_joules_caps_cpu_seconds_by_the_best_that_keeps_its_bound(lab: Lab) -> None:
    halving = Halving(CHEAP, Stop(enough=2, rungs=(0.5,), slack=1.5))
    halving.learn(lab.store, [1], finished(lab, 1, [0.1, 0.2, 0.3], cpu=1.0), reference=True)
    assert halving.settings(time.time()) is None, "what breaks the bound is no measure"
    halving.learn(lab.store, [2], finished(lab, 2, [0.5, 0.8, 0.95], cpu=8.0))
    halving.learn(lab.store, [3], finished(lab, 3, [0.6, 0.6, 0.92], cpu=6.0))
    found = halving.settings(time.time())
    assert found["cap"] == 9.0 and found["cost"] == "cpu_second"
    assert found["metric"] == "val/accuracy" and found["direction"] == "max"
    assert found["bars"]["0.5"] == pytest.approx(0.6 - 0.1)


def test_a_disturbed_training_sets_no_cap(lab: Lab) -> None:
    halving = Halving(CHEAP, Stop(slack=1.5))
    halving.learn(lab.store, [1], finished(lab, 1, [0.95], cpu=8.0), reference=True)
    held = {"disturbed": {"train": "its threads waited"}}
    halving.learn(lab.store, [2], finished(lab, 2, [0.95], cpu=2.0, facts=held))
    assert halving.cap(time.time()) == 12.0


def test_a_cap_follows_the_machine(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best cost 4 CPU s in a quiet hour, when the reference cost 8; the reference now costs 12."""
    halving, now = Halving(CHEAP, Stop(slack=1.5, beside=60)), time.time()

    def measured(number: int, cpu: float, began: float, **more: bool) -> None:
        means = finished(lab, number, [0.95], cpu=cpu)
        rows = lab.store.trials(ids=[number])
        moved = [row.model_copy(update={"started": began}) for row in rows]
        monkeypatch.setattr(lab.store, "trials", lambda **asked: moved)
        halving.learn(lab.store, [number], means, **more)
        monkeypatch.undo()

    measured(1, 8.0, now - 120, reference=True)
    measured(2, 4.0, now - 110)
    assert halving.cap(now - 110) == pytest.approx(1.5 * 4.0) and halving.stale(now)
    measured(3, 12.0, now - 5, reference=True)
    assert halving.cap(now) == pytest.approx(1.5 * 4.0 * 12 / 8) and not halving.stale(now)
    assert halving.cap(now + 3600) is None, "what was measured an hour ago is no bar"


def test_what_would_have_been_wrong_to_stop(lab: Lab) -> None:
    halving = Halving(CHEAP, Stop())
    kept, missed = {"val/accuracy": 0.95}, {"val/accuracy": 0.7}
    cost = "train/cpu_seconds"
    assert halving.wrong(kept | {cost: 4.9}, cap=5.0, best=None)
    assert not halving.wrong(kept | {cost: 5.1}, cap=5.0, best=None)
    assert not halving.wrong(missed | {cost: 1.0}, cap=5.0, best=None)
    score = Halving(ACCURACY, Stop())
    assert score.wrong(kept, None, missed) and not score.wrong(missed, None, kept)


def test_a_training_that_keeps_its_bound_already_is_never_ended_by_it(lab: Lab) -> None:
    loss = Constraint(metric="val/loss", op="<=", bound=0.5)
    for bound, good in ((CHEAP.constraints[0], 0.99), (loss, 0.01)):
        halving = Halving(CHEAP.model_copy(update={"constraints": (bound,)}), Stop(enough=1, rungs=(0.5,)))
        halving._reached[0.5] = [good, good]
        bar = halving.settings(time.time())["bars"]["0.5"]
        assert bar <= 0.9 if bound.op == ">=" else bar >= 0.5


def test_joules_of_trials_that_ended_early_are_kept_and_the_same_end_is_not_paid_for_twice(lab: Lab) -> None:
    from research.campaign.bench import Arm

    sprint = lab.sprint(lab.charter(energy()))
    bench, bars = sprint.bench, {"_target_": "models.training.callbacks.halving.HalvingStop", "cap": 3.0}

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
    bench.run([(Arm(("model.width=64",), "tpe", 0), 0)], halving=bars | {"cap": 3.2})
    assert len(lab.ran) == 1, "a cap that has hardly moved would end it again"
    bench._ended = None
    bench.run(
        [(Arm(("model.width=64",), "tpe", 0), 0)],
        halving={"_target_": "models.training.callbacks.halving.HalvingStop", "cap": 9.0},
    )
    assert len(lab.ran) == 2, "other bars are another question"
    key = identity.key(
        bench.config(("model.width=64",), 0), lab.space.signature(bench.config(("model.width=64",), 0))
    )
    claim = lab.store.claim(key, config={}, sweep=sprint.bench._sweep)
    lab.store.fail(claim, "stopped early: x", {"spent": {"train/energy_j": 4.0, "share": 0.4}})
    assert bench.lost(first, 0) == {"train/energy_j": 4.0, "share": 0.4}


def watched(config: dict, rng: random.Random) -> dict[str, float]:
    """As a training with the callback would: CPU seconds are seen to run away at a fifth of the budget."""
    found = learning(config, rng)
    found["train/cpu_seconds"] = found["train/energy_j"] / 4
    cap = (config.get("callbacks") or {}).get("halving", {}).get("cap")
    if cap is not None and found["train/cpu_seconds"] > cap:
        error = ArithmeticError("stopped early: they come to more than the best's")
        whole = found["train/cpu_seconds"]
        spent = {"train/energy_j": 4 * whole / 5, "train/cpu_seconds": whole / 5, "share": 0.2}
        error.facts = {"spent": spent | {"projected/cpu_seconds": whole}}
        raise error
    return found


@pytest.mark.slow
def test_a_campaign_ends_what_cannot_win_and_counts_what_that_saved(lab: Lab) -> None:
    lab.task = watched
    found = lab.campaign(lab.charter(energy(), screen=Screen(turns=10, stop=Stop(audit=0))))
    ended = [row for row in lab.store.proposals() if row["status"] == "stopped"]
    assert ended and found.insights[-1].verdict.word == "supported"
    (sprint,) = lab.store.sprints()
    pruned = sprint["facts"]["pruned"]
    assert pruned["trials"] == len(ended) and pruned["audited"] == 0
    lost = lab.store.lost(sprint["facts"]["campaign"])
    assert len(lost) == len(ended)
    # Each was ended at a fifth: four times what it had spent was left.
    spent = sum(one["train/energy_j"] for one in lost.values())
    assert pruned["joules_saved"] == pytest.approx(4 * spent)
    assert pruned["cpu_seconds_saved"] == pytest.approx(spent)
    whole = sum(one.metrics["train/energy_j"] for one in lab.store.results(range(1, 999)).values())
    assert used(found).joules == pytest.approx(spent + whole)


@pytest.mark.slow
def test_a_sample_of_the_ended_is_trained_to_the_end_and_told(lab: Lab) -> None:
    lab.task = watched
    charter = lab.charter(energy(), screen=Screen(turns=10, stop=Stop(audit=1)))
    found = lab.campaign(charter)
    pruned = lab.store.sprints()[0]["facts"]["pruned"]
    ended = [row for row in lab.store.proposals() if row["facts"].get("audit")]
    assert pruned["audited"] == pruned["trials"] == len(ended) > 0 and pruned["wrong"] == 0
    assert {row["status"] for row in ended} == {"stopped"}
    assert pruned["joules_saved"] == pytest.approx(0) == pruned["cpu_seconds_saved"], (
        "all were trained to their end"
    )
    # What the audited had used before they were ended is in the campaign's cost as well.
    whole = sum(one.metrics["train/energy_j"] for one in lab.store.results(range(1, 999)).values())
    assert used(found).joules == pytest.approx(whole + pruned["lost_joules"]) and pruned["lost_joules"] > 0
    ran = list(lab.ran)
    again = lab.sprint(charter)
    lab.store.set_sprint(1, "interrupted", lab.store.sprints()[0]["facts"])
    again.run(lab.proposers(charter))
    assert lab.ran == ran, "a sprint that continues takes the same way though the ended are known by now"


@pytest.mark.slow
def test_what_was_wrong_to_end_is_an_arm_again(lab: Lab) -> None:
    def hasty(config: dict, rng: random.Random) -> dict[str, float]:
        """Ends whatever has bars, though all of it is cheap."""
        found = learning(config, rng) | {"train/energy_j": 0.4, "train/cpu_seconds": 0.1}
        if (config.get("callbacks") or {}).get("halving", {}).get("cap") is not None:
            raise ArithmeticError("stopped early: by mistake")
        return found

    lab.task = hasty
    charter = lab.charter(energy(0.1), screen=Screen(turns=4, stop=Stop(audit=1)))
    lab.campaign(charter)
    pruned = lab.store.sprints()[0]["facts"]["pruned"]
    assert pruned["wrong"] == pruned["audited"] > 0
    rescued = [row for row in lab.store.proposals() if row["facts"].get("audit", {}).get("wrong")]
    assert len(rescued) == pruned["wrong"] and all(row["facts"]["screened"] for row in rescued)

"""E and every comparison of costs: only with one method, one kind of machine, and an accuracy floor."""

import math
from typing import Any

import pytest

from research.stats.comparable import comparable, energy_method
from research.stats.rubric import efficiency
from research.types import Key, Result, Trial

GOOD = {"test/accuracy": 0.9, "train/energy_j": 100.0}


def trial(number: int, hardware: str = "cpu:x x2") -> Trial:
    empty: dict[str, Any] = dict.fromkeys(("reason", "name", "sweep", "folder", "finished"))
    fixed = {"replicate": 0, "seed": 0, "overrides": (), "config": {}, "status": "done", "source": "person"}
    return Trial(id=number, key=Key("s", "c", "d", hardware), started=0.0, **fixed, **empty)


def result(number: int, metrics: dict[str, float], method: str | None = "estimated") -> Result:
    return Result(trial_id=number, metrics=metrics, facts={"energy_method": method})


def test_efficiency_is_relative_accuracy_by_relative_energy() -> None:
    results = {1: result(1, GOOD), 2: result(2, {"test/accuracy": 0.81, "train/energy_j": 30.0})}
    found = efficiency(trial(2), trial(1), results, floor=0.8)
    assert found.value == pytest.approx(0.9 * 100 / 30) and found.reason is None
    assert efficiency(trial(1), trial(1), results, floor=0.8).value == 1.0


@pytest.mark.parametrize(
    ("metrics", "method", "hardware", "words"),
    [
        ({"test/accuracy": 0.7, "train/energy_j": 1.0}, "estimated", "cpu:x x2", "below the floor"),
        ({"test/accuracy": 0.9}, "estimated", "cpu:x x2", "no train/energy_j"),
        ({"test/accuracy": 0.9, "train/energy_j": 0.0}, "estimated", "cpu:x x2", "above zero"),
        ({"test/accuracy": math.nan, "train/energy_j": 1.0}, "estimated", "cpu:x x2", "no test/accuracy"),
        ({"test/accuracy": 0.9, "train/energy_j": 1.0}, "nvml", "cpu:x x2", "different methods"),
        ({"test/accuracy": 0.9, "train/energy_j": 1.0}, None, "cpu:x x2", "no energy method"),
        ({"test/accuracy": 0.9, "train/energy_j": 1.0}, "estimated", "gpu:y", "different hardware"),
    ],
)
def test_efficiency_that_would_mislead_is_not_shown(metrics, method, hardware, words) -> None:
    results = {1: result(1, GOOD), 2: result(2, metrics, method)}
    found = efficiency(trial(2, hardware), trial(1), results, floor=0.8)
    assert found.value is None and found.reason is not None and words in found.reason


def test_scores_and_sizes_may_always_be_compared_costs_not() -> None:
    trials = [trial(1), trial(2, "gpu:y")]
    results = {1: result(1, GOOD, "estimated"), 2: result(2, GOOD, "nvml")}
    for metric in ("test/accuracy", "size/bytes", "compute/flops_forward"):
        assert comparable(metric, trials, results) is None
    for metric in ("train/seconds", "infer/latency_s_p50", "infer/samples_per_second", "train/energy_j"):
        assert "different hardware" in (comparable(metric, trials, results) or "")
    same = [trial(1), trial(2)]
    assert comparable("train/seconds", same, results) is None
    for metric in ("train/energy_j", "train/co2_kg", "infer/energy_j_per_sample"):
        assert "different methods (estimated, nvml)" in (comparable(metric, same, results) or "")
    assert energy_method(results[2]) == "nvml"

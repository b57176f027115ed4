"""Goals on what a training costs its processors, and what no goal may claim."""

from pathlib import Path

import pytest

from refusal import Refusal
from research import metrics
from research.goal.goal import read


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    (folder / "data").mkdir()
    (folder / "data" / "digits.yaml").write_text("task: classification\n")
    return folder


@pytest.mark.parametrize(
    ("text", "metric", "bounds"),
    [
        ("fewest CPU seconds", "train/cpu_seconds", []),
        ("less CPU time at 95 %", "train/cpu_seconds", ["test/accuracy >= 0.95"]),
        ("least training CPU-seconds with 90 % accuracy", "train/cpu_seconds", ["test/accuracy >= 0.9"]),
        ("lowest CPU time of inference", "infer/cpu_seconds_per_sample", []),
        (
            "least CPU time per example above 90 % accuracy",
            "infer/cpu_seconds_per_sample",
            ["test/accuracy >= 0.9"],
        ),
        ("smallest model under 2 CPU seconds", "size/bytes", ["train/cpu_seconds <= 2"]),
        ("best accuracy with at most 1 cpu minute", "test/accuracy", ["train/cpu_seconds <= 60"]),
        ("best f1 with train/cpu_seconds <= 3", "test/f1", ["train/cpu_seconds <= 3"]),
    ],
)
def test_cpu_seconds_are_asked_for_in_words(conf: Path, text: str, metric: str, bounds: list[str]) -> None:
    asked = read(text, conf).objective
    assert (asked.metric, [one.words for one in asked.constraints]) == (metric, bounds)


def test_a_share_of_cpu_time_may_be_asked_for(conf: Path) -> None:
    assert read("20 % fewer CPU seconds at 90 % accuracy", conf).smallest_effect == pytest.approx(0.2)


@pytest.mark.parametrize(
    "text",
    [
        "lower standing draw",
        "fewer harness joules",
        "90 % accuracy with train/energy_standing_j below 3",
        "least harness/cpu_seconds",
    ],
)
def test_what_no_training_has_earned_is_no_goal(conf: Path, text: str) -> None:
    with pytest.raises(Refusal, match="told and never claimed"):
        read(text, conf)


def test_no_explicit_objective_or_bound_gets_around_it(conf: Path) -> None:
    for asked in ({"metric": "harness/seconds"}, {"constraints": ["train/energy_standing_j <= 3"]}):
        with pytest.raises(Refusal, match="told and never claimed"):
            read("best accuracy", conf, **asked)


@pytest.mark.parametrize("score", ["f1", "precision", "recall", "auroc", "accuracy"])
def test_a_validation_score_is_read_as_its_twin(conf: Path, score: str) -> None:
    assert read("", conf, metric=f"val/{score}").objective.direction == "max"
    assert (
        metrics.screening(f"test/{score}") == f"val/{score}"
        and metrics.twin(f"val/{score}") == f"test/{score}"
    )
    assert metrics.words(f"val/{score}").startswith("validation ")


def test_cpu_time_is_a_cost_on_a_ratio_scale_that_neighbours_distort() -> None:
    for metric in ("train/cpu_seconds", "infer/cpu_seconds_per_sample"):
        known = metrics.METRICS[metric]
        assert known.better == "min" and known.unit == "seconds" and known.claimed
        assert metrics.is_ratio(metric) and metrics.is_timed(metric) and not metrics.is_energy(metric)

"""The table of a sweep: arms, intervals, the best one, and energy that is never mixed."""

import math

import pytest

from research.run.lines import common, line
from research.run.runner import Job, Outcome
from research.run.sweep import peak_line
from research.run.sweep_table import arms, best, caption, lower_is_better, rows, show


def outcome(
    optimizer: str, seed: int, score: float | None, method: str = "estimated", **more: float
) -> Outcome:
    job = Job({"score": "val/accuracy"}, [f"optimizer={optimizer}", f"seed={seed}", "budget=smoke"])
    if score is None:
        return Outcome(job, "died", "killed")
    metrics = {"val/accuracy": score, "train/energy_j": 2.0 + seed, "train/seconds": 1.0} | more
    return Outcome(job, "done", None, seed, score, metrics, {"energy_method": method})


def test_arms_are_overrides_without_seed_and_without_what_all_share() -> None:
    told = arms([outcome("adam", 0, 0.9), outcome("lion", 0, 0.8), outcome("adam", 1, 0.7)])
    assert [(arm.name, len(arm.outcomes)) for arm in told] == [("optimizer=adam", 2), ("optimizer=lion", 1)]
    assert [arm.name for arm in arms([outcome("adam", 0, 0.9), outcome("adam", 1, 0.9)])] == [
        "budget=smoke optimizer=adam"
    ]


def test_a_row_has_the_t_interval_over_seeds() -> None:
    _, ((_, n, score, test, joules, _),) = rows(
        arms([outcome("adam", seed, value) for seed, value in enumerate([0.90, 0.92, 0.94])]), "val/accuracy"
    )
    half = 4.302653 * 0.02 / math.sqrt(3)  # t of 0.975 with two degrees of freedom
    assert (n, score) == ("3", f"0.9200 ± {half:.2g}")
    assert test == "-" and joules == f"3 J ± {100 * 4.302653 / math.sqrt(3) / 3:.2g} %"
    _, ((*_, wide, _),) = rows(arms([outcome("adam", seed, 0.9) for seed in range(2)]), "val/accuracy")
    assert wide.endswith(" ± 250 %"), "12.7 times half a joule of 2.5"


def test_failed_trials_are_counted_and_not_averaged() -> None:
    _, ((_, n, score, *_, failed),) = rows(
        arms([outcome("adam", 0, 0.9), outcome("adam", 1, None)]), "val/accuracy"
    )
    assert (n, score, failed) == ("1", "0.9000", "1")


def test_joules_taken_in_different_ways_are_not_averaged() -> None:
    _, ((*_, joules, _),) = rows(
        arms([outcome("adam", 0, 0.9), outcome("adam", 1, 0.9, "nvml")]), "val/accuracy"
    )
    assert joules == "not comparable"
    told = caption(arms([outcome("adam", 0, 0.9), outcome("adam", 1, 0.9, "nvml")])).splitlines()
    assert told[0].endswith("estimated, nvml") and len(told) == 2
    assert told[1].startswith(
        "not comparable: train/energy_j was taken by different methods (estimated, nvml)"
    )


def test_costs_of_trials_with_other_threads_are_not_averaged_and_the_reason_is_told() -> None:
    known, new = (outcome("adam", seed, 0.9) for seed in (0, 1))
    for one, threads in ((known, 2), (new, 1)):
        one.metrics["train/seconds"] = 1.0 / threads
        one.facts["threads"] = threads
    _, ((*_, joules, seconds),) = rows(arms([known, new]), "val/accuracy")
    assert joules == seconds == "not comparable"
    _, *why = caption(arms([known, new])).splitlines()
    assert [line.partition(" was taken with 1, 2 threads")[0] for line in why] == [
        "not comparable: train/energy_j",
        "not comparable: train/seconds",
    ]


def test_the_best_follows_the_direction_of_the_score() -> None:
    told = arms([outcome("adam", 0, 0.9, **{"val/loss": 0.3}), outcome("lion", 0, 0.8, **{"val/loss": 0.2})])
    assert [best(told, score).name for score in ("val/accuracy", "val/loss")] == [
        "optimizer=adam",
        "optimizer=lion",
    ]  # type: ignore[union-attr]
    assert best(told[:1], "val/accuracy") is None
    marked = [text[0] for text in rows(told, "val/loss")[1]]
    assert marked == ["optimizer=adam", "* optimizer=lion"]
    assert lower_is_better("test/bits_per_byte") and lower_is_better("train/energy_j")
    assert not lower_is_better("val/f1") and not lower_is_better("infer/samples_per_second")


def test_a_line_says_what_differs_and_why_a_trial_failed() -> None:
    done, died = outcome("adam", 0, 0.9), outcome("lion", 1, None)
    shared = common([done.job, died.job])
    assert shared == {"budget=smoke"} and common([done.job]) == frozenset()
    assert line(done, 1, 12, shared) == (
        " 1/12  done    optimizer=adam seed=0  val/accuracy 0.9000  0.0 s  2 J [estimated]"
    )
    assert line(died, 2, 12, shared) == " 2/12  died    optimizer=lion seed=1  killed"


def test_the_fraction_of_peak_is_told_by_seconds_where_trials_have_it() -> None:
    slow = outcome("adam", 0, 0.9, **{"train/fraction_of_peak": 0.3, "train/seconds": 3.0})
    fast = outcome("adam", 1, 0.9, **{"train/fraction_of_peak": 0.1, "train/seconds": 1.0})
    (told,) = peak_line([slow, fast, outcome("lion", 0, 0.8)])
    assert told.startswith("fraction of peak 0.25: the steps took 4 times as long as their arithmetic")
    assert peak_line([outcome("lion", 0, 0.8), outcome("lion", 1, None)]) == []


def test_lists_of_options_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for options in ("[prune50]", "[prune50,int8_static]"):
        job = Job({"score": "val/accuracy"}, [f"compress={options}", "seed=0"])
        told.append(Outcome(job, "done", None, 0, 0.9, {"val/accuracy": 0.9}, {}))
    show(told, "val/accuracy")
    printed = capsys.readouterr().out
    assert "compress=[prune50] " in printed and "compress=[prune50,int8_static]" in printed

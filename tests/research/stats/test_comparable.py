"""Clocks stand side by side only where one instrument took them, on one machine that nobody disturbed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.metrics import METRICS, VALIDATION, is_timed, window
from research.stats.comparable import Provenance, comparable, disturbed, sound, unlike, unpaired
from research.types import Result, Trial
from statistics_rows import trial

TIMED = [name for name in METRICS if is_timed(name)]
STILL = [name for name in METRICS if not is_timed(name)]
BASIS = "CPU seconds x 3.89 W a core (TDP 280 W / 72, CodeCarbon's table)"
OTHER = "CPU seconds x 5.1 W a core (calibrated 2026-11-29)"
WHY = "its threads waited 0.8 s for a processor while they ran 1 s"


def result(number: int, **facts) -> Result:
    told = {"energy_method": "estimated", "energy_basis": BASIS, "threads": 1, **facts}
    kept = {key: value for key, value in told.items() if value is not None}
    return Result(trial_id=number, metrics=dict.fromkeys(METRICS, 1.0), facts=kept)


def old(number: int) -> Result:
    """A row as the instrument before wrote it: joules by wall time, no CPU seconds, no basis."""
    metrics = {key: 1.0 for key in METRICS if "cpu_seconds" not in key and not key.startswith("harness/")}
    return Result(trial_id=number, metrics=metrics, facts={"energy_method": "estimated", "threads": 1})


def both(one: Result, other: Result, *trials: Trial) -> dict[str, str | None]:
    rows = trials or (trial(1), trial(2))
    return {metric: comparable(metric, rows, {1: one, 2: other}) for metric in METRICS}


def test_what_one_instrument_took_on_one_quiet_machine_is_compared() -> None:
    assert set(both(result(1), result(2)).values()) == {None}


@pytest.mark.parametrize(
    ("held", "spoilt"),
    [
        ("train", ("train/", "step/", "compress/")),
        ("infer", ("infer/", "compress/speedup")),
        ("harness", ("harness/",)),
    ],
)
def test_a_disturbed_window_spoils_its_own_figures_and_no_others(held: str, spoilt: tuple[str, ...]) -> None:
    found = both(result(1), result(2, disturbed={held: WHY}))
    for metric, why in found.items():
        own = is_timed(metric) and metric.startswith(spoilt) and window(metric) == held
        assert (why is not None) == own, metric
        if own:
            assert WHY in why and "1 of 2 trials" in why and "trial 2" in why
    assert any(found.values())


def test_the_whole_trial_is_disturbed_by_any_window() -> None:
    assert disturbed("trial/seconds", result(1, disturbed={"harness": WHY})) == f"harness window: {WHY}"
    assert disturbed("trial/seconds", result(1, disturbed={})) is None


@given(st.dictionaries(st.sampled_from(["train", "infer", "harness"]), st.just(WHY)))
def test_sound_figures_are_those_that_no_window_spoils(held: dict[str, str]) -> None:
    found = result(1, disturbed=held)
    kept = sound(found)
    assert {metric for metric in METRICS if metric not in kept} == {
        metric for metric in METRICS if disturbed(metric, found)
    }
    assert set(STILL) <= set(kept)


def test_joules_of_two_bases_are_not_compared_and_seconds_are() -> None:
    found = both(result(1), result(2, energy_basis=OTHER))
    for metric, why in found.items():
        rests = "energy" in metric or "co2" in metric
        assert (why is not None) == rests, metric
        assert not rests or (BASIS in why and OTHER in why)


def test_the_old_instruments_clocks_stand_beside_none_of_the_new_ones() -> None:
    found = both(old(1), result(2))
    assert all("the old instrument" in found[metric] for metric in TIMED)
    assert all(found[metric] is None for metric in STILL)
    assert set(both(old(1), old(2)).values()) == {None}, "among themselves they may stand"


def test_other_threads_tell_another_time() -> None:
    found = both(result(1), result(2, threads=2))
    assert all("1, 2 threads" in found[metric] for metric in TIMED)
    assert all(found[metric] is None for metric in STILL)


def test_own_neighbours_matter_to_wall_time_only() -> None:
    rows = (trial(1), trial(2, beside=2))
    found = both(result(1), result(2), *rows)
    assert "neighbours" in found["train/seconds"] and "neighbours" in found["infer/latency_s_p50"]
    assert (
        found["train/cpu_seconds"] is found["train/energy_j"] is found["infer/cpu_seconds_per_sample"] is None
    )
    assert "neighbours" in both(old(1), old(2), *rows)["train/energy_j"], "its joules were wall time"


def test_what_auto_chose_otherwise_is_no_one_arm() -> None:
    def auto(number: int, precision: str) -> Result:
        return result(
            number, precision=precision, precision_step_seconds={"32-true": 0.01, "bf16-mixed": 0.01}
        )

    found = both(auto(1, "32-true"), auto(2, "bf16-mixed"))
    assert {metric for metric, why in found.items() if why is None} == {
        metric for metric in METRICS if metric.startswith(("size/", "compute/"))
    }
    assert "trainer.precision=32-true" in (found["test/accuracy"] or "")
    # Named by people, precisions are what is compared.
    named = both(result(1, precision="32-true"), result(2, precision="bf16-mixed"))
    assert set(named.values()) == {None} == set(both(auto(1, "bf16-mixed"), auto(2, "bf16-mixed")).values())


@pytest.mark.parametrize("limit", ["seconds", "joules"])
def test_a_budget_by_a_clock_makes_scores_depend_on_the_machine(limit: str) -> None:
    for budget, compared in (({limit: 10}, False), ({"steps": 10}, True)):
        pair = [trial(number).model_copy(update={"config": {"budget": budget}}) for number in (1, 2)]
        found = both(result(1, threads=1), result(2, threads=2), *pair)
        assert (found["test/accuracy"] is None) == compared
        assert found["size/parameters"] is None and found["train/seconds"] is not None


def test_carbon_of_two_grids_is_not_compared() -> None:
    found = both(result(1, energy={"grid_g_per_kwh": 475.0}), result(2, energy={"grid_g_per_kwh": 56.0}))
    assert "different grids (475.0, 56.0 g/kWh)" in found["train/co2_kg"] and found["train/energy_j"] is None


def test_a_pair_meets_one_machine_in_one_sweep_or_one_quarter_of_an_hour() -> None:
    a, b = trial(1, started=0.0), trial(2, started=7200.0)
    assert "120 minutes apart" in (unpaired("train/energy_j", [(a, b)]) or "")
    assert unpaired("test/accuracy", [(a, b)]) is None
    assert unpaired("train/energy_j", [(a, trial(2, started=600.0))]) is None
    beside = [(trial(1, started=0.0, sweep="s"), trial(2, started=7200.0, sweep="s"))]
    assert unpaired("train/energy_j", beside) is None
    assert unpaired("train/energy_j", [(beside[0][0], trial(2, started=7200.0, sweep="t"))]) is not None


def test_every_metric_of_a_clock_has_its_window() -> None:
    assert all(window(metric) in ("train", "infer", "compress", "harness") for metric in TIMED)
    assert all(window(metric) is None for metric in STILL)
    assert not any(map(is_timed, VALIDATION))


@pytest.mark.parametrize(
    ("metric", "alike"), [("train/co2_kg", False), ("train/energy_j", True), ("train/cpu_seconds", True)]
)
def test_jobs_side_by_side_share_the_standing_draw_that_is_in_carbon(metric: str, alike: bool) -> None:
    grid = {"energy": {"grid_g_per_kwh": 475}}
    figures = [Provenance(at, "cpu:x", beside, result(at, **grid)) for at, beside in ((1, 1), (2, 4))]
    assert (unlike(metric, figures) is None) == alike

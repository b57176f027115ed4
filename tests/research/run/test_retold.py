"""What is told and not learnt: a known trial's grid and watts are asked anew without a training."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import statistics_rows
from power import energy_profile
from power.grid import grid
from power.processor import processor
from refusal import Refusal
from research.run import lookup
from research.run.lines import rows as panel
from research.run.lookup import retold
from research.run.row import claimed
from research.run.runner import Job
from research.run.sweep_table import arms, caption
from research.stats.comparable import comparable
from research.store.schema import metric, trial
from research.store.store import Store
from research.types import Result

KG = 1 / 3.6e6 / 1000
"""kilograms of CO2 for each joule and gram per kWh"""
WORLD = {"grid_g_per_kwh": 475.0, "grid_source": "world average, CodeCarbon 3.3.2 (iea.org)", "concurrent": 2}
RATED_W, MADE_OF = processor().core_watts()
HARDWARE = {
    "cpu": energy_profile.this_machine().partition(",")[0],
    "cpu_count": os.cpu_count(),
    "core_w": RATED_W,
    "standing_w": 10.0,
}
JOULES = 2.5 * RATED_W
USED = JOULES + 6.0
"""of the steps, and with the standing draw"""
ESTIMATED = {
    "energy_method": "estimated",
    "energy_basis": energy_profile.rated(RATED_W, MADE_OF),
    "energy": WORLD | {"hardware": HARDWARE},
    "threads": 1,
}
MEASURED = {
    "val/accuracy": 0.9,
    "train/cpu_seconds": 2.5,
    "train/energy_j": JOULES,
    "train/energy_standing_j": 6.0,
    "train/co2_kg": USED * 475 * KG,
    "train/seconds": 1.2,
    "infer/cpu_seconds_per_sample": 1e-6,
    "infer/energy_j_per_sample": 1e-6 * RATED_W,
    "size/bytes": 100.0,
}
OLD = Path(__file__).with_name("old_rows.json")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "profile.json"
    monkeypatch.setenv(energy_profile.PLACE, str(path))
    return path


def calibrated(core_w: float = 5.1, hardware: str | None = None) -> energy_profile.Profile:
    profile = energy_profile.Profile(
        hardware or energy_profile.this_machine(), 30.0, {"1": 35.1}, core_w, 0.03, "wall meter", "2026-11-29"
    )
    energy_profile.write(profile)
    return profile


def result(**changed: Any) -> Result:
    return Result(trial_id=1, metrics=dict(MEASURED), facts={**ESTIMATED, **changed})


def test_the_worlds_grid_is_told_as_it_was_written() -> None:
    found = result()
    assert retold(found, {"country": None, "grid_g_per_kwh": None}) is found and retold(found, None) is found


def test_another_grid_tells_carbon_anew_from_the_joules() -> None:
    found = retold(result(), {"country": "FRA"})
    grams = grid("FRA").g_per_kwh
    assert found.metrics["train/co2_kg"] == pytest.approx(USED * grams * KG)
    assert {k: v for k, v in found.metrics.items() if "co2" not in k} == {
        k: v for k, v in MEASURED.items() if "co2" not in k
    }
    assert (
        found.facts["energy"]["grid_g_per_kwh"] == grams and "France" in found.facts["energy"]["grid_source"]
    )
    assert any("carbon is told by France" in note for note in found.facts["notes"])


def test_an_intensity_of_ones_own_may_be_zero_and_be_left_again() -> None:
    none = retold(result(), {"grid_g_per_kwh": 0.0})
    assert none.metrics["train/co2_kg"] == 0.0
    assert retold(none, {}).metrics["train/co2_kg"] == pytest.approx(USED * 475 * KG)


def test_a_country_without_a_figure_is_refused() -> None:
    with pytest.raises(Refusal, match="XYZ"):
        retold(result(), {"country": "XYZ"})


def test_an_estimate_is_told_by_the_machines_calibration() -> None:
    profile = calibrated()
    found = retold(result(), {})
    assert found.metrics["train/energy_j"] == pytest.approx(2.5 * 5.1)
    assert found.metrics["infer/energy_j_per_sample"] == pytest.approx(1e-6 * 5.1)
    assert found.metrics["train/energy_standing_j"] == pytest.approx(6.0 * 30.0 / 10.0)
    assert found.metrics["train/co2_kg"] == pytest.approx((2.5 * 5.1 + 18.0) * 475 * KG)
    assert found.metrics["train/cpu_seconds"] == 2.5
    assert found.facts["energy_basis"] == energy_profile.basis(profile)
    assert any(ESTIMATED["energy_basis"] in note for note in found.facts["notes"])
    assert retold(found, {}) is found


def test_a_calibration_that_is_gone_leaves_the_rated_power(place: Path) -> None:
    profile = calibrated()
    known = retold(result(), {})
    place.unlink()
    told = retold(known, {})
    assert told.metrics["train/energy_j"] == pytest.approx(JOULES)
    assert told.facts["energy_basis"] == ESTIMATED["energy_basis"]
    assert any(energy_profile.basis(profile) in note for note in told.facts["notes"])


def test_another_machines_trial_is_told_by_none_of_this_ones_watts() -> None:
    calibrated()
    other = ESTIMATED["energy"] | {"hardware": HARDWARE | {"cpu": "Another CPU"}}
    assert retold(result(energy=other), {}).metrics == MEASURED


def test_two_calibrations_of_one_machine_stand_side_by_side_once_told_anew() -> None:
    profile = calibrated()
    known, fresh = result(), result(energy_basis=energy_profile.basis(profile))
    rows = [statistics_rows.trial(1), statistics_rows.trial(2)]
    results = {1: known, 2: fresh.model_copy(update={"trial_id": 2})}
    assert "different bases" in (comparable("train/energy_j", rows, results) or "")
    told = {number: retold(one, {}) for number, one in results.items()}
    assert comparable("train/energy_j", rows, told) is None


def test_counted_joules_and_another_machines_profile_are_left_alone() -> None:
    calibrated(hardware="Another CPU, 64 cores")
    assert retold(result(), {}).metrics == MEASURED
    calibrated()
    counted = result(energy_method="rapl", energy_basis="RAPL less 12.3 W idle, by share of CPU time")
    assert retold(counted, {}).metrics == MEASURED


def test_a_profile_that_is_none_is_refused_in_a_sentence(place: Path) -> None:
    place.write_text('{"core_w": 3}')
    with pytest.raises(Refusal, match="is no energy profile"):
        retold(result(), {})


def test_a_known_trial_is_asked_with_another_grid(
    resolve: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = resolve("budget.steps=20")
    with claimed(asked, overrides=[], sweep=None, source="person") as row:
        row.finish(dict(MEASURED), dict(ESTIMATED), [])
    french = resolve("budget.steps=20", "meter.country=FRA")
    grams = grid("FRA").g_per_kwh
    with claimed(french, overrides=[], sweep=None, source="person") as row:
        assert row.status == "known"
        answer = row.answer("train/co2_kg")
    assert answer["score"] == pytest.approx(USED * grams * KG)
    told = dict(panel(answer, []))
    assert (
        "France" in told["carbon"]
        and "5.33 µg" not in told["carbon"]
        and f"{grams:.4g} g/kWh" in told["carbon"]
    )
    (outcome,) = lookup.known([Job(french, ["meter.country=FRA"])])
    assert outcome is not None and outcome.metrics["train/co2_kg"] == pytest.approx(USED * grams * KG)
    (first,) = lookup.known([Job(asked, [])])
    assert first is not None and first.metrics["train/co2_kg"] == pytest.approx(USED * 475 * KG)
    assert "CPU seconds x" in caption(arms([first, outcome]))


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Store]:
    """A database with two trials that the instrument before wrote, and one of this one."""
    store = Store(f"sqlite:///{tmp_path}/old.db")
    with store.write() as sql:
        for one in json.loads(OLD.read_text()):
            row = {key: value for key, value in one["row"].items() if key != "token"}  # it was counted once
            sql.execute(sa.insert(trial).values(**row, facts=one["facts"], owner=""))
            given = [
                {"trial_id": one["row"]["id"], "point": -1, "key": key, "value": value}
                for key, value in one["metrics"].items()
            ]
            sql.execute(sa.insert(metric), given)
    yield store
    store.close()


def test_an_old_database_opens_and_its_joules_are_told_as_the_old_instruments(old: Store) -> None:
    trials = old.trials()
    results = old.results([one.id for one in trials])
    assert len(results) == 2 and all("energy_basis" not in one.facts for one in results.values())
    answer = {"trial_id": 1, "metrics": results[1].metrics, "facts": results[1].facts, "folder": "runs/old"}
    assert "the old instrument" in dict(panel({**answer, "status": "known"}, []))["energy"]
    assert comparable("train/energy_j", trials, results) is None


def test_old_joules_are_never_compared_with_new_ones_whatever_the_calibration(old: Store) -> None:
    calibrated()
    trials, results = old.trials(), old.results([1, 2])
    new = result().model_copy(update={"trial_id": 2, "facts": {**ESTIMATED, "threads": 1}})
    told = {1: retold(results[1], {}), 2: retold(new, {})}
    assert told[1].metrics["train/energy_j"] == results[1].metrics["train/energy_j"]
    for key in ("train/energy_j", "train/co2_kg", "train/seconds", "infer/latency_s_p50"):
        assert "the old instrument" in (comparable(key, trials, told) or "")
    assert comparable("test/accuracy", trials, told) is None

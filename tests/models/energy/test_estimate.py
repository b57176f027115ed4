import dataclasses
import json

import pytest

from models.energy.estimate import Estimate, calibrated, memory_watts
from models.energy.figures import Tally
from models.energy.meter import Meter
from models.energy.sources import open_counters
from power import energy_profile
from power.energy_profile import Profile
from power.processor import Processor
from refusal import Refusal


def profile(**changes):
    known = Profile(energy_profile.this_machine(), 31.0, {"1": 36.1}, 5.1, 0.08, "wall meter", "2026-11-29")
    return dataclasses.replace(known, **changes)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(energy_profile.PLACE, str(tmp_path / "profile.json"))
    return tmp_path / "profile.json"


def test_joules_are_cpu_seconds_times_the_watts_of_a_core_whatever_the_wall_says():
    counter = Estimate(Processor("AMD EPYC 7763 64-Core Processor", 256, 64))
    # 280 W over 64 cores.
    assert counter.core_w == 4.375
    assert counter.own(Tally(seconds=100.0, cpu_s=2.0)) == {"cpu": 8.75}
    assert counter.own(Tally(seconds=1.0, cpu_s=2.0)) == {"cpu": 8.75}
    assert counter.basis == "CPU seconds x 4.38 W a core (TDP 280 W / 64, CodeCarbon's table)"
    assert counter.standing_w == memory_watts() >= 10.0
    assert counter.hardware()["may_be_off_by"] == "a factor of 2"


def test_the_machines_calibration_wins(place):
    energy_profile.write(profile())
    (counter,), missing = open_counters("cpu")
    if counter.method == "estimated":
        assert not missing and counter.own(Tally(cpu_s=2.0)) == {"cpu": pytest.approx(10.2)}
        assert counter.basis == "CPU seconds x 5.1 W a core (calibrated 2026-11-29)"
        assert counter.standing_w == 31.0
        assert counter.hardware()["may_be_off_by"] == "8%"


def test_a_calibration_of_another_machine_is_not_used_and_said(place):
    energy_profile.write(profile(hardware="another CPU, 1 cores"))
    found, note = calibrated()
    assert found is None and "is of another CPU, 1 cores" in note
    meter = Meter()
    meter.start("cpu")
    with meter.window() as window:
        pass
    meter.stop()
    assert window.energy.hardware["calibration"] == note and "calibrated" not in window.energy.basis


def test_no_calibration_is_the_ordinary_case_and_a_broken_one_is_refused(place):
    assert calibrated() == (None, None)
    place.write_text(json.dumps({"core_w": 4}))
    with pytest.raises(Refusal, match="no energy profile"):
        Meter().start("cpu")


def test_a_reading_looks_at_clocks_alone_and_never_falls():
    class Look:
        looks = 0

        def read(self, children):
            Look.looks += 1
            return {}

    meter = Meter(watch=Look)
    meter.start("cpu")
    last, looks = 0.0, Look.looks
    for _ in range(1000):
        now = meter.read().joules
        assert now >= last
        last = now
    if all(counter.method == "estimated" for counter in meter._counters):
        assert Look.looks == looks, "each look takes 20 us a thread, and a step may take less"
    meter.read(exact=True)
    assert Look.looks == looks + 1
    meter.stop()

import time

import pytest
from codecarbon import OfflineEmissionsTracker

from models.energy import codecarbon_total
from models.energy.meter import Meter
from power.processor import processor


def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_fact_is_what_a_tracker_in_process_mode_counts():
    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", tracking_mode="process", measure_power_secs=365 * 86400.0,
        log_level="critical", save_to_file=False, allow_multiple_runs=True,
    )  # fmt: skip
    meter = Meter()
    meter.start("cpu")
    with meter.window() as around:
        tracker.start()
        with meter.window() as inside:
            work(0.3)
            time.sleep(0.7)
        tracker.stop()
    meter.stop()
    if inside.energy.label == "estimated":
        told = tracker.final_emissions_data
        counted, here = told.energy_consumed * 3.6e6, processor()
        # Its duration lasts to the end of its stop, in which it counts.
        most = codecarbon_total.joules(told.duration, around.energy.cpu_seconds, here)
        # It sees CPU time in ticks of 10 ms, of which one may be missing or too many.
        tick = 0.01 * codecarbon_total.watts_per_cpu_second(here)
        assert inside.energy.codecarbon_j - tick <= counted <= most + tick
        # The memory's part lasts as long as the window, whatever runs.
        memory = codecarbon_total.ram_watts(codecarbon_total.resident_gb()) * inside.energy.seconds
        worked = inside.energy.cpu_seconds * codecarbon_total.watts_per_cpu_second(here)
        assert inside.energy.codecarbon_j == pytest.approx(memory + worked)


def test_it_is_the_sum_of_what_its_tables_say():
    class Unknown:
        model, cpus = "no such processor", 2

    assert codecarbon_total.joules(10.0, 2.0, Unknown()) == pytest.approx(10.0 * 10.0 + 2.0 * 4.0)

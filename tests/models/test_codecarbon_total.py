import time

import pytest
from codecarbon import OfflineEmissionsTracker

from models import codecarbon_total
from models.energy import Meter


def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.filterwarnings("ignore")
def test_the_fact_is_what_a_tracker_in_process_mode_counts():
    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", tracking_mode="process", measure_power_secs=365 * 86400.0,
        log_level="critical", save_to_file=False, allow_multiple_runs=True,
    )  # fmt: skip
    meter = Meter()
    meter.start("cpu")
    tracker.start()
    with meter.window() as window:
        work(0.3)
        time.sleep(0.7)
    tracker.stop()
    meter.stop()
    if window.energy.label == "estimated":
        counted = tracker.final_emissions_data.energy_consumed * 3.6e6
        assert window.energy.codecarbon_j == pytest.approx(counted, rel=0.1)
        # Nine tenths of it are the memory's, for as long as the window lasts.
        assert window.energy.codecarbon_j > 3 * window.energy.joules


def test_it_is_the_sum_of_what_its_tables_say():
    class Unknown:
        model, cpus = "no such processor", 2

    assert codecarbon_total.joules(10.0, 2.0, Unknown()) == pytest.approx(10.0 * 10.0 + 2.0 * 4.0)

import multiprocessing
import subprocess
import sys
import time

import codecarbon
import pytest

from grid import grid
from models.counter import Unreadable
from models.energy import Meter
from models.estimate import Estimate, preload


def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def open_estimate(**settings):
    return Estimate(grid(g_per_kwh=100.0), **settings)


def test_readings_in_between_agree_with_the_tracker():
    counter = open_estimate()
    work(0.2)
    first = counter.read(exact=True)
    work(0.2)
    between, exact = counter.read(exact=False), counter.read(exact=True)
    counter.stop()
    assert 0 < first["cpu"] < between["cpu"] and 0 < first["ram"] < between["ram"]
    # The kernel gives CPU time to CodeCarbon in ticks of 10 ms.
    assert between["cpu"] == pytest.approx(exact["cpu"], rel=0.12)
    assert between["ram"] == pytest.approx(exact["ram"], rel=0.05)


def test_the_figures_are_codecarbons_own():
    counter = open_estimate()
    work(0.3)
    joules, own = counter.read(exact=True), counter._sink.total
    counter.stop()
    assert joules["cpu"] == pytest.approx(own.cpu_energy * 3.6e6, rel=0.02)
    assert joules["ram"] == pytest.approx(own.ram_energy * 3.6e6, rel=0.02)
    assert grid(g_per_kwh=100.0).co2_kg(own.energy_consumed * 3.6e6) == pytest.approx(own.emissions)


def test_a_cheap_reading_is_cheap_and_never_falls():
    counter = open_estimate()
    work(0.1)
    counter.read(exact=True)
    last, started = 0.0, time.process_time()
    for _ in range(1000):
        now = sum(counter.read(exact=False).values())
        assert now >= last
        last = now
    counter.stop()
    assert (time.process_time() - started) / 1000 < 1e-4


def test_a_sleeping_process_is_not_charged_for_its_neighbours_work():
    # An orphan, since what children do is ours; it ends by itself.
    busy = [sys.executable, "-c", "import time\nwhile time.process_time() < 3: pass"]
    start = f"import subprocess; subprocess.Popen({busy}, stdout=subprocess.DEVNULL)"
    subprocess.run([sys.executable, "-c", start], check=True)
    counter = open_estimate()
    time.sleep(0.3)
    alone = counter.read(exact=True)
    counter.stop()
    assert alone["cpu"] < 0.1 * alone["ram"]


def test_memory_of_concurrent_jobs_adds_up_to_the_machines_at_most():
    counter = open_estimate(concurrent=1000)
    time.sleep(0.2)
    assert 0 < counter.read(exact=True)["ram"] < 0.2 * 1.0
    counter.stop()


def test_only_the_asked_components_are_given():
    counter = open_estimate(components=("ram",))
    time.sleep(0.1)
    assert set(counter.read(exact=True)) == {"ram"}
    counter.stop()


@pytest.mark.parametrize("breaks", ["__init__", "start", "flush"])
def test_a_codecarbon_that_fails_gives_no_figure_and_a_note(monkeypatch, breaks):
    def fail(*arguments, **settings):
        raise OSError("no such sensor")

    class Broken(codecarbon.OfflineEmissionsTracker):
        pass

    monkeypatch.setattr(Broken, breaks, fail if breaks != "flush" else lambda self: None)
    monkeypatch.setattr(codecarbon, "OfflineEmissionsTracker", Broken)
    with pytest.raises(Unreadable, match="CodeCarbon"):
        open_estimate()
    meter = Meter(grid_g_per_kwh=1.0)
    meter.start("cpu")
    with meter.window() as window:
        pass
    meter.stop()
    assert window.energy.joules is None and "CodeCarbon" in window.energy.note


def test_configuration_of_others_changes_nothing(monkeypatch, tmp_path):
    (tmp_path / ".codecarbon.config").write_text(
        "[codecarbon]\nsave_to_file=true\nforce_ram_power=500\npue=3\ntracking_mode=machine\n"
        "emissions_endpoint=http://127.0.0.1:9\nco2_signal_api_token=x\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODECARBON_SAVE_TO_API", "true")
    monkeypatch.chdir(tmp_path)
    counter = open_estimate()
    time.sleep(0.1)
    ram = counter.read(exact=True)["ram"]
    counter.stop()
    assert ram < 0.1 * 100
    assert [path.name for path in tmp_path.iterdir()] == [".codecarbon.config"]


def in_fork(results):
    started = time.perf_counter()
    meter = Meter()
    meter.start("cpu")
    opened = time.perf_counter() - started
    with meter.window() as window:
        work(0.1)
    meter.stop()
    results.put((opened, window.energy.valid, window.energy.joules, window.energy.note))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_daemon_forked_after_the_preload_measures_at_once():
    preload()
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=in_fork, args=(results,), daemon=True)
    child.start()
    opened, valid, joules, note = results.get(timeout=30)
    child.join()
    assert valid and joules > 0, note
    assert opened < 0.5  # 15 ms on an idle machine, seconds without the preload

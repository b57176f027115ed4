import json
import math
import threading
import time

import pytest
import torch

from made_up_clock import HELD_UP, metered
from models.energy.counter import Unreadable
from models.energy.meter import Meter
from models.energy.sources import open_counters
from refusal import Refusal


class Fake:
    """A counter that reads what it is told to, one entry for each reading, the last one for ever."""

    def __init__(self, component="cpu", method="rapl", reads=(0.0, 5.0), tick_s=0.0, shared=False, doubts=()):
        self.components, self.method, self.tick_s, self.shared = (component,), method, tick_s, shared
        self.basis, self.standing_w = method, 0.0
        self.reads, self.said, self.stopped, self.marks = list(reads), list(doubts), 0, 0

    def read(self, exact):
        value = self.reads.pop(0) if len(self.reads) > 1 else self.reads[0]
        if isinstance(value, str):
            raise Unreadable(value)
        return {self.components[0]: value}

    def own(self, used):
        return {self.components[0]: used.counted[self.components[0]]}

    def mark(self):
        self.marks += 1

    def doubts(self, seconds):
        return self.said

    def hardware(self):
        return {f"{self.components[0]}_model": "fake"}

    def stop(self):
        self.stopped += 1


def meter(*counters, missing=None, **settings):
    return Meter(counters=lambda device: (list(counters), dict(missing or {})), **settings)


def measured(*counters, device="cpu", **settings):
    own = meter(*counters, **settings)
    own.start(device)
    with own.window() as window:
        pass
    own.stop()
    return window.energy


def test_components_add_up_and_each_says_its_method():
    energy = measured(
        Fake("gpu", "nvml", (1.0, 101.0)),
        Fake("cpu", "estimated", (0.0, 20.0)),
        Fake("ram", "estimated", (0.0, 5.0)),
        grid_g_per_kwh=360.0,
    )
    assert energy.joules == 125.0
    assert energy.components == {"gpu": 100.0, "cpu": 20.0, "ram": 5.0}
    assert energy.method == {"gpu": "nvml", "cpu": "estimated", "ram": "estimated"}
    assert energy.label == "nvml+estimated"
    assert energy.co2_kg == pytest.approx(125 / 3.6e6 * 0.360)
    assert energy.valid and energy.note is None
    assert energy.hardware["gpu_model"] == "fake"


def test_the_standing_draw_is_shared_by_jobs_and_in_the_carbon_alone():
    counter = Fake(reads=(0.0, 5.0))
    counter.standing_w = 12.0
    energy = measured(counter, grid_g_per_kwh=3.6e6, concurrent=3)
    assert energy.joules == 5.0
    assert energy.standing_j == pytest.approx(4.0 * energy.seconds)
    assert energy.co2_kg == pytest.approx((5.0 + energy.standing_j) / 1000)
    assert energy.basis == "rapl"


def test_what_is_aside_is_in_no_window_but_in_a_tally_of_its_own(clock, tmp_path):
    own = metered(tmp_path)
    own.start("cpu")
    with own.window() as outer:
        clock.work(3)
        with own.window() as inner:
            own.pause()
            clock.work(5)
            own.resume()
            with own.aside():
                clock.work(2)
        own.pause()
        with own.aside():
            clock.work(4)
        own.resume()
    own.stop()
    # Nearly: the CPU time of processes that tests before this one have left is a part of every sum.
    assert outer.tally.cpu_s == pytest.approx(3) == outer.tally.watched["cpu"] - 5
    assert inner.tally.cpu_s == pytest.approx(0, abs=1e-9)
    assert inner.aside_tally.cpu_s == pytest.approx(5 + 2)
    assert outer.aside_tally.cpu_s == pytest.approx(5 + 2 + 4)
    # Whether others disturb is looked at where something is aside, not where the meter is paused.
    assert outer.aside_tally.watched["cpu"] == pytest.approx(2 + 4)
    assert outer.aside_tally.seconds == pytest.approx(HELD_UP * outer.aside_tally.cpu_s)


def test_facts_are_plain_json():
    facts = measured(Fake()).facts()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["label"] == "rapl"


@pytest.mark.parametrize(
    ("reads", "note"),
    [
        ((0.0, math.nan), "cpu counted nan J"),
        ((5.0, 1.0), "cpu counted -4.0 J"),
        ((1.0, 1.0), "nothing was counted"),
        ((1.0, "the driver went away"), "no figure for cpu: the driver went away"),
        (("it never came",), "no figure for cpu: it never came"),
    ],
)
def test_what_could_not_be_counted_is_none_and_never_0(reads, note):
    energy = measured(Fake(reads=reads))
    assert energy.joules is None and energy.co2_kg is None
    assert not energy.valid
    assert note in energy.note
    json.dumps(energy.facts(), allow_nan=False)


def test_a_device_without_a_counter_leaves_the_sum_open():
    energy = measured(Fake(), missing={"gpu": "no energy counter is known for mps"})
    assert energy.joules is None and not energy.valid
    assert energy.components == {"cpu": 5.0}
    assert energy.note == "no figure for gpu: no energy counter is known for mps"


def test_a_window_below_the_counters_tick_is_not_valid():
    energy = measured(Fake(tick_s=0.1))
    assert energy.joules == 5.0 and not energy.valid
    assert "shorter than the 0.1 s tick of rapl" in energy.note


def test_shared_counters_are_not_valid_beside_other_jobs():
    beside = measured(Fake(shared=True), Fake("ram", "estimated"), concurrent=3)
    assert not beside.valid and "rapl also counted 2 other job(s)" in beside.note
    assert measured(Fake(shared=True)).valid
    assert measured(Fake("ram", "estimated"), concurrent=3).valid
    assert beside.concurrent == 3


def test_doubts_of_a_counter_end_in_the_note():
    energy = measured(Fake(doubts=["the GPU was idle in the window"]))
    assert energy.joules == 5.0 and not energy.valid and energy.note == "the GPU was idle in the window"


def test_readings_are_cumulative_and_windows_are_differences():
    own = meter(Fake(reads=(1.0, 3.0, 7.0, 8.0)))
    own.start("cpu")
    assert own.read().joules == 1.0
    with own.window() as window:
        pass
    assert window.energy.joules == 4.0
    assert own.read().joules == 8.0
    own.stop()


def test_a_second_start_begins_anew_and_stop_releases():
    counter = Fake(reads=(1.0,))
    own = meter(counter)
    with pytest.raises(RuntimeError, match="not started"):
        own.read()
    own.start("cpu")
    own.start("cpu")
    assert counter.stopped == 1
    own.stop()
    assert counter.stopped == 2 and not own.started
    with pytest.raises(RuntimeError, match="not started"):
        own.read()


def test_an_estimate_needs_no_thread():
    before = set(threading.enumerate())
    own = Meter()
    own.start("cpu")
    if own.read().components and all(one.method == "estimated" for one in own._counters):
        assert not {one.name for one in set(threading.enumerate()) - before} & {"meter"}
    own.stop()


def test_counters_are_read_in_between_and_the_thread_ends():
    counter = Fake(reads=list(range(100_000)))
    own, others = meter(counter, sampling_s=0.005), set(threading.enumerate())
    began, end = time.perf_counter(), time.perf_counter() + 60
    own.start("cpu")
    while len(counter.reads) > 100_000 - 5 and time.perf_counter() < end:
        time.sleep(0.005)
    own.stop()
    seconds, read = time.perf_counter() - began, 100_000 - len(counter.reads)
    # One at the start is the zero; the others are at least 5 ms apart.
    assert 5 <= read <= 2 + seconds / 0.005
    for polling in [one for one in set(threading.enumerate()) - others if one.name == "meter"]:
        polling.join(60)
    left = len(counter.reads)
    time.sleep(0.05)
    assert len(counter.reads) == left


@pytest.mark.parametrize(
    "settings",
    [{"sampling_s": 0}, {"concurrent": 0}, {"min_window_s": -1}, {"country": "XYZ"}, {"grid_g_per_kwh": -1}],
)
def test_bad_settings_are_refused_with_a_sentence(settings):
    with pytest.raises(Refusal, match="meter"):
        Meter(**settings)


def test_the_window_fits_the_slowest_counter():
    own = meter(Fake(), Fake("gpu", "nvml"))
    own.start("cpu")
    assert own.window_s == 2.0
    own.stop()
    own = meter(Fake(), min_window_s=7.0)
    assert own.window_s == 7.0


def test_on_this_machine_a_figure_comes_out_with_its_method():
    own = Meter(country="FRA")
    own.start("cpu")
    with own.window() as window:
        end = time.process_time() + 0.25
        while time.process_time() < end:
            torch.ones(100, 100) @ torch.ones(100, 100)
    own.stop()
    energy = window.energy
    assert energy.valid, energy.note
    assert energy.joules == pytest.approx(sum(energy.components.values()))
    assert "cpu" in energy.method and energy.basis
    assert energy.co2_kg == pytest.approx(
        (energy.joules + energy.standing_j) / 3.6e6 * energy.grid_g_per_kwh / 1000
    )
    assert "France" in energy.grid_source
    # Watts of a busy core, or of a machine that is busy in all its cores.
    assert 0.1 < energy.joules / energy.cpu_seconds < 2000


def test_an_unknown_accelerator_is_missing_and_not_guessed():
    counters, missing = open_counters("mps")
    assert missing == {"gpu": "no energy counter is known for mps"}
    for counter in counters:
        counter.stop()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_busy_gpu_is_measured_by_its_counter_and_an_idle_one_is_not_valid():
    own = Meter()
    own.start("cuda:0")
    a = torch.randn(4096, 4096, device="cuda")
    with own.window() as busy:
        end = time.perf_counter() + 2.5
        while time.perf_counter() < end:
            a @ a
            torch.cuda.synchronize()
    time.sleep(2)
    with own.window() as idle:
        time.sleep(2.5)
    own.stop()
    assert busy.energy.method["gpu"] == "nvml" and busy.energy.valid, busy.energy.note
    assert busy.energy.components["gpu"] > idle.energy.components["gpu"]
    assert not idle.energy.valid and "idle" in idle.energy.note

"""task=calibrate: the watts of a made-up machine come out, and what makes no sense writes nothing."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from own_children import children

from cases import each
from command_lab import Room
from power import energy_profile, powercap
from refusal import Refusal
from research.run import machine
from research.stats.calibration import Sample, fitted
from research.tasks import calibrate

IDLE_W, DRAM_W, CORE_W, RANGE_UJ = 20.0, 2.5, 6.5, 60_000_000
"""a counter so small that it starts again every few seconds"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "profile.json"
    monkeypatch.setenv(energy_profile.PLACE, str(path))
    # Whatever this process may run on: readings of two cores make sense.
    monkeypatch.setattr(machine, "cores", lambda: 2)
    return path


@pytest.fixture
def loads() -> Callable[[], int]:
    """How many processes the test keeps busy: children that were not there before it."""
    others = children()
    return lambda: len(children() - others)


def made_up(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    loads: Callable[[], int],
    others: float = 0.0,
) -> None:
    """A machine whose package draws 20 W, and 6.5 W for each process that this test keeps busy.

    Its counters move by wall time, and /proc/stat counts the work; the loads are real.
    """
    names = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram"}
    names |= {"intel-rapl:1": "psys"}
    for domain, name in names.items():
        (folder / domain).mkdir(parents=True)
        (folder / domain / "name").write_text(f"{name}\n")
        (folder / domain / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (folder / "proc").mkdir()
    used, worked = dict.fromkeys(names, 0.0), [0.0]
    watts = {"intel-rapl:0": IDLE_W, "intel-rapl:0:0": 1.0, "intel-rapl:0:1": DRAM_W, "intel-rapl:1": 90.0}

    last = [time.perf_counter()]

    def tick() -> None:
        now, cores = time.perf_counter(), loads()
        seconds, last[0] = now - last[0], now
        worked[0] += (cores + others) * seconds
        for domain in names:
            own = watts[domain] + (CORE_W * (cores + others) if domain == "intel-rapl:0" else 0.0)
            used[domain] += own * seconds
            (folder / domain / "energy_uj").write_text(str(int(used[domain] * 1e6) % RANGE_UJ))
        ticks = int(worked[0] * os.sysconf("SC_CLK_TCK"))
        text = f"cpu  {ticks} 0 0 999 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n"
        (folder / "proc" / "stat").write_text(text)

    def moved(read: Callable[[Path], float]) -> Callable[[Path], float]:
        """A kernel's counters have moved whenever they are read."""

        def then(path: Path) -> float:
            tick()
            return read(path)

        return then

    tick()
    monkeypatch.setattr(powercap, "_number", moved(powercap._number))
    monkeypatch.setattr(machine, "worked", moved(machine.worked))
    monkeypatch.setattr(calibrate, "POWERCAP", folder)
    monkeypatch.setattr(calibrate, "PROC", folder / "proc")


@pytest.mark.slow
def test_the_counter_tells_watts_at_rest_and_of_a_busy_core(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Path, loads: Callable[[], int]
) -> None:
    monkeypatch.setattr(calibrate, "_READ_S", 0.1)  # such a counter is read in time
    made_up(tmp_path / "powercap", monkeypatch, loads)
    found = room.ask("calibrate", seconds=6)
    told = found.profile
    assert told["idle_w"] == pytest.approx(IDLE_W + DRAM_W, rel=0.1), "package and memory, psys and cores not"
    assert told["core_w"] == pytest.approx(CORE_W, rel=0.25) and 0 < told["error"] < 0.5
    assert set(told["busy_w"]) == {"1", "2"} and told["source"] == "rapl"
    assert told["hardware"] == energy_profile.this_machine()
    assert len(found.samples) == 9 and json.loads(place.read_text()) == told
    assert energy_profile.read() == energy_profile.Profile(**told)
    assert f"{told['error']:.0%}" in found.text() and str(place) in found.text()
    assert loads() == 0


def test_a_machine_that_is_not_at_rest_is_no_machine_to_calibrate(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Path, loads: Callable[[], int]
) -> None:
    made_up(tmp_path / "powercap", monkeypatch, loads, others=1.0)
    with pytest.raises(Refusal, match="not at rest"):
        room.ask("calibrate", seconds=1.5)
    assert not place.exists()


def test_readings_of_a_wall_meter_make_the_profile(
    room: Room, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 2)
    found = room.ask("calibrate", readings=["idle:21.5", "1:28.0", "2:33.1"])
    # By hand: the least-squares line through (0, 21.5), (1, 28), (2, 33.1) rises by 5.8 W.
    assert found.profile["core_w"] == pytest.approx(5.8) and found.profile["idle_w"] == 21.5
    assert found.profile["busy_w"] == {"1": 28.0, "2": 33.1} and found.profile["source"] == "wall meter"
    assert found.profile["error"] == pytest.approx((6.5 - 5.8) / 5.8, abs=1e-4)
    assert energy_profile.read().core_w == pytest.approx(5.8) and place.exists()
    assert "read once" in found.text() and json.loads(found.document())["profile"]["idle_w"] == 21.5


def test_repeated_readings_tell_their_spread(room: Room) -> None:
    found = room.ask("calibrate", readings=["idle:20", "1:26", "idle:20", "1:27", "idle:20", "1:28"])
    # Slopes of three rounds: 6, 7, 8; t of 0.975 with two degrees of freedom is 4.302653.
    assert found.profile["core_w"] == pytest.approx(7.0)
    assert found.profile["error"] == pytest.approx(4.302653 / 3**0.5 / 7, abs=1e-4)
    assert found.why == "spread over the repeats" and not found.notes


@each(
    ("keys", "said"),
    [
        ({"readings": ["idle:20"]}, "at rest and at one load"),
        ({"readings": ["1:20", "2:25"]}, "at rest and at one load"),
        ({"readings": ["idle:20", "1:19"]}, "drew no more power"),
        ({"readings": ["idle:20", "one:25"]}, "'one:25' is no reading"),
        ({"readings": ["idle:20", "1:-3"]}, "is no reading"),
        ({"readings": ["idle:20", "4096:25"]}, "this machine has"),
        ({"readings": ["idle:20", "1:25"], "load": 1}, "not both"),
        ({"readings": ["idle:20", "1:25"], "seconds": 5}, "seconds is how long to measure"),
        ({"load": 4096}, "load=4096"),
        ({"load": -1}, "load=-1"),
        ({"load": 1, "seconds": 0}, "seconds=0"),
        ({"load": 1, "seconds": 1e9}, "seconds="),
        ({"load": "many"}, "load=many"),
    ],
)
def test_what_makes_no_sense_is_refused_and_writes_nothing(
    empty: Room, place: Path, monkeypatch: pytest.MonkeyPatch, keys: dict, said: str
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 2)
    with pytest.raises(Refusal, match=said):
        empty.ask("calibrate", **keys)
    assert not place.exists()


@pytest.mark.slow
def test_a_load_is_held_for_whoever_reads_a_meter(empty: Room, place: Path, loads: Callable[[], int]) -> None:
    seen: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            seen.append(loads())

    looking = threading.Thread(target=look)
    looking.start()
    found = empty.ask("calibrate", load=1, seconds=1.2)
    over.set()
    looking.join()
    assert max(seen) == 1 and loads() == 0
    assert "readings=[idle:WATTS,1:WATTS,...]" in found.text() and not place.exists()


@pytest.mark.slow
def test_without_a_counter_it_says_what_is_assumed_and_how_wrong_that_may_be(
    empty: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setattr(calibrate, "POWERCAP", tmp_path / "none")
    text = empty.ask("calibrate").text()
    assert "no energy counter" in text and "factor of two" in text and "load=1" in text
    assert "Nothing was written" in text and not place.exists()


@pytest.mark.slow
def test_busy_cores_work_and_end_with_the_body() -> None:
    with machine.busy(1, 30.0) as (pid,):
        begun = psutil.Process(pid).cpu_times().user
        time.sleep(0.5)
        assert psutil.Process(pid).cpu_times().user > begun
    assert not psutil.pid_exists(pid)


def test_the_line_is_of_the_cores_that_were_busy_indeed() -> None:
    told = fitted([Sample(0, 20.0, 0.1, 0), Sample(2, 29.0, 1.9, 0)])
    assert told.core_w == pytest.approx(5.0) and told.idle_w == 20.0


def test_mirrored_counters_are_counted_once(tmp_path: Path) -> None:
    for domain, joules in (("0", 5_000_000), ("1", 5_000_100), ("2", 90_000_000)):
        folder = tmp_path / f"intel-rapl:{domain}"
        folder.mkdir()
        (folder / "name").write_text(f"package-{domain}\n")
        (folder / "max_energy_range_uj").write_text("100000000\n")
        (folder / "energy_uj").write_text(f"{joules}\n")
    assert [one.folder.name for one in powercap.domains(tmp_path, "package")] == [
        "intel-rapl:0",
        "intel-rapl:2",
    ]

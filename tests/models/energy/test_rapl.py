from pathlib import Path

import pytest

from models.energy.counter import Unreadable
from models.energy.disturbance import Watch
from models.energy.estimate import memory_watts
from models.energy.figures import Tally
from models.energy.meter import Meter
from models.energy.rapl import Rapl
from power.energy_profile import Profile

RANGE = 262_143_328_850


def domain(root, folder, name, energy_uj):
    path = root / folder
    path.mkdir(parents=True, exist_ok=True)
    for file, value in {"name": name, "max_energy_range_uj": RANGE, "energy_uj": energy_uj}.items():
        (path / file).write_text(f"{value}\n")
    return path


def test_packages_are_added_and_memory_is_its_own_component(tmp_path):
    first = domain(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    second = domain(tmp_path, "intel-rapl:1", "package-1", 9_000_000)
    memory = domain(tmp_path, "intel-rapl:0:1", "dram", 500_000)
    domain(tmp_path, "intel-rapl:0:0", "core", 700_000)
    domain(tmp_path, "intel-rapl:2", "psys", 99_000_000)
    counter = Rapl(root=tmp_path)
    for path, value in [(first, 3_000_000), (second, 9_500_000), (memory, 600_000)]:
        (path / "energy_uj").write_text(str(value))
    assert counter.read() == pytest.approx({"cpu": 2.5, "ram": 0.1})
    assert counter.components == ("cpu", "ram")
    assert counter.hardware()["cpu_packages"] == 2


def test_a_counter_that_wraps_goes_on(tmp_path):
    path = domain(tmp_path, "intel-rapl:0", "package-0", RANGE - 1_000_000)
    counter = Rapl(root=tmp_path)
    (path / "energy_uj").write_text("2000000")
    assert counter.read() == {"cpu": 3.0}
    (path / "energy_uj").write_text("4000000")
    assert counter.read() == {"cpu": 5.0}
    assert counter.components == ("cpu",)


def test_dies_that_mirror_one_counter_are_counted_once(tmp_path):
    paths = [domain(tmp_path, f"intel-rapl:{i}", f"package-0-die-{i}", 5_000_000 + i) for i in range(4)]
    counter = Rapl(root=tmp_path)
    for path in paths:
        (path / "energy_uj").write_text("6000000")
    assert counter.read()["cpu"] == pytest.approx(1.0)


def test_no_rapl_is_said(tmp_path):
    with pytest.raises(Unreadable, match="no RAPL package"):
        Rapl(root=tmp_path)


def test_no_right_to_read_is_said(tmp_path, monkeypatch):
    domain(tmp_path, "intel-rapl:0", "package-0", 1)
    real = Path.read_text

    def read_text(self, *arguments):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments)

    monkeypatch.setattr(Path, "read_text", read_text)
    with pytest.raises(Unreadable, match="Permission denied"):
        Rapl(root=tmp_path)


def test_a_counter_that_vanishes_is_said(tmp_path):
    path = domain(tmp_path, "intel-rapl:0", "package-0", 1)
    counter = Rapl(root=tmp_path)
    (path / "energy_uj").unlink()
    with pytest.raises(Unreadable):
        counter.read()


def profile(source="rapl"):
    return Profile("some machine", 10.0, {"1": 15.0}, 5.0, 0.05, source, "2026-11-29")


def used(cpu_s, busy, seconds=4.0, **counted):
    return Tally(seconds, cpu_s, counted=counted, watched={"cpu": cpu_s, "busy": busy, "seconds": seconds})


def test_idle_draw_is_taken_off_and_the_rest_shared_by_cpu_time(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 0)
    domain(tmp_path, "intel-rapl:0:1", "dram", 0)
    counter = Rapl(profile(), root=tmp_path)
    # 100 J in 4 s at 10 W idle leave 60 J, of which 1.5 of 6 CPU seconds are a quarter: 15 J, 4 to 1 as
    # counted.
    own = counter.own(used(1.5, 6.0, cpu=80.0, ram=20.0))
    assert own == pytest.approx({"cpu": 12.0, "ram": 3.0})
    assert counter.basis == "RAPL less 10 W idle, by share of CPU time"
    assert counter.standing_w == 10.0


def test_without_a_profile_of_the_counters_the_idle_draw_is_in_and_said(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 0)
    for counter in (Rapl(root=tmp_path), Rapl(profile("wall meter"), root=tmp_path)):
        assert counter.own(used(1.5, 6.0, cpu=100.0)) == pytest.approx({"cpu": 25.0})
        assert counter.basis == "RAPL idle draw included, by share of CPU time"
        assert counter.standing_w == memory_watts()


@pytest.mark.parametrize(("cpu_s", "busy", "joules"), [(2.0, 1.9, 60.0), (0.5, 0.0, 60.0), (0.0, 3.0, 0.0)])
def test_a_process_has_at_most_all_of_the_machines_work(tmp_path, cpu_s, busy, joules):
    domain(tmp_path, "intel-rapl:0", "package-0", 0)
    assert Rapl(profile(), root=tmp_path).own(used(cpu_s, busy, cpu=100.0)) == pytest.approx({"cpu": joules})


def test_less_than_the_idle_draw_is_nothing(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 0)
    assert Rapl(profile(), root=tmp_path).own(used(1.0, 2.0, cpu=30.0)) == {"cpu": 0.0}


def stat(proc, jiffies):
    """`jiffies` of user, nice, system, idle, iowait, irq, softirq and steal."""
    proc.mkdir(exist_ok=True)
    (proc / "stat").write_text(f"cpu  {' '.join(map(str, jiffies))} 0 0\ncpu0 1 2 3\n")


def test_neighbours_on_the_machine_change_no_joules_of_a_window(tmp_path, clock):
    """Two windows of the same work, the second beside as much again that the counter counts too."""
    path, proc = domain(tmp_path / "rapl", "intel-rapl:0", "package-0", 0), tmp_path / "proc"
    stat(proc, [0] * 8)

    def measured(energy_uj, jiffies):
        with meter.window() as window:
            clock.work(0.1)
            (path / "energy_uj").write_text(str(energy_uj))
            stat(proc, jiffies)
        return window

    meter = Meter(
        counters=lambda device: ([Rapl(root=tmp_path / "rapl")], {}), watch=lambda: Watch(proc), concurrent=2
    )
    meter.start("cpu")
    # 10 jiffies of 10 ms are this process's 0.1 s; idle, waiting for disks and stolen time are no work.
    alone = measured(3_000_000, [4, 1, 3, 50, 7, 1, 1, 0])
    beside = measured(9_000_000, [14, 1, 13, 60, 9, 1, 1, 0])
    meter.stop()
    assert alone.energy.joules == pytest.approx(3.0)
    assert beside.energy.joules == pytest.approx(3.0)
    assert beside.energy.valid and beside.energy.label == "rapl"
    assert beside.energy.standing_j == pytest.approx(memory_watts() * 0.3 / 2)

from pathlib import Path

import pytest

from models.counter import Unreadable
from models.rapl import Rapl

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
    counter = Rapl(tmp_path)
    for path, value in [(first, 3_000_000), (second, 9_500_000), (memory, 600_000)]:
        (path / "energy_uj").write_text(str(value))
    assert counter.read() == pytest.approx({"cpu": 2.5, "ram": 0.1})
    assert counter.components == ("cpu", "ram")
    assert counter.hardware() == {"cpu_packages": 2}


def test_a_counter_that_wraps_goes_on(tmp_path):
    path = domain(tmp_path, "intel-rapl:0", "package-0", RANGE - 1_000_000)
    counter = Rapl(tmp_path)
    (path / "energy_uj").write_text("2000000")
    assert counter.read() == {"cpu": 3.0}
    (path / "energy_uj").write_text("4000000")
    assert counter.read() == {"cpu": 5.0}
    assert counter.components == ("cpu",)


def test_dies_that_mirror_one_counter_are_counted_once(tmp_path):
    paths = [domain(tmp_path, f"intel-rapl:{i}", f"package-0-die-{i}", 5_000_000 + i) for i in range(4)]
    counter = Rapl(tmp_path)
    for path in paths:
        (path / "energy_uj").write_text("6000000")
    assert counter.read()["cpu"] == pytest.approx(1.0)


def test_no_rapl_is_said(tmp_path):
    with pytest.raises(Unreadable, match="no RAPL package"):
        Rapl(tmp_path)


def test_no_right_to_read_is_said(tmp_path, monkeypatch):
    domain(tmp_path, "intel-rapl:0", "package-0", 1)
    real = Path.read_text

    def read_text(self, *arguments):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments)

    monkeypatch.setattr(Path, "read_text", read_text)
    with pytest.raises(Unreadable, match="Permission denied"):
        Rapl(tmp_path)


def test_a_counter_that_vanishes_is_said(tmp_path):
    path = domain(tmp_path, "intel-rapl:0", "package-0", 1)
    counter = Rapl(tmp_path)
    (path / "energy_uj").unlink()
    with pytest.raises(Unreadable):
        counter.read()

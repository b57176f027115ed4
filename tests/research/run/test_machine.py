"""How many trials a machine holds: cores, quota, memory, GPUs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from research.run import machine


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Stand in for the files that describe the machine."""

    def say(contents: dict[str, str], cores: int = 64) -> None:
        monkeypatch.setattr(machine, "_read", lambda path: contents.get(str(path), ""))
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))

    return say


def test_cores_keep_to_affinity_and_quota(files: Callable[..., None]) -> None:
    files({}, cores=6)
    assert machine.cores() == 6
    files({"/proc/self/cgroup": "0::/job\n", "/sys/fs/cgroup/job/cpu.max": "250000 100000"})
    assert machine.cores() == 2
    files({"/sys/fs/cgroup/cpu.max": "max 100000"})
    assert machine.cores() == 64
    v1 = {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}
    files(v1)
    assert machine.cores() == 1
    files(v1 | {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1"})
    assert machine.cores() == 64


def test_memory_is_what_the_group_leaves(files: Callable[..., None]) -> None:
    free = {"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:  8388608 kB\n"}
    files(free)
    assert machine.memory_bytes() == 8 * 2**30
    files(free | {"/sys/fs/cgroup/memory.max": str(3 * 2**30), "/sys/fs/cgroup/memory.current": str(2**30)})
    assert machine.memory_bytes() == 2 * 2**30
    files(free | {"/sys/fs/cgroup/memory.max": "max", "/sys/fs/cgroup/memory.current": "1"})
    assert machine.memory_bytes() == 8 * 2**30


def test_jobs_on_the_cpu_need_a_core_and_a_gigabyte(files: Callable[..., None]) -> None:
    files({"/proc/meminfo": f"MemAvailable: {3 * 2**20} kB\n"}, cores=8)
    config = {"trainer": {"accelerator": "cpu"}}
    assert machine.places([config], None) == [{}] * 3
    assert machine.places([config], 5) == [{}] * 5
    assert machine.threads(3) == 2 and machine.threads(100) == 1


@pytest.mark.parametrize(
    ("devices", "jobs", "seen"),
    [
        (1, None, ["0", "1", "2", "3"]),
        (2, None, ["0,1", "2,3"]),
        (-1, None, ["0,1,2,3"]),
        ("auto", None, ["0,1,2,3"]),
        ([0, 1], None, ["0,1", "2,3"]),
        (1, 6, ["0", "1", "2", "3", "0", "1"]),
        (9, None, ["0,1,2,3"]),
    ],
)
def test_each_trial_sees_its_own_gpus(
    monkeypatch: pytest.MonkeyPatch, devices: object, jobs: int | None, seen: list[str]
) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: ["0", "1", "2", "3"])
    wanting = {"trainer": {"accelerator": "gpu", "devices": devices}}
    places = machine.places([{"trainer": {"accelerator": "cpu"}}, wanting], jobs)
    assert [place["CUDA_VISIBLE_DEVICES"] for place in places] == seen


def test_gpus_are_those_that_cuda_may_see() -> None:
    assert machine.gpus({"CUDA_VISIBLE_DEVICES": "2, GPU-abc"}) == ["2", "GPU-abc"]
    assert machine.gpus({"CUDA_VISIBLE_DEVICES": ""}) == [] == machine.gpus({"CUDA_VISIBLE_DEVICES": "-1"})


def test_this_machine_holds_at_least_one_trial() -> None:
    assert machine.cores() >= 1 and machine.memory_bytes() > 0
    assert Path("/proc/meminfo").exists() is (machine._read(Path("/proc/meminfo")) != "")

"""What this machine holds: cores and memory that this process may use, GPUs, and so how many trials."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_BYTES_PER_TRIAL = 2**30
"""Room for one small trial on the CPU; torch itself is shared with the process it was forked from."""
_UNLIMITED = 2**60


def cores() -> int:
    """Cores that this process may use: affinity and cgroup quota, at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, int(_quota())))


def memory_bytes() -> int:
    """Bytes that can still be had: free memory, or what the cgroup leaves."""
    limit, used = _group("memory", "memory.max", "memory.current")
    if limit is None:
        limit, used = _group("memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
    left = _UNLIMITED if limit is None else limit - (used or 0)
    return max(0, min(left, _available()))


def oom_kills() -> int:
    """How many processes the kernel has killed here for want of memory; 0 where it does not say."""
    for text in [_read(folder / "memory.events") for folder in _folders("memory")] + [
        _read(Path("/proc/vmstat"))
    ]:
        counts = dict(line.split() for line in text.splitlines() if line.startswith("oom_kill "))
        if counts:
            return int(counts["oom_kill"])
    return 0


def gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Names by which CUDA_VISIBLE_DEVICES calls the GPUs that this process may use; none without a driver."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [str(index) for index in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()


def places(configs: Sequence[Mapping[str, Any]], jobs: int | None) -> list[dict[str, str]]:
    """One environment for each trial that runs at a time, `jobs` of them or as many as the machine holds.

    A trial on the CPU needs a core and 1 GiB. When any trial wants a GPU, each sees its own GPUs only.
    """
    trainers = [config.get("trainer") or {} for config in configs]
    wanted = [one for one in trainers if one.get("accelerator") in ("gpu", "cuda", "auto")]
    held = gpus() if wanted else []
    if not held:
        return [{}] * (jobs or max(1, min(cores(), memory_bytes() // _BYTES_PER_TRIAL)))
    each = max(_devices(one.get("devices"), len(held)) for one in wanted)
    shares = [held[start : start + each] for start in range(0, len(held) - each + 1, each)]
    return [
        {"CUDA_VISIBLE_DEVICES": ",".join(shares[place % len(shares)])}
        for place in range(jobs or len(shares))
    ]


def threads(jobs: int) -> int:
    """Threads for each of `jobs` trials at a time: cores / jobs, at least one."""
    return max(1, cores() // jobs)


def _devices(asked: Any, held: int) -> int:
    """How many devices one trial uses: a count, a list of them, or all (-1, auto)."""
    if isinstance(asked, list):
        return min(max(1, len(asked)), held)
    count = int(asked) if str(asked).lstrip("-").isdigit() else 1 if asked is None else held
    return held if count < 1 else min(count, held)


def _quota() -> float:
    quota, period = _group("cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us")
    if quota is not None and period and quota > 0:
        return quota / period
    for folder in _folders("cpu"):
        words = _read(folder / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            return int(words[0]) / int(words[1])
    return float(_UNLIMITED)


def _group(controller: str, *names: str) -> list[int | None]:
    """The numbers in a cgroup's files, None for those that are not there or not numbers."""
    for folder in _folders(controller):
        words = [_read(folder / name).strip() for name in names]
        if words[0].lstrip("-").isdigit():
            return [int(word) if word.lstrip("-").isdigit() else None for word in words]
    return [None] * len(names)


def _folders(controller: str) -> list[Path]:
    """Where this process's cgroup may be: in the unified tree, in the controller's own, or at their roots."""
    root = Path("/sys/fs/cgroup")
    found = []
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        tree = root / controller if controllers else root
        if not controllers or controller in controllers.split(","):
            found.append(tree / path.lstrip("/"))
    return [*found, root / controller, root]


def _available() -> int:
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

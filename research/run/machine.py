"""What this machine holds: cores, memory, GPUs, disk, and so how many trials; and work to keep it busy."""

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, final

from refusal import Refusal

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
    for file in [*(folder / "memory.events" for folder in _folders("memory")), Path("/proc/vmstat")]:
        counts = dict(line.split() for line in _read(file).splitlines() if line.startswith("oom_kill "))
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


# Products of matrices, as in a training: a loop of plain Python takes half the power. It ends by itself when
# its parent is gone, and says when it has begun.
_SPIN = """
import os, time, numpy
a = numpy.random.default_rng(0).random((256, 256), dtype=numpy.float32)
a @ a
print("on", flush=True)
until, parent = time.monotonic() + {seconds}, os.getppid()
while time.monotonic() < until and os.getppid() == parent:
    a @ a
"""
LIBRARIES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def busy(cores: int, seconds: float) -> Iterator[list[int]]:
    """Process ids of `cores` busy processes, for at most `seconds`; they have begun and end with the body."""
    one_thread = os.environ | dict.fromkeys(LIBRARIES, "1")
    command = [sys.executable, "-c", _SPIN.format(seconds=seconds)]
    spinning = []
    with ExitStack() as ended:
        for _ in range(cores):
            one = subprocess.Popen(command, env=one_thread, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
            ended.enter_context(one)
            ended.callback(one.kill)
            spinning.append(one)
        for one in spinning:
            assert one.stdout is not None
            one.stdout.readline()
        yield [one.pid for one in spinning]


def worked(proc: Path = Path("/proc")) -> float:
    """CPU seconds of everything on this machine, in ticks of 10 ms. Raises `OSError` without /proc/stat."""
    user, nice, system, _, _, irq, soft = map(int, (proc / "stat").read_text().split()[1:8])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


PATIENCE_S = 600.0
FULL = "the disk was full and nobody freed space on it; the same command runs it"
_PREFIX = "joulelab-logs-"


@final
class Floor:
    """Says whether there is room, and tells once when there is none and once when there is again."""

    def __init__(self, least_gib: float | None, free: Callable[[Path], int] | None = None) -> None:
        """`least_gib` of None or 0 lets everything start; `free` tells the free bytes of a folder's disk."""
        if least_gib is not None and not 0 <= least_gib < 1e9:
            raise Refusal(f"launcher.disk_floor_gib={least_gib}: give GiB from 0 to below 1e9.")
        self._least, self._free = int((least_gib or 0) * 2**30), free or free_bytes
        self._since: float | None = None

    def holds(self, folders: Iterable[Path]) -> bool:
        """Whether there is room on the disks of all folders."""
        low = [(folder, left) for folder in folders if (left := self._free(folder)) < self._least]
        if low and self._since is None:
            self._since = time.monotonic()
            folder, left = low[0]
            said = f"the disk of {folder} has {left / 2**30:.2f} GiB left and launcher.disk_floor_gib keeps "
            said += (
                f"{self._least / 2**30:g} free: no trial is started until there is room; what runs goes on"
            )
            print(said, file=sys.stderr, flush=True)
        elif not low and self._since is not None:
            self._since = None
            print("there is room on the disk again: trials are started", file=sys.stderr, flush=True)
        return not low

    def gives_up(self) -> bool:
        """Whether there has been no room for too long."""
        return self._since is not None and time.monotonic() - self._since >= PATIENCE_S


def free_bytes(folder: Path) -> int:
    """What this user may still write on the disk of a folder, or of the one that it will be made in."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def written_folders(config: Mapping[str, Any]) -> list[Path]:
    """The folders that a trial of this config writes to."""
    url = str((config.get("store") or {}).get("url") or "")
    database = [Path(url.partition(":///")[2]).parent] if url.startswith("sqlite:///") else []
    return [*([Path(str(config["root"]))] if config.get("root") else []), *database]


def unnamed_file() -> IO[bytes]:
    """A file without a name: in memory on Linux, where a full disk cannot lose what is written to it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("joulelab"), "w+b")
    return tempfile.TemporaryFile()


def log_folder() -> tuple[Path, int]:
    """A new folder, and the descriptor by whose lock it is known to be in use, however this process ends.

    What killed commands have left without a word in it goes away.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or gone by now
            _clear(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return folder, descriptor


def _clear(folder: Path) -> None:
    with _locked(folder):
        files = [(path, path.lstat()) for path in folder.iterdir()]
        if all(stat.S_ISREG(about.st_mode) and not about.st_size for _, about in files):
            for path, _ in files:
                path.unlink()
            folder.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Raises `OSError` for a folder that is in use, is another user's, or is a link."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            raise PermissionError(folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)

"""What one more trial costs by each runner, beside Hydra's own launchers: CPU and wall seconds, in one run.

    python benchmarks/runners.py [--repeats 3] [--few 4] [--many 24] [--steps 200] [--only local ray]

The same seeds of the digits MLP by `train.py -m`, one trial at a time with one thread: by the command itself
(`local`), by one worker of `runner=local`, `slurm` (submitit's local executor) and `ray` (a cluster of its
own on this machine), and by Hydra's launchers `joblib`, `basic` and `submitit_local` (which starts all trials
at once, each in a process that imports everything). Each turn runs a sweep of few and one of many seeds in an
empty folder; what the many cost more, by their number, is one more trial. All that a sweep starts is counted,
by looking at it twenty times a second: daemons of Ray tell their parent nothing. Printed are medians over the
turns with their range, and the ratio to `local` of the same turn (to reach for `ray` and `slurm`: 1.3).
"""

import argparse
import ctypes
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2)"""
_LOOK_S, _PATIENCE_S = 0.05, 10.0
_ONE = ("runner.workers=1", "runner.jobs=1", "runner.threads=1")
RUNNERS: dict[str, tuple[str, ...]] = {
    "local": ("launcher.jobs=1", "launcher.threads=1"),
    "local, a worker": ("runner=local", *_ONE),
    "slurm": ("runner=slurm", "runner.cluster=local", *_ONE),
    "ray": ("runner=ray", *_ONE),
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "launcher.threads=1"),
    "basic": ("hydra/launcher=basic", "launcher.threads=1"),
    "submitit_local": ("hydra/launcher=submitit_local", "launcher.threads=1"),
}


def spent(runner: str, seeds: int, steps: int) -> tuple[float, float]:
    """CPU seconds of a sweep with all that it starts, and its wall seconds."""
    axes = ["optimizer=adam", f"seed=range({seeds})", f"budget.steps={steps}", "logger=none"]
    with tempfile.TemporaryDirectory(prefix="joulelab-runners-") as folder:
        own = [f"root={folder}/runs", f"store.url=sqlite:///{folder}/lab.db"]
        said, used, began = Path(folder, "said"), dict[tuple[int, str], int](), time.monotonic()
        command = [sys.executable, "train.py", "-m", *axes, *own, *RUNNERS[runner]]
        with said.open("w") as file:
            running = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        while running.poll() is None:
            used |= ticks()
            time.sleep(_LOOK_S)
        wall = time.monotonic() - began
        if running.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{said.read_text()}")
        used |= end()
    return sum(used.values()) / os.sysconf("SC_CLK_TCK"), wall


def ticks() -> dict[tuple[int, str], int]:
    """Each process below this one, by its number and its start: ticks of CPU time that it has used."""
    parents, used = dict[int, int](), dict[int, tuple[str, int]]()
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError):
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                parents[int(place.name)] = int(fields[1])
                used[int(place.name)] = (fields[19], int(fields[11]) + int(fields[12]))
    own, found = os.getpid(), dict[tuple[int, str], int]()
    for pid, (start, count) in used.items():
        above = pid
        while above not in (0, own):
            above = parents.get(above, 0)
        if above == own and pid != own:
            found[pid, start] = count
    return found


def end() -> dict[tuple[int, str], int]:
    """End what a sweep has left to this process, after a while; what it used until then."""
    used, until = ticks(), time.monotonic() + _PATIENCE_S
    while left := ticks():
        used |= left
        for pid, _ in left if time.monotonic() > until else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(_LOOK_S)
    return used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("--repeats", 3), ("--few", 4), ("--many", 24), ("--steps", 200)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--only", nargs="+", choices=RUNNERS, default=list(RUNNERS))
    asked = parser.parse_args()
    if ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit("this system does not let a process adopt what its children leave behind")
    chosen = dict.fromkeys(["local", *asked.only])
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
    for turn in range(asked.repeats):
        for name in list(chosen)[:: 1 if turn % 2 == 0 else -1]:
            few, many = (spent(name, seeds, asked.steps) for seeds in (asked.few, asked.many))
            more = asked.many - asked.few
            figures[name].append(((many[0] - few[0]) / more, (many[1] - few[1]) / more))
            print(f"  {name}: {few[0]:.1f} and {many[0]:.1f} CPU s", file=sys.stderr, flush=True)
    for name, turns in figures.items():
        cpu, wall = ([turn[at] for turn in turns] for at in (0, 1))
        ratios = [own[0] / local[0] for own, local in zip(turns, figures["local"], strict=True)]
        span = f"{statistics.median(cpu):.3f} CPU s ({min(cpu):.3f} to {max(cpu):.3f})"
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, n = {len(turns)})"
        print(f"{name:16} one more trial {span}, {statistics.median(wall):.2f} s; of local {ratio}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()

"""CPU seconds of a sweep of small trials, ours beside Hydra's basic launcher with Lightning's defaults.

    python benchmarks/sweep_overhead.py [--repeats 3] [--seeds 5] [--steps 200] [--logger csv]
        [--peer-threads 1]

Three optimizers times `--seeds` seeds of the digits MLP. Both commands run from a cold start, in turns, in
empty folders; the CPU seconds are those of the whole command, children and imports included. Printed are the
median of each over the repeats and their ratio, at most 1/3 by our plan. A second figure is what a trial
costs after the first three: the difference of two sweeps, of one seed and of all. The peer has the default
of torch, a thread a core; `--peer-threads 1` holds it to one, which helps it, most of all on a busy machine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def spent(command: list[str], threads: int | None) -> tuple[float, float]:
    """CPU and wall seconds of a command and all that it starts."""
    env = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    with tempfile.TemporaryDirectory() as folder:
        before, start = os.times(), time.perf_counter()
        line = [sys.executable, *command]
        done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, check=False)
        after, wall = os.times(), time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    children = after.children_user + after.children_system
    return children - before.children_user - before.children_system, wall


def ours(seeds: int, steps: int, logger: str) -> list[str]:
    axes = ["optimizer=sgd,adam,adamw", f"seed=range({seeds})"]
    return [str(ROOT / "train.py"), "-m", *axes, "budget=default", *_budget(steps), f"logger={logger}"]


def _budget(steps: int) -> list[str]:
    return ["budget.epochs=null", f"budget.steps={steps}", "budget.seconds=null", "budget.joules=null"]


def peer(seeds: int, steps: int) -> list[str]:
    axes = ["optimizer=SGD,Adam,AdamW", f"seed=range({seeds})"]
    return [str(ROOT / "benchmarks" / "lightning_defaults.py"), "-m", *axes, f"steps={steps}"]


def told(name: str, all_seeds: list[float], one_seed: list[float], trials: int, more: int) -> float:
    """Print one line and return the median of the whole sweep."""
    median, first = statistics.median(all_seeds), statistics.median(one_seed)
    spread = f"{min(all_seeds):.1f} to {max(all_seeds):.1f}"
    print(
        f"{name:28} {median:6.1f} CPU s for {trials} trials ({spread}, n = {len(all_seeds)}), "
        f"{(median - first) / more:.2f} a trial after the first {trials - more}"
    )
    return median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("--repeats", 3), ("--seeds", 5), ("--steps", 200)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--logger", default="csv")
    parser.add_argument("--peer-threads", type=int)
    asked = parser.parse_args()
    few, many = 1, asked.seeds
    figures: dict[tuple[str, int], list[float]] = {}
    for repeat in range(asked.repeats):
        for seeds in (few, many):
            pair = [("joulelab", ours(seeds, asked.steps, asked.logger)), ("peer", peer(seeds, asked.steps))]
            for name, command in pair if repeat % 2 == 0 else pair[::-1]:
                cpu, wall = spent(command, asked.peer_threads if name == "peer" else None)
                figures.setdefault((name, seeds), []).append(cpu)
                print(
                    f"  {name} {3 * seeds} trials: {cpu:.1f} CPU s, {wall:.1f} s", file=sys.stderr, flush=True
                )
    counts = 3 * many, 3 * (many - few)
    mine = told("joulelab, processes", figures["joulelab", many], figures["joulelab", few], *counts)
    theirs = told("basic launcher, Lightning", figures["peer", many], figures["peer", few], *counts)
    print(
        f"ratio {mine / theirs:.2f} (to reach: 0.33), load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()

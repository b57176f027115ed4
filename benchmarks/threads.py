"""Four trials at once: our threads (cores / jobs) and torch's default, beside the ideal.

    python benchmarks/threads.py [--jobs 4] [--repeats 5] [--steps 500]

A trial is a bare loop over the digits MLP. The ideal is the wall time of one trial alone with one thread,
times the trials, divided by the cores; it is taken in turns with the others. To reach: 1.25 of the ideal.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from research.run import machine  # noqa: E402  the script runs from any folder
from research.run.runner import Job, Runner  # noqa: E402


def trial(config: dict[str, Any], *, threads: int, **_: Any) -> dict[str, Any]:
    """Train for `steps` steps on random digits with so many threads; the score is the loop's seconds."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(config["seed"])
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    inputs, targets = torch.randn(128, 64), torch.randint(10, (128,))
    start = time.perf_counter()
    for _step in range(config["steps"]):
        loss = nn.functional.cross_entropy(net(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"status": "done", "score": time.perf_counter() - start}


def wall(runner: Runner, jobs: int, steps: int) -> float:
    """Seconds until the last of `jobs` trials has ended, their processes included."""
    start = time.perf_counter()
    ends = list(runner.run([Job({"seed": seed, "steps": steps}, []) for seed in range(jobs)]))
    assert all(end.ok for end in ends), [end.reason for end in ends]
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("--jobs", 4), ("--repeats", 5), ("--steps", 500)):
        parser.add_argument(name, type=int, default=value)
    asked = parser.parse_args()
    cores = machine.cores()
    settings = {"alone": (1, 1), "ours": (asked.jobs, None), "torch's default": (asked.jobs, cores)}
    times: dict[str, list[float]] = {name: [] for name in settings}
    runners = {
        name: Runner(jobs, threads, task="threads:trial", preload=("torch", "torch._dynamo"))
        for name, (jobs, threads) in settings.items()
    }
    try:
        for name, (jobs, _) in settings.items():
            wall(runners[name], jobs, 1)  # the imports are not what is compared
        for _ in range(asked.repeats):
            for name, (jobs, _threads) in settings.items():
                times[name].append(wall(runners[name], jobs, asked.steps))
    finally:
        for runner in runners.values():
            runner.close()
    ideal = statistics.median(times["alone"]) * asked.jobs / min(cores, asked.jobs)
    print(f"ideal: {ideal:.2f} s for {asked.jobs} trials at once on {cores} cores (n = {asked.repeats})")
    for name in ("ours", "torch's default"):
        low, high = min(times[name]) / ideal, max(times[name]) / ideal
        print(
            f"{name:16} {statistics.median(times[name]) / ideal:5.2f} of the ideal ({low:.2f} to {high:.2f})"
        )
    print(f"to reach: 1.25; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

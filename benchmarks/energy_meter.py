"""Whether joules and CPU seconds mean something on this machine, with CodeCarbon's total beside them.

    python benchmarks/energy_meter.py [--pairs 12] [--trials 40] [--repeats 3] [--steps 200]
        [--only sleep,cost,short,looks,pairs,loads,correlation]

Every trial is the lab's own (`train.measure`), in a process forked from one that has imported torch, with one
thread, as the launcher starts it. Printed, each with what it should be on two cores:

- sleep: joules of 1.5 s of sleep, at most 0.1.
- cost: what the meter takes itself: a start, a reading, a pause, a look around.
- short: trainings of five steps; all have joules.
- looks: a ResNet of 15 steps on MNIST-1D, validated every 1, 3, 5 and 15 steps; medians within 10 %.
- pairs: equal trainings, two after each other; the SD of the logarithm of their ratio, at most 0.12 for
  `train/energy_j`; beside it those of seconds, CodeCarbon's total and latencies. Needs a machine at rest: it
  says how many were disturbed all the same.
- loads: the same training alone, two at a time, and beside eight busy processes, in turns; within 15 % of
  those alone, or marked `disturbed`.
- correlation: trainings of 50 to 1,000 steps while 0 to 4 busy processes come and go; Pearson's r of the
  logarithms, at least 0.95, of joules and of CPU seconds, which is 1 by construction where joules are an
  estimate, and of joules and of what was asked for, the steps. Beside them r with wall time, and with the
  CPU seconds that the kernel tells of the whole process when it has ended (`wait4`), its start included.
"""

import argparse
import itertools
import math
import os
import pickle
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.startup import lean  # noqa: E402, F401  it comes before Lightning
from models.energy.meter import Meter  # noqa: E402
from research.compose.compose import Composer  # noqa: E402

import train  # noqa: E402  isort: skip

SPIN = "while True: pass"
KEYS = ("train/energy_j", "train/cpu_seconds", "train/seconds")


@final
@dataclass(frozen=True)
class Trial:
    """What came back of one process."""

    metrics: dict[str, float]
    facts: dict[str, Any]
    cpu_s: float
    """of the whole process, as the kernel told when it ended"""

    @property
    def codecarbon_j(self) -> float:
        """What CodeCarbon would say of the training."""
        return float(self.facts["energy"]["codecarbon_j"])

    @property
    def disturbed(self) -> str | None:
        """Why the training was, if it was."""
        return self.facts["disturbed"].get("train")


def configs(*overrides: str) -> dict[str, Any]:
    return Composer(ROOT / "conf", "train").resolve(["logger=none", *overrides]).config


def start(config: dict[str, Any]) -> tuple[int, Any]:
    """A trial in a process of its own; its number, and where its answer comes."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, os.fdopen(read, "rb")
    code = 1
    try:
        with tempfile.TemporaryDirectory() as folder, os.fdopen(write, "wb") as answer:
            found = train.measure(config, Path(folder), "benchmark", [], None, 1)
            pickle.dump((found.metrics, found.facts), answer)
        code = 0
    finally:
        os._exit(code)


def finish(started: tuple[int, Any]) -> Trial:
    pid, answer = started
    with answer:
        content = answer.read()
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"a trial ended with status {status}")
    return Trial(*pickle.loads(content), used.ru_utime + used.ru_stime)


def run(config: dict[str, Any]) -> Trial:
    return finish(start(config))


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that want a processor all the time."""
    started = [subprocess.Popen([sys.executable, "-S", "-c", SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()


def told(name: str, value: float, limit: float, unit: str = "", *, least: bool = False) -> None:
    kept = value >= limit if least else value <= limit
    print(
        f"  {name:46} {value:10.4g} {unit:3} {'at least' if least else 'at most'} {limit:g}"
        f"{'' if kept else '   MISSED'}",
        flush=True,
    )


def sleep(asked: argparse.Namespace) -> None:
    meter = Meter()
    meter.start("cpu")
    with meter.window() as window:
        time.sleep(1.5)
    meter.stop()
    told("joules of sleep(1.5)", window.energy.joules or 0.0, 0.1, "J")
    print(f"  {'CodeCarbon, process mode':46} {window.energy.codecarbon_j:10.4g} J")
    print(f"  {'standing draw':46} {window.energy.standing_j:10.4g} J")
    print(f"  basis: {window.energy.basis}")


def log_sd(pairs: Sequence[tuple[float, float]]) -> float:
    return statistics.stdev(math.log(one / other) for one, other in pairs)


def pairs(asked: argparse.Namespace) -> None:
    config = configs(f"budget.steps={asked.steps}")
    run(config)
    found = [(run(config), run(config)) for _ in range(asked.pairs)]
    for key in (*KEYS, "infer/latency_s_p50", "infer/latency_s_p50_batch", "infer/cpu_seconds_per_sample"):
        value = log_sd([(one.metrics[key], other.metrics[key]) for one, other in found])
        if key == "train/energy_j":
            told(f"A/A log-SD of {key}", value, 0.12)
        else:
            print(f"  {'A/A log-SD of ' + key:46} {value:10.4g}")
    value = log_sd([(one.codecarbon_j, other.codecarbon_j) for one, other in found])
    print(f"  {'A/A log-SD of CodeCarbon':46} {value:10.4g}")
    trials = list(itertools.chain(*found))
    marked = {name: sum(name in one.facts["disturbed"] for one in trials) for name in ("train", "infer")}
    print(f"  disturbed of {len(trials)}: {marked['train']} trainings, {marked['infer']} inferences")


def loads(asked: argparse.Namespace) -> None:
    config = configs(f"budget.steps={asked.steps}")
    two = config | {"meter": config["meter"] | {"concurrent": 2}}
    run(config)
    found: dict[str, list[Trial]] = {"alone": [], "two at a time": [], "beside eight busy": []}
    for _ in range(asked.repeats):
        found["alone"] += [run(config), run(config)]
        both = [start(two), start(two)]
        found["two at a time"] += [finish(one) for one in both]
        with busy(8):
            found["beside eight busy"].append(run(config))
    base = {key: statistics.median(one.metrics[key] for one in found["alone"]) for key in KEYS}
    total = statistics.median(one.codecarbon_j for one in found["alone"])
    for name, trials in found.items():
        ratios = {key: statistics.median(one.metrics[key] for one in trials) / base[key] for key in KEYS}
        marked = sum(one.disturbed is not None for one in trials)
        off = [one for one in trials if abs(math.log(one.metrics[KEYS[0]] / base[KEYS[0]])) > math.log(1.15)]
        neither = sum(one.disturbed is None for one in off)
        ours = ", ".join(f"{key} {ratio:.2f}" for key, ratio in ratios.items())
        codecarbon = statistics.median(one.codecarbon_j for one in trials) / total
        print(f"  {name}: {ours}, CodeCarbon {codecarbon:.2f} of alone; {marked} of {len(trials)} disturbed")
        told("  off by more than 15 % and not marked", neither, 0)
        worst = next((one.disturbed for one in trials if one.disturbed), None)
        print(f"    {worst}" if worst else "    undisturbed", flush=True)


def short(asked: argparse.Namespace) -> None:
    trials = [run(configs("budget.steps=5", f"seed={seed}")) for seed in range(asked.repeats)]
    without = sum("train/energy_j" not in one.metrics for one in trials)
    told(f"of {len(trials)} trainings of 5 steps without joules", without, 0)
    values = ", ".join(f"{one.metrics.get('train/energy_j', math.nan):.4g}" for one in trials)
    print(f"  joules: {values}; CPU seconds: {trials[-1].metrics['train/cpu_seconds']:.4g}")


def correlation(asked: argparse.Namespace) -> None:
    draw, trials, taken = random.Random(0), [], []
    for _ in range(asked.trials):
        taken.append(round(50 * 20 ** draw.random()))
        with busy(draw.randint(0, 4)):
            trials.append(run(configs(f"budget.steps={taken[-1]}")))
    against = {
        "train/cpu_seconds": [one.metrics["train/cpu_seconds"] for one in trials],
        "steps": taken,
        "wall seconds": [one.metrics["train/seconds"] for one in trials],
        "CPU seconds of the process": [one.cpu_s for one in trials],
    }
    ours, theirs = [one.metrics["train/energy_j"] for one in trials], [one.codecarbon_j for one in trials]
    for name, figures in (("train/energy_j", ours), ("CodeCarbon", theirs)):
        for other, values in against.items():
            r = statistics.correlation(list(map(math.log, figures)), list(map(math.log, values)))
            if figures is ours and other in ("train/cpu_seconds", "steps"):
                told(f"r of {name} and {other}", r, 0.95, least=True)
            else:
                print(f"  {f'r of {name} and {other}':46} {r:10.4g}")
    print(f"  disturbed: {sum(one.disturbed is not None for one in trials)} of {len(trials)}")


def looks(asked: argparse.Namespace) -> None:
    base = ("data=mnist1d", "model=resnet", "budget.steps=15")
    every = (1, 3, 5, 15)
    found: dict[int, list[Trial]] = {one: [] for one in every}
    for _ in range(asked.repeats):
        for one in every:
            found[one].append(run(configs(*base, f"trainer.val_every={one}")))
    medians = {}
    for one, trials in found.items():
        keys = ("train/energy_j", "harness/energy_j", "train/cpu_seconds", "harness/cpu_seconds")
        figures = {key: statistics.median(trial.metrics[key] for trial in trials) for key in keys}
        medians[one] = figures["train/energy_j"]
        print(f"  val_every={one:<3} {', '.join(f'{key} {value:.4g}' for key, value in figures.items())}")
    told(
        "largest over smallest train/energy_j, less 1", max(medians.values()) / min(medians.values()) - 1, 0.1
    )


def cost(asked: argparse.Namespace) -> None:
    def each(work: Callable[[], Any], times: int) -> float:
        began = time.process_time()
        for _ in range(times):
            work()
        return 1e6 * (time.process_time() - began) / times

    def opened() -> None:
        meter.start("cpu")

    def paused() -> None:
        meter.pause()
        meter.resume()

    def aside() -> None:
        with meter.aside():
            pass

    def window() -> None:
        with meter.window():
            pass

    meter = Meter()
    opened()
    works = {"start": (opened, 50), "reading": (meter.read, 2000), "pause and resume": (paused, 2000)}
    works |= {"aside, both ends": (aside, 200), "window, both ends": (window, 200)}
    for name, (work, times) in works.items():
        print(f"  {name:46} {each(work, times):10.4g} us of CPU time")
    meter.stop()


SECTIONS = {one.__name__: one for one in (sleep, cost, short, looks, pairs, loads, correlation)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, value in (("--pairs", 12), ("--trials", 40), ("--repeats", 3), ("--steps", 200)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    run(configs("budget.steps=1"))
    for name in asked.only.split(","):
        print(f"{name} (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)", flush=True)
        SECTIONS[name](asked)


if __name__ == "__main__":
    main()

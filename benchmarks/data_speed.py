"""What data cost: an epoch beside a plain loop, a second trial on cached data, and data beyond the memory.

    python benchmarks/data_speed.py epoch [--epochs 1] [--seeds 3] [--path FOLDER] | cached [--path FOLDER]
    python benchmarks/data_speed.py beyond [--gigabytes 3] [--memory 0.5]

`epoch`: our cnn learns Fashion-MNIST by `data=idx`, and the same network by the loop that everybody writes:
all pictures as floats in memory, a permutation, slices, fused AdamW with the same cosine. Both by the same
seeds, in changing order, one thread. To reach: 1.10 of its CPU seconds, accuracy within 0.3 points.
`cached`: CPU seconds of a second trial in the same process from its start to its first step, with the data in
the cache (to reach: 0.5), and the proportional set size of four forked trials at once of that of one (1.3).

`beyond`: a set of so many gigabytes is written as .npy, decoded, and learnt by a process that may hold
`--memory` of it, with a peak resident memory below its size, at 0.9 of the steps a second of a memory map, by
turns of 30 steps in one process.
"""

import argparse
import gc
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402  the script runs from any folder
import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from models.startup import lean  # noqa: E402, F401 - it makes Lightning load less
from models.data import own  # noqa: E402
from models.data.batches import Batches  # noqa: E402
from models.data.dataset import Dataset  # noqa: E402
from models.energy.meter import Meter  # noqa: E402
from models.nets.cnn import CNN  # noqa: E402
from models.optim.groups import groups  # noqa: E402
from models.optim.schedules import cosine  # noqa: E402
from models.training.budget import Budget  # noqa: E402
from models.training.evaluate import evaluate  # noqa: E402
from models.training.fit import fit  # noqa: E402
from models.training.lit import Lit  # noqa: E402
from models.training.objective import CrossEntropy  # noqa: E402
from models.training.settings import Settings  # noqa: E402

FASHION = "/usr/share/datasets/fashion-mnist"
BATCH = 128


def adamw(parameters: Any, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=True, **options)


def fashion(path: str, cache: str) -> Dataset:
    return own.load(source="idx", path=path, cache=cache, batch_size=BATCH)


def net_of(data: Dataset, seed: int) -> CNN:
    torch.manual_seed(seed)
    return CNN(data.shape, data.classes)


def ours(data: Dataset, seed: int, epochs: float, folder: str) -> tuple[float, float]:
    """(CPU seconds of the steps, test accuracy)."""
    fitted = fit(
        net=net_of(data, seed),
        data=data,
        loss=CrossEntropy(),
        optimizer=adamw,
        scheduler=partial(cosine, warmup=0.0),
        settings=Settings(accelerator="cpu", precision="32-true"),
        budget=Budget(epochs=epochs),
        callbacks={},
        meter=Meter(),
        seed=seed,
        folder=Path(folder),
        loggers=[],
    )
    return fitted.metrics["train/cpu_seconds"], tested(fitted.net, data)


def plain(
    data: Dataset, inputs: torch.Tensor, targets: torch.Tensor, seed: int, epochs: float
) -> tuple[float, float]:
    net = net_of(data, seed).train()
    optimizer = adamw(groups(net, 0.01))
    generator = torch.Generator().manual_seed(seed)
    steps = round(epochs * -(-len(inputs) // BATCH))
    schedule, step = partial(cosine, warmup=0.0), 0
    began = time.process_time()
    while step < steps:
        order = torch.randperm(len(inputs), generator=generator)
        for places in order.split(BATCH)[: steps - step]:
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * schedule((step + 0.5) / steps)
            optimizer.zero_grad()
            functional.cross_entropy(net(inputs[places]), targets[places]).backward()
            optimizer.step()
            step += 1
    return time.process_time() - began, tested(net, data)


def tested(net: torch.nn.Module, data: Dataset) -> float:
    return evaluate(net, data.test, data.task, 512, data.classes)[0]["accuracy"]


def epoch(options: argparse.Namespace, place: str) -> None:
    data = fashion(options.path, place)
    inputs, targets = data.train.whole()
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "plain": []}
    for seed in range(options.seeds):
        turns: dict[str, Callable[[], tuple[float, float]]] = {
            "ours": lambda seed=seed: ours(data, seed, options.epochs, f"{place}/run{seed}"),
            "plain": lambda seed=seed: plain(data, inputs, targets, seed, options.epochs),
        }
        for name in list(turns) if seed % 2 else reversed(turns):
            found[name].append(turns[name]())
    ratios = [ours / plain for (ours, _), (plain, _) in zip(*found.values(), strict=True)]
    for name, runs in found.items():
        seconds, accuracy = zip(*runs, strict=True)
        print(f"{name:6s} {statistics.median(seconds):7.2f} CPU s   accuracy {statistics.mean(accuracy):.4f}")
    print(f"ratio  {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), to reach 1.10")


def config_of(path: str, place: str, seed: int) -> dict[str, Any]:
    from research.space.gate import Space

    space = Space(ROOT / "conf", ROOT / "conf" / "space.yaml")
    words = ["data=idx", f"data.path={path}", f"data.cache={place}/cache", "model=linear", "budget.steps=20"]
    kept = [f"seed={seed}", "logger=none", f"root={place}/runs", f"store.url=sqlite:///{place}/{seed}.db"]
    return space.resolve([*words, *kept])


def cached(options: argparse.Namespace, place: str) -> None:
    import train
    from models import trial  # noqa: F401 - as the process that a sweep's trials are forked from has it
    from research.run import row, teachers  # noqa: F401
    from research.store import store  # noqa: F401

    gc.collect()
    gc.freeze()
    # Forked before anything is trained here, as a sweep's trials are.
    alone, together = (shared_by(count, options, place) for count in (1, 4))
    for name, one, four in zip(("all memory", "the pictures"), alone, together, strict=True):
        print(
            f"PSS of four trials, {name}: {four:.0f} MB, of one {one:.0f} MB: {four / one:.2f}, to reach 1.3"
        )
    first_step: list[float] = []
    started = Lit.on_train_start

    def noted(lit: Lit) -> None:
        started(lit)
        first_step.append(time.process_time())

    Lit.on_train_start = noted  # type: ignore[method-assign]
    for seed, name in enumerate(("first", "second", "third", "fourth")):
        began = time.process_time()
        train.trial(config_of(options.path, place, 10 + seed), overrides=[])
        spent = first_step[-1] - began
        print(
            f"{name} trial here: {spent:.2f} CPU s before its first step (from the second on, to reach 0.5)"
        )


def shared_by(count: int, options: argparse.Namespace, place: str) -> tuple[float, float]:
    """Megabytes of so many trials at their last step, with this process: all, and the pictures alone."""
    fork = multiprocessing.get_context("fork")
    pipes, trials = [], []
    for seed in range(count):
        here, there = fork.Pipe()
        pipes.append(here)
        trials.append(
            fork.Process(target=held, args=(config_of(options.path, place, seed + 100 * count), there))
        )
        trials[-1].start()
    for pipe in pipes:
        pipe.recv()
    pids = [os.getpid(), *(int(trial.pid or 0) for trial in trials)]
    found = sum(pss(pid) for pid in pids), sum(pss(pid, "inputs.npy") for pid in pids)
    for pipe, trial in zip(pipes, trials, strict=True):
        pipe.send("go on")
        trial.join()
    return found


def held(config: dict[str, Any], pipe: Any) -> None:
    """A trial that waits at its last step until it has been looked at."""
    import train

    ended = Lit.on_train_end

    def waiting(lit: Lit) -> None:
        pipe.send("here")
        pipe.recv()
        ended(lit)

    Lit.on_train_end = waiting  # type: ignore[method-assign]
    train.trial(config, overrides=[])


def pss(pid: int, only: str = "") -> float:
    """Megabytes of a process, or of one of its mappings, each page shared out among those that map it."""
    total, counts = 0, not only
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            counts = only in line
        elif counts and line.startswith("Pss:"):
            total += int(line.split()[1])
    return total / 1024


def beyond(options: argparse.Namespace, place: str) -> None:
    write(Path(place) / "own", int(options.gigabytes * 2**30))
    line = [sys.executable, __file__, "inside", "--path", place, "--memory", str(options.memory)]
    peak = float(subprocess.run(line, check=True, capture_output=True, text=True).stdout.split()[-1])
    print(f"peak resident {peak / 2**30:.2f} of {options.gigabytes:g} GiB, {options.memory:g} may be held")
    ways = {"streamed": beyond_memory(place, 0.0), "mapped": beyond_memory(place, 2.0**62)}
    learners = {name: Learner(data) for name, data in ways.items()}
    for learner in learners.values():
        learner.steps(20)
    found: list[tuple[float, float]] = []
    for turn in range(options.turns * 5):
        order = list(learners) if turn % 2 else list(reversed(learners))
        took = {name: learners[name].steps(30) for name in order}
        found.append(
            tuple(ours / plain for ours, plain in zip(took["streamed"], took["mapped"], strict=True))
        )  # type: ignore[arg-type]
    walls, costs = zip(*found, strict=True)
    speed = sorted(1 / wall for wall in walls)
    print(
        f"steps a second, of mapped data: {statistics.median(speed):.3f} ({speed[0]:.3f} to {speed[-1]:.3f})"
    )
    print(f"CPU seconds a step, of mapped data: {statistics.median(costs):.3f} (to reach: a speed of 0.9)")


def write(folder: Path, size: int) -> None:
    """Pictures of 3 x 64 x 64 with a class each that their mean tells, as x.npy and y.npy."""
    folder.mkdir(parents=True)
    count = size // (3 * 64 * 64)
    y = np.arange(count) % 4
    x = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.uint8, shape=(count, 3, 64, 64))
    rng = np.random.default_rng(0)
    for start in range(0, count, 1024):
        part = rng.integers(0, 128, (len(y[start : start + 1024]), 3, 64, 64), dtype=np.uint8)
        x[start : start + 1024] = part + 30 * y[start : start + 1024, None, None, None].astype(np.uint8)
    x.flush()
    np.save(folder / "y.npy", y)


def beyond_memory(place: str, memory: float) -> Dataset:
    where = {"path": f"{place}/own", "cache": f"{place}/cache"}
    return own.load(source="arrays", batch_size=64, memory_bytes=memory, **where)


def inside(options: argparse.Namespace, place: str) -> None:
    """A process that decodes, learns and evaluates, and tells its peak in bytes."""
    data = beyond_memory(options.path, options.memory * 2**30)
    Learner(data).steps(100)
    evaluate(CNN(data.shape, data.classes, width=16), data.val, data.task, 256, data.classes)
    peak = next(
        word for word in Path("/proc/self/status").read_text().splitlines() if word.startswith("VmHWM")
    )
    print(int(peak.split()[1]) * 1024)


@final
class Learner:
    """A small network on its own stream of batches."""

    def __init__(self, data: Dataset) -> None:
        torch.manual_seed(0)
        self.net, self.batches = CNN(data.shape, data.classes, width=16), Batches(data.train, 64, seed=0)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), fused=True)

    def steps(self, count: int) -> tuple[float, float]:
        """(seconds, CPU seconds) of so many."""
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            inputs, targets = next(self.batches)
            self.optimizer.zero_grad()
            functional.cross_entropy(self.net(inputs), targets).backward()
            self.optimizer.step()
        return time.perf_counter() - began, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("epoch", "cached", "beyond", "inside"))
    parser.add_argument("--path", default=FASHION)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gigabytes", type=float, default=3)
    parser.add_argument("--memory", type=float, default=0.5)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        {"epoch": epoch, "cached": cached, "beyond": beyond, "inside": inside}[options.what](options, place)


if __name__ == "__main__":
    main()

"""What data cost: an epoch beside a plain loop, and a second trial on cached data.

    python benchmarks/data_speed.py epoch [--epochs 1] [--seeds 3] [--path FOLDER] | cached [--path FOLDER]

`epoch`: our cnn learns Fashion-MNIST by `data=idx`, and the same network by the loop that everybody writes:
all pictures as floats in memory, a permutation, slices, fused AdamW with the same cosine. Both by the same
seeds, in changing order, one thread. To reach: 1.10 of its CPU seconds, accuracy within 0.3 points.
`cached`: CPU seconds of a second trial in the same process from its start to its first step, with the data in
the cache (to reach: 0.5), and the proportional set size of four forked trials at once of that of one (1.3).
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from models.startup import lean  # noqa: E402, F401 - it makes Lightning load less
from models.data import own  # noqa: E402
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
    kept = [f"seed={seed}", "logger=none", f"root={place}/runs", f"store.url=sqlite:///{place}/lab.db"]
    return space.resolve([*words, *kept])


def cached(options: argparse.Namespace, place: str) -> None:
    import train
    from construct import targets
    from research.run.child import preload
    from research.run.runner import PRELOAD

    # What a sweep's trials are forked from has imported just that, and has trained nothing.
    preload(["train", *PRELOAD], targets(config_of(options.path, place, 0)))
    alone, together = (shared_by(count, options, place) for count in (1, 4))
    print(f"a trial alone: {alone[2]:.0f} MB copied of what it was forked from, {alone[3]:.0f} MB of its own")
    for name, one, four in zip(("all memory", "the pictures"), alone[:2], together[:2], strict=True):
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


def shared_by(count: int, options: argparse.Namespace, place: str) -> tuple[float, ...]:
    """Megabytes of so many trials at their last step, with this process: all, and the pictures alone.

    Then what this process has alone, as the first trial copied it to write to it (reference counts, mostly),
    and what that trial has beside it, without the pictures.
    """
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
    shared = sum(pss(pid) for pid in pids), sum(pss(pid, "inputs.npy") for pid in pids)
    kept, copied = (pss(pid, what="Private_Dirty:") for pid in pids[:2])
    found = (*shared, kept, copied - kept - pss(pids[1], "inputs.npy", "Private_Dirty:"))
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


def pss(pid: int, only: str = "", what: str = "Pss:") -> float:
    """Megabytes of a process, or of one of its mappings, each page shared out among those that map it.

    Or of another kind of its pages, by its name in proc's smaps.
    """
    total, counts = 0, not only
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            counts = only in line
        elif counts and line.startswith(what):
            total += int(line.split()[1])
    return total / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("epoch", "cached"))
    parser.add_argument("--path", default=FASHION)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        {"epoch": epoch, "cached": cached}[options.what](options, place)


if __name__ == "__main__":
    main()

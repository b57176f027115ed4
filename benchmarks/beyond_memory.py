"""Data larger than the memory: what a process holds of them, and what a step costs beside mapped data.

    python benchmarks/beyond_memory.py [--gigabytes 3] [--memory 0.5] [--turns 15]

A set of so many gigabytes is written as .npy, decoded, and learnt by a process that may hold `--memory` of
them: its peak resident memory must stay below the size of the set. Then the same batches are learnt as they
are read from the disk and as they are mapped, by turns of 30 steps in one process; to reach: 0.9 of it.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402  the script runs from any folder
import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from models.data import own  # noqa: E402
from models.data.batches import Batches  # noqa: E402
from models.data.dataset import Dataset  # noqa: E402
from models.nets.cnn import CNN  # noqa: E402
from models.training.evaluate import evaluate  # noqa: E402


def beyond(options: argparse.Namespace, place: str) -> None:
    write(Path(place) / "own", int(options.gigabytes * 2**30))
    line = [sys.executable, __file__, "--inside", place, "--memory", str(options.memory)]
    peak = float(subprocess.run(line, check=True, capture_output=True, text=True).stdout.split()[-1])
    print(f"peak resident {peak / 2**30:.2f} of {options.gigabytes:g} GiB, {options.memory:g} may be held")
    ways = {"streamed": beyond_memory(place, 0.0), "mapped": beyond_memory(place, 2.0**62)}
    learners = {name: Learner(data) for name, data in ways.items()}
    for learner in learners.values():
        learner.steps(20)
    found: list[tuple[float, float]] = []
    for turn in range(options.turns):
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


def inside(options: argparse.Namespace) -> None:
    """A process that decodes, learns and evaluates, and tells its peak in bytes."""
    data = beyond_memory(options.inside, options.memory * 2**30)
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
    parser.add_argument("--gigabytes", type=float, default=3)
    parser.add_argument("--memory", type=float, default=0.5)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.inside:
        return inside(options)
    with tempfile.TemporaryDirectory() as place:
        beyond(options, place)
    return None


if __name__ == "__main__":
    main()

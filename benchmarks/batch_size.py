"""Throughput and joules per example of batches from 8 to 128, and the largest batch that fits a ceiling.

    python benchmarks/batch_size.py [--rounds 3] [--examples 2048] [--threads 1] [--device cpu]

A transformer of width 64 trains on digits over the same number of examples with each batch size, in changing
order, in one process, by the lab's own `fit`, validations left out. Joules are of the trial's meter, whose
method is printed: figures of different methods are not comparable. What an epoch learns is another matter:
larger batches take fewer steps. The last line is the finder's, by bytes on a CPU, by running out on a GPU.
"""

import argparse
import logging
import random
import statistics
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from models.startup import lean  # noqa: F401  the script runs from any folder; lean comes before Lightning
from models.data import digits
from models.energy.meter import Meter
from models.nets.transformer import Transformer
from models.optim.schedules import constant
from models.training.budget import Budget
from models.training.fit import Fitted, fit
from models.training.objective import CrossEntropy
from models.training.settings import Settings

SIZES = (8, 16, 32, 64, 128)
CEILING = 32 * 2**20


def train(size: int, steps: int, device: str, ceiling: int | None = None) -> Fitted:
    torch.manual_seed(0)
    own = {"find_batch": ceiling is not None, "memory_bytes": ceiling, "val_every": 10 * steps}
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(
            net=Transformer((1, 8, 8), 10, width=64, depth=2, patch=2),
            data=digits.load(batch_size=size),
            loss=CrossEntropy(),
            optimizer=partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.01, fused=True),
            scheduler=constant,
            settings=Settings(accelerator="cpu" if device == "cpu" else "gpu", **own),
            budget=Budget(steps=steps),
            callbacks={},
            loggers=[],
            meter=meter,
            seed=0,
            folder=Path(folder),
        )
    meter.stop()
    return fitted


def compare(asked: argparse.Namespace) -> None:
    found: dict[int, list[Fitted]] = {size: [] for size in SIZES}
    for size in SIZES:
        train(size, 4, asked.device)  # not counted: first calls
    for _ in range(asked.rounds):
        for size in random.sample(SIZES, len(SIZES)):
            found[size].append(train(size, asked.examples // size, asked.device))
    method = found[SIZES[0]][0].energy.label
    print(f"transformer 2 x 64, digits, {asked.examples} examples, n = {asked.rounds}, joules {method}")
    for size, runs in found.items():
        print(f"  batch {size:4}   {line(runs, found[SIZES[0]])}")
    largest = train(SIZES[0], 1, asked.device, CEILING)
    facts = largest.facts["largest_batch"]
    under = f"largest batch under {CEILING / 2**20:.0f} MiB"
    print(f"  {under}: {facts['batch']}, limited by {facts['limit']}, tried {facts['tried']}")


def line(runs: list[Fitted], smallest: list[Fitted]) -> str:
    rate, bytes_ = (column(runs, f"train/{key}") for key in ("samples_per_second", "activation_bytes"))
    gains = [a / b for a, b in zip(rate, column(smallest, "train/samples_per_second"), strict=True)]
    joules = column(runs, "train/energy_j_per_sample")
    per = f"{1e3 * statistics.median(joules):7.3f} mJ each" if joules else "no joules"
    return (
        f"{statistics.median(rate):7.0f} examples/s, {statistics.median(gains):.2f} ({min(gains):.2f} to "
        f"{max(gains):.2f}) times the smallest's   {per}   {bytes_[0] / 2**20:6.2f} MiB"
    )


def column(runs: list[Fitted], key: str) -> list[float]:
    return [one.metrics[key] for one in runs if key in one.metrics]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("rounds", 3), ("examples", 2048), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    where = torch.cuda.get_device_name() if asked.device != "cpu" else f"CPU, {asked.threads} thread(s)"
    print(f"{where}, torch {torch.__version__}")
    compare(asked)


if __name__ == "__main__":
    main()

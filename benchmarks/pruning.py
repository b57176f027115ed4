"""What pruning brings by the clock, in accuracy and on disk, beside the same network unpruned.

    python benchmarks/pruning.py [--seeds 3] [--threads 1] [--device cpu] [--only NAME]

For each seed a network is trained, then pruned and fine-tuned (structured), or trained once dense and once
while it is pruned, in as many steps (gradual). Accuracy is of the test split, which nothing was tuned on;
points lost are means over seeds (least to most). Speed is the median call of a batch of 128, dense and pruned
in turns in one process. Bytes are those of the file that a trial stores.

Targets: structured pruning at half of the FLOPs at least 1.5 times faster and at most 1 point worse; gradual
pruning at 90 % at most 1 point worse, and smaller on disk.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  the script runs from any folder
from torch import nn  # noqa: E402

from models.compress.artefact import measure  # noqa: E402
from models.compress.compression import Compression  # noqa: E402
from models.compress.gains import speedup  # noqa: E402
from models.compress.gradual import Gradual  # noqa: E402
from models.compress.structured import Structured, flops_of  # noqa: E402
from models.data import digits, mnist1d  # noqa: E402
from models.data.dataset import Dataset  # noqa: E402
from models.energy.meter import Meter  # noqa: E402
from models.nets.cnn import CNN  # noqa: E402
from models.nets.mlp import MLP  # noqa: E402
from models.nets.transformer import Transformer  # noqa: E402
from models.optim.schedules import cosine  # noqa: E402
from models.pipeline import Pipeline  # noqa: E402
from models.training.budget import Budget  # noqa: E402
from models.training.evaluate import evaluate  # noqa: E402
from models.training.objective import CrossEntropy  # noqa: E402
from models.training.settings import Settings  # noqa: E402

BATCH = 128


@final
@dataclass(frozen=True)
class Case:
    """One network on one data set, and what compresses it."""

    name: str
    net: Callable[[], nn.Module]
    data: Dataset
    steps: int
    lr: float
    compression: Callable[[], Compression]


@final
@dataclass(frozen=True)
class Found:
    """Of one seed: dense and compressed accuracy, and ratios of dense to compressed."""

    dense: float
    final: float
    speed: float
    single: float
    bytes: float
    flops: float
    parameters: float


def run(case: Case, seed: int, device: str, control: bool) -> Found:
    """Train and compress; with `control` a dense network is trained apart, else it is the one compressed."""
    final, made = trained(case, seed, device, {"step": case.compression()})
    dense = trained(case, seed, device, {})[0] if control else made.trained
    data = made.context.data
    inputs = torch.cat([data.train.inputs] * (1 + BATCH // len(data.train)))[:BATCH]
    scores = [accuracy(net, data) for net in (dense, final)]
    counts = [sum(weight.numel() for weight in net.parameters()) for net in (dense, final)]
    return Found(
        *scores,
        speedup(dense, final, inputs),
        speedup(dense, final, inputs[:1]),
        measure(final) / measure(dense),
        flops_of(final, inputs[:1]) / flops_of(dense, inputs[:1]),
        counts[1] / counts[0],
    )


def trained(case: Case, seed: int, device: str, steps: dict[str, Compression]) -> tuple[nn.Module, Pipeline]:
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        made = Pipeline(
            steps,
            case.net(),
            data=case.data,
            loss=CrossEntropy(),
            optimizer=partial(torch.optim.AdamW, lr=case.lr, weight_decay=0.01, fused=True),
            scheduler=cosine,
            settings=Settings(accelerator="cpu" if device == "cpu" else "gpu"),
            budget=Budget(steps=case.steps),
            callbacks={},
            meter=Meter(),
            seed=seed,
            folder=Path(folder),
        )
        return made.compress(made.fit([]).net), made


def accuracy(net: nn.Module, data: Dataset) -> float:
    return evaluate(net, data.test, data.task, 512, data.classes)[0]["accuracy"]


def report(case: Case, found: list[Found]) -> None:
    lost = [100 * (one.dense - one.final) for one in found]
    dense = 100 * statistics.mean(one.dense for one in found)
    print(
        f"{case.name}, n = {len(found)} seeds: dense {dense:.1f} %, points lost {spread(lost, '.2f')}; "
        f"speed {ratio(found, 'speed')} at batch {BATCH}, {ratio(found, 'single')} at 1; "
        f"bytes {ratio(found, 'bytes', 3)}, FLOPs {ratio(found, 'flops', 3)}, "
        f"parameters {ratio(found, 'parameters', 3)} of the dense",
        flush=True,
    )


def ratio(found: list[Found], name: str, digits_shown: int = 2) -> str:
    return spread([getattr(one, name) for one in found], f".{digits_shown}f")


def spread(values: list[float], shown: str) -> str:
    low, high = min(values), max(values)
    return f"{statistics.mean(values):{shown}} ({low:{shown}} to {high:{shown}})"


def cases() -> list[Case]:
    images, signals = digits.load(batch_size=64), mnist1d.load(batch_size=128)
    half, longer = (partial(Structured, 0.5, finetune_steps=steps) for steps in (100, 400))
    ninety = partial(Gradual, 0.9)
    transformer = partial(Transformer, (1, 8, 8), 10, width=256, heads=8, patch=4)
    wide = partial(MLP, (1, 8, 8), 10, width=512, depth=2)
    return [
        Case("structured, transformer 2 x 256, digits", transformer, images, 200, 1e-3, half),
        Case("structured, mlp 2 x 512, digits", wide, images, 500, 1e-3, half),
        Case(
            "structured, cnn 3 x 64, mnist1d", lambda: CNN((1, 40), 10, width=64), signals, 600, 3e-3, longer
        ),
        Case("gradual 90 %, mlp 2 x 512, digits", wide, images, 500, 1e-3, ninety),
        Case("gradual 90 %, transformer 2 x 256, digits", transformer, images, 400, 1e-3, ninety),
    ]


def main(found_cases: Callable[[], list[Case]], text: str, controlled: tuple[str, ...]) -> None:
    """Run every case, or those whose name holds `--only`; `controlled` ones train a dense network apart."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="")
    asked: Any = parser.parse_args()
    torch.set_num_threads(asked.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    where = torch.cuda.get_device_name() if asked.device != "cpu" else f"CPU, {asked.threads} thread(s)"
    print(f"{where}, torch {torch.__version__}")
    for case in found_cases():
        if asked.only in case.name:
            control = case.name.startswith(controlled)
            report(case, [run(case, seed, asked.device, control) for seed in range(asked.seeds)])


if __name__ == "__main__":
    main(cases, __doc__, ("gradual",))

"""What each number format brings: bytes on disk, speed at batch 1 and 64, and what int8 costs in accuracy.

    python benchmarks/int8.py [--seeds 3] [--threads 1] [--only speed]

Speed: an MLP of width 2048 and a transformer of width 512, untrained, on 64 signals of 40 points; the 32-bit
network run eagerly and the compressed one are called in turns in one process, `--seeds` times, medians each.
Bytes are those of the file that a trial stores. Accuracy: points of the test split that static int8 loses
against the trained network that it was made of, scales set by the training split, per seed.

Targets of static int8: at most 0.27 of the bytes; on a processor with AMX at batch 64 at least 5 times as
fast for the MLP and 2.5 times for the transformer; at most 0.5 points lost on digits and MNIST-1D.
"""

import argparse
import copy
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

from models.backends.inductor import Inductor  # noqa: E402
from models.compress.artefact import measure  # noqa: E402
from models.compress.compiled import Compile  # noqa: E402
from models.compress.compression import Compression  # noqa: E402
from models.compress.context import Context  # noqa: E402
from models.compress.gains import speedup  # noqa: E402
from models.compress.half import Half  # noqa: E402
from models.compress.int8_dynamic import Int8Dynamic  # noqa: E402
from models.compress.int8_static import Int8Static  # noqa: E402
from models.compress.int8_weights import Int8Weights  # noqa: E402
from models.compress.processor import instructions, largest_activation  # noqa: E402
from models.data import digits, mnist1d  # noqa: E402
from models.data.dataset import Dataset  # noqa: E402
from models.energy.meter import Meter  # noqa: E402
from models.nets.mlp import MLP  # noqa: E402
from models.nets.transformer import Transformer  # noqa: E402
from models.optim.schedules import cosine  # noqa: E402
from models.pipeline import Pipeline  # noqa: E402
from models.training.budget import Budget  # noqa: E402
from models.training.evaluate import evaluate  # noqa: E402
from models.training.objective import CrossEntropy  # noqa: E402
from models.training.settings import Settings  # noqa: E402

BATCH = 64
OPTIONS: dict[str, Callable[[], dict[str, Compression]]] = {
    "fp16": lambda: {"fp16": Half("float16")},
    "bf16": lambda: {"bf16": Half("bfloat16")},
    "int8_weights": lambda: {"int8_weights": Int8Weights()},
    "compiled": lambda: {"compiled": Compile()},
    "bf16,compiled": lambda: {"bf16": Half("bfloat16"), "compiled": Compile()},
    "int8_dynamic": lambda: {"int8_dynamic": Int8Dynamic()},
    "int8_static": lambda: {"int8_static": Int8Static(batches=4)},
}


@final
@dataclass(frozen=True)
class Case:
    """A network, its data, and how it is trained."""

    name: str
    net: Callable[[], nn.Module]
    data: Dataset
    steps: int = 0
    lr: float = 1e-3


def pipeline(case: Case, steps: dict[str, Compression], seed: int, folder: str) -> Pipeline:
    return Pipeline(
        steps,
        case.net(),
        data=case.data,
        loss=CrossEntropy(),
        optimizer=partial(torch.optim.AdamW, lr=case.lr, weight_decay=0.01, fused=True),
        scheduler=cosine,
        settings=Settings(accelerator="cpu"),
        budget=Budget(steps=case.steps),
        callbacks={},
        meter=Meter(),
        seed=seed,
        folder=Path(folder),
    )


def speeds(case: Case, rounds: int) -> None:
    """A row per option: bytes, and times as fast at both batch sizes."""
    dense = case.net().eval()
    context = Context(case.data, "cpu", 0, "32-true", Path(), lambda net, *_: net, backends=(Inductor(),))
    inputs = case.data.train.inputs[:BATCH]
    print(
        f"\n{case.name}, n = {rounds} rounds   bytes, times as fast at batch {BATCH}, at batch 1, compiling"
    )
    for name, make in OPTIONS.items():
        final, steps = copy.deepcopy(dense), make()
        for step in steps.values():
            final = step.after(final, context)
        many, one = ([speedup(dense, final, x) for _ in range(rounds)] for x in (inputs, inputs[:1]))
        seconds = sum(step.facts.get("compile_seconds", 0.0) for step in steps.values())
        bytes_ratio = measure(final) / measure(dense)
        print(
            f"  {name:16}{bytes_ratio:6.3f}   {spread(many)}   {spread(one)}   {seconds:5.0f} s", flush=True
        )


def losses(case: Case, seeds: int) -> None:
    """Points that static int8 loses against the network that it was made of."""
    found: list[tuple[float, float]] = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        with tempfile.TemporaryDirectory() as folder:
            made = pipeline(case, {"int8_static": Int8Static()}, seed, folder)
            final = made.compress(made.fit([]).net)
        found.append((accuracy(made.trained, case.data), accuracy(final, case.data)))
    lost = [100 * (before - after) for before, after in found]
    mean = 100 * statistics.mean(before for before, _ in found)
    print(f"{case.name}, n = {seeds} seeds: {mean:.1f} %, points lost {spread(lost)}", flush=True)


def accuracy(net: nn.Module, data: Dataset) -> float:
    return evaluate(net, data.test, data.task, 512, data.classes)[0]["accuracy"]


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def cases() -> tuple[list[Case], list[Case]]:
    images, signals = digits.load(batch_size=64), mnist1d.load(batch_size=64)
    return [
        Case("MLP 3 x 2048", partial(MLP, (1, 40), 10, width=2048, depth=3), signals),
        Case("transformer 2 x 512", partial(Transformer, (1, 40), 10, width=512, depth=2, heads=8), signals),
    ], [
        Case("digits, MLP 256", partial(MLP, (1, 8, 8), 10, width=256), images, 600, 2e-3),
        Case("MNIST-1D, MLP 2 x 256", partial(MLP, (1, 40), 10, width=256, depth=2), signals, 1500, 2e-3),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=("speed", "accuracy"))
    asked: Any = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    bits = largest_activation().bit_length()
    print(f"CPU ({instructions()}), {asked.threads} thread(s), torch {torch.__version__}")
    print(f"int8_static, int8_dynamic: activations of {bits} bits")
    timed, scored = cases()
    for case in timed if asked.only != "accuracy" else []:
        speeds(case, asked.seeds)
    for case in scored if asked.only != "speed" else []:
        losses(case, asked.seeds)


if __name__ == "__main__":
    main()

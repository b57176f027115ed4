"""Which combination of compressions makes a transformer of width 512 fastest at no more than a point lost.

    python benchmarks/fastest_transformer.py [--seeds 3] [--threads 1] [--combos bf16+compiled ...]

A combination is a list of options of conf/compress, as `compress=[a,b]` takes it, joined by `+`, with keys of
an option after a colon, as `structured:flops=0.35`; any that `train.py` accepts will do. For each seed the
network is trained on MNIST-1D once per combination that acts before or during training, and once for all that
act after it; the speed is that of the dense network run eagerly against the final one, called in turns in one
process on a batch of 64 and on one signal. Accuracy is of the validation split, by which the combination is
chosen, and of the test split, which the report is for.

Target on a processor with AMX: at least 6 times as fast at batch 64, at most 1 point of test accuracy lost.
On others formats of few bits may slow it: each figure is of the instruction sets that are printed.
"""

import argparse
import copy
import logging
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  the script runs from any folder
from hydra.utils import instantiate  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from torch import nn  # noqa: E402

from models.compress.artefact import measure  # noqa: E402
from models.compress.compression import Compression  # noqa: E402
from models.compress.gains import speedup  # noqa: E402
from models.compress.processor import instructions  # noqa: E402
from models.data import mnist1d  # noqa: E402
from models.data.dataset import Dataset, Split  # noqa: E402
from models.energy.meter import Meter  # noqa: E402
from models.nets.transformer import Transformer  # noqa: E402
from models.optim.schedules import cosine  # noqa: E402
from models.pipeline import Pipeline  # noqa: E402
from models.training.budget import Budget  # noqa: E402
from models.training.evaluate import evaluate  # noqa: E402
from models.training.objective import CrossEntropy  # noqa: E402
from models.training.settings import Settings  # noqa: E402

BATCH, STEPS = 64, 400
COMBOS = (
    "int8_static",
    "structured+bf16+compiled",
    "structured+int8_static",
)


@final
@dataclass(frozen=True)
class Found:
    """Of one seed: points lost on both splits, times as fast at both batch sizes, share of the bytes."""

    val: float
    test: float
    many: float
    one: float
    bytes: float


def steps_of(combo: str) -> dict[str, Compression]:
    """The steps that the options' files describe."""
    found: dict[str, Compression] = {}
    for part in combo.split("+"):
        name, _, keys = part.partition(":")
        option = OmegaConf.load(ROOT / "conf" / "compress" / f"{name}.yaml")
        option[name] = OmegaConf.merge(option[name], OmegaConf.from_dotlist(keys.split(",") if keys else []))
        found |= {key: instantiate(node) for key, node in option.items()}
    return found


def pipeline(combo: str, net: nn.Module, data: Dataset, seed: int, folder: Path) -> Pipeline:
    meter = Meter()
    meter.start(torch.device("cpu"))  # a network that is trained already is compressed without a `fit`
    return Pipeline(
        steps_of(combo) if combo else {},
        net,
        data=data,
        loss=CrossEntropy(),
        optimizer=partial(torch.optim.AdamW, lr=5e-4, weight_decay=0.01, fused=True),
        scheduler=cosine,
        settings=Settings(accelerator="cpu", precision="bf16-mixed"),
        budget=Budget(steps=STEPS),
        callbacks={},
        meter=meter,
        seed=seed,
        folder=folder,
    )


def network(depth: int) -> nn.Module:
    return Transformer((1, 40), 10, width=512, depth=depth, heads=8)


def run(combo: str, dense: nn.Module, data: Dataset, seed: int) -> Found:
    """Compress a copy of the trained network, or train anew if a step acts before the end of training."""
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(seed)
        made = pipeline(combo, copy.deepcopy(dense), data, seed, Path(folder))
        kinds = [type(step) for step in made.steps.values()]
        early = any(kind.before is not Compression.before for kind in kinds) or any(
            kind.callbacks is not Compression.callbacks or kind.objective is not Compression.objective
            for kind in kinds
        )
        net = copy.deepcopy(dense)
        if early:
            torch.manual_seed(seed)
            made = pipeline(combo, network(len(dense.blocks) - 1), data, seed, Path(folder))
            net = made.fit([]).net
        final = made.compress(net.train())
    inputs = data.train.inputs[:BATCH]
    return Found(
        *(
            100 * (accuracy(dense, data, split) - accuracy(final, data, split))
            for split in (data.val, data.test)
        ),
        speedup(dense, final, inputs),
        speedup(dense, final, inputs[:1]),
        measure(final) / measure(dense),
    )


def trained(data: Dataset, depth: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        return pipeline("", network(depth), data, seed, Path(folder)).fit([]).net.eval()


def accuracy(net: nn.Module, data: Dataset, split: Split) -> float:
    return evaluate(net, split, data.task, 256, data.classes)[0]["accuracy"]


def report(combo: str, found: list[Found], seconds: float) -> None:
    shown = [
        f"{label} {spread([getattr(one, name) for one in found])}"
        for label, name in (
            ("at batch 64", "many"),
            ("at 1", "one"),
            ("points lost: val", "val"),
            ("test", "test"),
        )
    ]
    print(f"  {combo}\n    {'; '.join(shown)}; bytes {found[0].bytes:.3f}; {seconds:.0f} s", flush=True)


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--combos", nargs="+", default=COMBOS)
    asked: Any = parser.parse_args()
    torch.set_num_threads(asked.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    data = mnist1d.load(batch_size=BATCH)
    nets = [trained(data, asked.depth, seed) for seed in range(asked.seeds)]
    mean = 100 * statistics.mean(accuracy(net, data, data.test) for net in nets)
    print(f"CPU ({instructions()}), {asked.threads} thread(s), torch {torch.__version__}")
    print(f"transformer {asked.depth} x 512, n = {asked.seeds} seeds, dense {mean:.1f} % in test", flush=True)
    for combo in asked.combos:
        started = time.perf_counter()
        found = [run(combo, net, data, seed) for seed, net in enumerate(nets)]
        report(combo, found, time.perf_counter() - started)


if __name__ == "__main__":
    main()

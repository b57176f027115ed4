"""bf16 beside fp32 training of a wide and a narrow transformer, and what precision=auto chooses.

    python benchmarks/mixed_precision.py [--seeds 3] [--steps 50] [--threads 1] [--device cpu]

For each seed both precisions train the same network from the same weights on the same batches of digits
(patches of 4 x 4, batch 128), in changing order, in one process, by the lab's own `fit`. Seconds are those of
the training, its validations included. Scores are accuracies on the validation split at the end; the test
split is not looked at. `auto` is asked once for each seed.

Targets: at width 512 at least 1.5 times faster at an equal score; at width 128 a CPU is slower in bf16, and
auto chooses what is faster at each width.
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
from models.optim.schedules import cosine
from models.training.budget import Budget
from models.training.fit import Fitted, fit
from models.training.objective import CrossEntropy
from models.training.settings import Settings

PRECISIONS = ("32-true", "bf16-mixed")


def train(width: int, seed: int, steps: int, precision: str, device: str) -> Fitted:
    torch.manual_seed(seed)
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(
            net=Transformer((1, 8, 8), 10, width=width, depth=2, heads=8, patch=4),
            data=digits.load(batch_size=128),
            loss=CrossEntropy(),
            optimizer=partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.01, fused=True),
            scheduler=cosine,
            settings=Settings(accelerator="cpu" if device == "cpu" else "gpu", precision=precision),
            budget=Budget(steps=steps),
            callbacks={},
            loggers=[],
            meter=meter,
            seed=seed,
            folder=Path(folder),
        )
    meter.stop()
    return fitted


def compare(width: int, asked: argparse.Namespace) -> None:
    found: dict[str, list[Fitted]] = {precision: [] for precision in PRECISIONS}
    for precision in PRECISIONS:
        train(width, 0, 2, precision, asked.device)  # not counted: first calls
    chosen = []
    for seed in range(asked.seeds):
        for precision in random.sample(PRECISIONS, 2):
            found[precision].append(train(width, seed, asked.steps, precision, asked.device))
        chosen.append(train(width, seed, 1, "auto", asked.device))
    plain, mixed = (found[precision] for precision in PRECISIONS)
    gains = [one.seconds / other.seconds for one, other in zip(plain, mixed, strict=True)]
    print(f"\ntransformer 2 x {width}, digits, {asked.steps} steps, n = {asked.seeds} seeds")
    for precision, runs in found.items():
        scores = [one.curve[-1]["val/accuracy"] for one in runs]
        took = statistics.median(one.seconds for one in runs)
        print(f"  {precision:11}{took:7.2f} s   val/accuracy {spread(scores, 4)}")
    pairs = zip(plain, mixed, strict=True)
    lost = [one.curve[-1]["val/accuracy"] - two.curve[-1]["val/accuracy"] for one, two in pairs]
    fastest = min(one.seconds for one in plain) / min(one.seconds for one in mixed)
    print(
        f"  bf16 is {spread(gains, 2)} times as fast, fastest {fastest:.2f}; accuracy lost {spread(lost, 4)}"
    )
    for one in chosen:
        print(f"  auto: {one.facts['precision_reason']}")


def spread(values: list[float], digits: int) -> str:
    low, middle, high = (f"{f(values):.{digits}f}" for f in (min, statistics.median, max))
    return f"{middle} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("seeds", 3), ("steps", 50), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    where = torch.cuda.get_device_name() if asked.device != "cpu" else f"CPU, {asked.threads} thread(s)"
    print(f"{where}, torch {torch.__version__}")
    for width in (512, 128):
        compare(width, asked)


if __name__ == "__main__":
    main()

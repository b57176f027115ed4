"""What a training step costs here, beside a bare PyTorch loop and beside Lightning as it comes.

    python benchmarks/step_overhead.py [--rounds 7] [--threads 1] [--device cpu]

In each round the three train the same network on the same examples with the same fused AdamW and cosine, in
changing order, in one process. Ours has all on: NaN checks, gradient norms, learning curve with validations
at ten points, a checkpoint at every quarter and at the end, the meter, CSV. The bare loop draws from the same
batches in memory and validates at the same ten points, so the ratio is what the engine adds to a step. What
Lightning's defaults are: DataLoader, automatic optimization, `self.log` of the loss at each step, its own
validation after each epoch, its CSV logger, its checkpoint. Seconds are wall time from the first step to the
end of training, start-up left out; CPU seconds are the training thread's. Ratios are medians over the rounds
(least to most), and of the fastest round of each, which other work on the machine disturbs least.

Targets: 1.05 for the transformer, 1.25 for the digits MLP.
"""

import argparse
import contextlib
import io
import logging
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  the script runs from any folder
from lightning.pytorch import Callback, LightningModule, Trainer  # noqa: E402
from lightning.pytorch.loggers import CSVLogger  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from models.data import digits, mnist1d  # noqa: E402
from models.data.batches import Batches  # noqa: E402
from models.data.dataset import Dataset, Split  # noqa: E402
from models.energy.meter import Meter  # noqa: E402
from models.nets.mlp import MLP  # noqa: E402
from models.nets.transformer import Transformer  # noqa: E402
from models.optim.groups import groups  # noqa: E402
from models.optim.schedules import cosine  # noqa: E402
from models.training.budget import Budget  # noqa: E402
from models.training.callbacks.checkpoint import Checkpoint  # noqa: E402
from models.training.callbacks.divergence import Divergence  # noqa: E402
from models.training.evaluate import evaluate  # noqa: E402
from models.training.fit import fit  # noqa: E402
from models.training.objective import CrossEntropy  # noqa: E402
from models.training.settings import Settings  # noqa: E402

ADAMW = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.01, fused=True)


@final
@dataclass(frozen=True)
class Case:
    """One network on one data set; `target` is the ratio to stay below."""

    name: str
    net: Callable[[], nn.Module]
    data: Dataset
    steps: int
    target: float


@final
@dataclass(frozen=True)
class Seconds:
    """Of the steps of one training."""

    wall: float
    cpu: float


@final
class Stopwatch(Callback):
    """Around the steps of a training, the start-up of the trainer left out; it has no batch hook."""

    def __init__(self, device: str) -> None:
        self.device = device

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self.began = now(self.device)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """End, after every callback's own end."""
        ended = now(self.device)
        self.seconds = Seconds(ended[0] - self.began[0], ended[1] - self.began[1])


def now(device: str) -> tuple[float, float]:
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter(), time.thread_time()


def bare(case: Case, device: str) -> Seconds:
    """The loop that one writes by hand, with batches from memory."""
    net, data = case.net().to(device), case.data.to(device)
    optimizer, loss_of = ADAMW(groups(net, 0.01)), nn.CrossEntropyLoss()
    batches = Batches(data.train, data.batch_size, 0)
    began = now(device)
    for step in range(case.steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * cosine((step + 0.5) / case.steps)
        inputs, targets = next(batches)
        optimizer.zero_grad()
        loss_of(net(inputs), targets).backward()
        optimizer.step()
        if (step + 1) % (case.steps // 10) == 0:
            evaluate(net, data.val, data.task, 4 * data.batch_size, data.classes)
    ended = now(device)
    return Seconds(ended[0] - began[0], ended[1] - began[1])


def ours(case: Case, device: str) -> Seconds:
    """The lab's `fit`, everything on."""
    watch = Stopwatch(device)
    with tempfile.TemporaryDirectory() as folder:
        fit(
            net=case.net(),
            data=case.data,
            loss=CrossEntropy(),
            optimizer=ADAMW,
            scheduler=cosine,
            settings=Settings(accelerator="cpu" if device == "cpu" else "gpu"),
            budget=Budget(steps=case.steps),
            callbacks={
                "watch": watch,
                "divergence": Divergence(),
                "checkpoint": Checkpoint(60.0, every_steps=case.steps // 4),
            },
            loggers=[CSVLogger(folder, name="", version="csv")],
            meter=Meter(),
            seed=0,
            folder=Path(folder),
        )
    return watch.seconds


@final
class Plain(LightningModule):
    """What Lightning's introduction teaches."""

    def __init__(self, net: nn.Module, steps: int) -> None:
        super().__init__()
        self.net, self.steps, self.loss = net, steps, nn.CrossEntropyLoss()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch, logged."""
        loss = self.loss(self.net(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Loss and accuracy of a batch, logged."""
        logits = self.net(batch[0])
        self.log("val/loss", self.loss(logits, batch[1]))
        self.log("val/accuracy", (logits.argmax(-1) == batch[1]).float().mean())

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW and a cosine."""
        optimizer = ADAMW(groups(self.net, 0.01))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def defaults(case: Case, device: str) -> Seconds:
    """Lightning as it comes."""
    watch = Stopwatch(device)
    train, val = (loader(split, case.data.batch_size) for split in (case.data.train, case.data.val))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        accelerator = "cpu" if device == "cpu" else "gpu"
        trainer = Trainer(
            max_steps=case.steps,
            accelerator=accelerator,
            devices=1,
            callbacks=[watch],
            default_root_dir=folder,
        )
        trainer.fit(Plain(case.net(), case.steps), train, val)
    return watch.seconds


def loader(split: Split, batch_size: int) -> DataLoader[Any]:
    return DataLoader(TensorDataset(split.inputs, split.targets), batch_size=batch_size, shuffle=True)


def cases() -> list[Case]:
    signals = mnist1d.load(batch_size=64, val_size=256)
    images = digits.load(batch_size=128)
    return [
        Case("transformer 2 x 128", lambda: Transformer((1, 40), 10, width=128), signals, 200, 1.05),
        Case("digits MLP 64-128-10", lambda: MLP((1, 8, 8), 10, width=128), images, 1000, 1.25),
    ]


def compare(case: Case, rounds: int, device: str) -> None:
    ways: dict[str, Callable[[Case, str], Seconds]] = {"bare": bare, "ours": ours, "defaults": defaults}
    found: dict[str, list[Seconds]] = {way: [] for way in ways}
    for way in ways.values():
        # Not counted: first calls import, compile kernels and fill caches.
        way(replace(case, steps=10), device)
    for _ in range(rounds):
        for way in random.sample(sorted(ways), len(ways)):
            found[way].append(ways[way](case, device))
    micro = {
        way: 1e6 * statistics.median(one.wall for one in runs) / case.steps for way, runs in found.items()
    }
    print(f"\n{case.name}, batch {case.data.batch_size}, {case.steps} steps, n = {rounds} rounds")
    print(f"  {'bare loop':20}{micro['bare']:9.0f} us a step")
    for way, goal in (("ours", f"   target {case.target}"), ("defaults", "")):
        wall, cpu = (ratios(found, way, clock) for clock in ("wall", "cpu"))
        print(f"  {way:20}{micro[way]:9.0f} us a step   wall {wall}   CPU {cpu}{goal}", flush=True)


def ratios(found: dict[str, list[Seconds]], way: str, clock: str) -> str:
    each = [getattr(a, clock) / getattr(b, clock) for a, b in zip(found[way], found["bare"], strict=True)]
    fastest = min(getattr(one, clock) for one in found[way]) / min(
        getattr(one, clock) for one in found["bare"]
    )
    return f"{statistics.median(each):.3f} ({min(each):.3f} to {max(each):.3f}), fastest {fastest:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    where = torch.cuda.get_device_name() if asked.device != "cpu" else f"CPU, {asked.threads} thread(s)"
    print(f"{where}, torch {torch.__version__}")
    for case in cases():
        compare(case, asked.rounds, asked.device)


if __name__ == "__main__":
    main()

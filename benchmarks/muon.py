"""Whether Muon reaches the loss of a tuned AdamW on the byte GPT in 0.75 of its steps, and at what cost.

    python benchmarks/muon.py [--steps 300] [--seeds 5] [--rates 4] [--device cpu]

Both are tuned over the same number of learning rates, each a factor of 2 from the next, on the same budget of
steps, on the validation split, with a seed that is not used again. Muon's AdamW for embeddings, read-out and
gains has a quarter of its rate, as in its option: of 0.003, 0.01 and 0.02 beside 0.04, 0.01 was best after
120 steps on one more seed. Then, on fresh seeds, AdamW trains for all of the steps and Muon for shares of
them, each with its whole schedule inside its own steps; seeds pair the initial weights and the order of
batches. Losses are of the whole test split, in bits per byte, after the last step. Intervals are 95 %
t-intervals of the paired differences.

Muon's steps cost more than AdamW's, so beside the share of the steps stands that of the CPU seconds (of the
process with all threads, steps only; joules without a counter are in proportion), and AdamW trains for as
many CPU seconds as Muon too: only what is left beside that is a gain at equal cost.

Target: at 0.75 of the steps the mean difference is 0 or below.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  the script runs from any folder
from scipy.stats import t as student  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from torch.optim import AdamW, Optimizer  # noqa: E402

from models.data import pytext  # noqa: E402
from models.data.batches import Batches  # noqa: E402
from models.data.dataset import Dataset, Split  # noqa: E402
from models.nets.gpt import GPT  # noqa: E402
from models.optim.groups import optimizer_for  # noqa: E402
from models.optim.muon import MuonAdamW  # noqa: E402
from models.optim.schedules import cosine  # noqa: E402
from models.training.evaluate import evaluate  # noqa: E402

SHARES = (0.75, 0.625, 0.5)
TUNING_SEED = 1000
RATES = {"adamw": (0.008, 0.016, 0.004, 0.032, 0.002, 0.064), "muon": (0.02, 0.04, 0.01, 0.08, 0.005, 0.16)}
"""from the middle outwards, so that fewer are still around it"""


@final
class Bench:
    """One network, one text, one device."""

    def __init__(self, device: str, width: int, depth: int) -> None:
        self.data: Dataset = pytext.load(batch_size=8, shape=(128,)).to(torch.device(device))
        self.device, self.width, self.depth = device, width, depth
        self.cpu_seconds = 0.0

    def timed(self, name: str, rate: float, steps: int, seeds: int) -> tuple[list[float], float]:
        """Bits per byte of the test split for each seed, and the mean CPU seconds of a training."""
        self.cpu_seconds = 0.0
        found = [self.trained(name, rate, steps, seed, "test") for seed in range(seeds)]
        return found, self.cpu_seconds / seeds

    def trained(self, name: str, rate: float, steps: int, seed: int, split: str) -> float:
        """Bits per byte of a split after `steps` steps; what they took is added to `cpu_seconds`."""
        torch.manual_seed(seed)
        net = GPT(self.data.shape, 256, width=self.width, depth=self.depth, heads=4).to(self.device)
        optimizer = optimizer_for(make(name, rate), net)
        batches = Batches(self.data.train, self.data.batch_size, seed)
        began = time.process_time()
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * cosine((step + 0.5) / steps)
            inputs, targets = next(batches)
            optimizer.zero_grad()
            cross_entropy(net(inputs).flatten(0, 1), targets.flatten()).backward()
            optimizer.step()
        self.cpu_seconds += time.process_time() - began
        return self.score(net, getattr(self.data, split))

    def score(self, net: torch.nn.Module, split: Split) -> float:
        """Bits per byte; one that diverged is infinitely bad."""
        bits = evaluate(net, split, "language", 64, 256)[0]["bits_per_byte"]
        return bits if math.isfinite(bits) else math.inf

    def tuned(self, name: str, steps: int, rates: int) -> float:
        """The learning rate with the lowest validation loss."""
        found = {
            rate: self.trained(name, rate, steps, TUNING_SEED, "val") for rate in sorted(RATES[name][:rates])
        }
        best = min(found, key=lambda rate: found[rate])
        shown = "  ".join(f"{rate:g}: {bits:.4f}" for rate, bits in found.items())
        edge = "  (at the edge of its range)" if best in (min(found), max(found)) else ""
        print(f"  {name:6} val bits per byte by lr   {shown}   best {best:g}{edge}", flush=True)
        return best


def make(name: str, rate: float) -> Callable[..., Optimizer]:
    """Equal but for what is compared: the betas and the decay of AdamW are those of Muon's own."""
    if name == "adamw":
        return partial(AdamW, lr=rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    return partial(MuonAdamW, lr=rate, adamw_lr=rate / 4, betas=(0.9, 0.95), weight_decay=0.01)


def interval(differences: list[float]) -> tuple[float, float]:
    """Mean and half of its 95 % t-interval."""
    count = len(differences)
    spread = statistics.stdev(differences) / math.sqrt(count)
    return statistics.mean(differences), float(student.ppf(0.975, count - 1)) * spread


def compare(bench: Bench, steps: int, seeds: int, rates: int) -> None:
    best = {name: bench.tuned(name, steps, rates) for name in RATES}
    goals, usual = bench.timed("adamw", best["adamw"], steps, seeds)
    print(f"  adamw  test bits per byte {statistics.mean(goals):.4f} after {steps} steps, n = {seeds} seeds")
    enough = None
    for share in SHARES:
        taken = round(share * steps)
        found, cost = bench.timed("muon", best["muon"], taken, seeds)
        differences = [ours - goal for ours, goal in zip(found, goals, strict=True)]
        mean, half = interval(differences)
        reached = sum(difference <= 0 for difference in differences)
        equal, spent = bench.timed("adamw", best["adamw"], max(1, round(steps * cost / usual)), seeds)
        level, wide = interval([ours - other for ours, other in zip(found, equal, strict=True)])
        print(
            f"  muon   test bits per byte {statistics.mean(found):.4f} after {taken} steps ({share:g}): "
            f"{mean:+.4f} +- {half:.4f} against adamw, reached on {reached} of {seeds} seeds",
            flush=True,
        )
        print(
            f"         {cost / usual:.2f} of its CPU seconds; against adamw for {spent / usual:.2f} of them "
            f"{level:+.4f} +- {wide:.4f}",
            flush=True,
        )
        if mean <= 0:
            enough = share
    print(f"  least share of AdamW's steps that reached its loss: {enough}   target 0.75")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rates", type=int, default=4, choices=range(3, 7))
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    where = torch.cuda.get_device_name() if asked.device != "cpu" else f"CPU, {asked.threads} thread(s)"
    print(f"{where}, torch {torch.__version__}; GPT {asked.depth} x {asked.width}, batch 8 x 128 bytes")
    began = time.perf_counter()
    compare(Bench(asked.device, asked.width, asked.depth), asked.steps, asked.seeds, asked.rates)
    print(f"  {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

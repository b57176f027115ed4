"""How well each sequence mixer recalls: MQAR accuracy beside the size of the state that recalls.

    python benchmarks/mqar_mixers.py [--seeds 3] [--mixers softmax,linear,gated,delta]

One block of the GPT with one head, alike but for its mixer, trained on multi-query associative recall
(Arora et al. 2023, Zoology, arXiv 2312.04927). A convolution over two tokens lets every mixer see which key a
value came after, as the paper's networks have; without it one block could not. Each mixer's learning rate is
the smallest of one grid within a point of the best by validation accuracy, with seed 0; the seeds of the
table are fresh, and its accuracy is of the test split. CPU seconds are of one training.

Expected: softmax above 0.95; linear attention below that, since it can only add to its state, which is a
quarter of softmax's cache; the delta rule, which replaces what it held for a key, above linear attention at
the same state (Schlag et al. 2021, arXiv 2102.11174; Yang et al. 2024, arXiv 2406.06484).
"""

import argparse
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  the script runs from any folder

from models.data import mqar  # noqa: E402
from models.data.batches import Batches  # noqa: E402
from models.data.dataset import UNSCORED, Dataset, Split  # noqa: E402
from models.nets.gpt import GPT  # noqa: E402
from models.optim.groups import groups  # noqa: E402
from models.optim.schedules import cosine  # noqa: E402

LENGTH, PAIRS, CLASSES, BATCH, STEPS = 64, 16, 64, 32, 500
RATES = (0.003, 0.01, 0.03)
NET = {"width": 32, "heads": 1, "depth": 1, "expansion": 2, "convolution": 2}


@final
@dataclass(frozen=True)
class Trained:
    """A network after its last step."""

    net: GPT
    cpu_seconds: float


def train(mixer: str, rate: float, seed: int, data: Dataset) -> Trained:
    """The same examples in the same order for each mixer, by AdamW with warm-up, cosine and clipping."""
    torch.manual_seed(seed)
    net = GPT(data.shape, data.classes, "recall", pattern=mixer, **NET)
    optimizer = torch.optim.AdamW(groups(net, 0.01), lr=rate, fused=True)
    schedule = partial(cosine, warmup=0.1)
    batches = Batches(data.train, BATCH, seed)
    began = time.process_time()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate * schedule((step + 0.5) / STEPS)
        inputs, targets = next(batches)
        optimizer.zero_grad()
        asked = targets != UNSCORED
        torch.nn.functional.cross_entropy(net(inputs)[asked], targets[asked]).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return Trained(net.eval(), time.process_time() - began)


@torch.no_grad()
def accuracy(net: GPT, split: Split) -> float:
    """The share of queries that are answered with their value."""
    asked = split.targets != UNSCORED
    return float((net(split.inputs.long()).argmax(-1)[asked] == split.targets[asked]).float().mean())


def row(mixer: str, seeds: int, data: Dataset) -> str:
    """Choose the rate, then train the fresh seeds."""
    tried = {rate: accuracy(train(mixer, rate, 0, data).net, data.val) for rate in RATES}
    best = min(rate for rate, score in tried.items() if score >= max(tried.values()) - 0.01)
    trained = [train(mixer, best, seed, data) for seed in range(1, seeds + 1)]
    scores = [accuracy(one.net, data.test) for one in trained]
    state = trained[0].net.state_bytes(LENGTH)
    seconds = statistics.median(one.cpu_seconds for one in trained)
    deviation = statistics.stdev(scores) if seeds > 1 else 0.0
    grid = " ".join(f"{rate:g}:{score:.3f}" for rate, score in tried.items())
    return (
        f"{mixer:8} {statistics.mean(scores):.3f} +- {deviation:.3f} ({min(scores):.3f} to {max(scores):.3f})"
        f" {state:11,} {best:6g} {seconds:8.1f}   {grid}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--mixers", default="softmax,linear,gated,delta")
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = mqar.load(batch_size=BATCH, shape=[LENGTH], classes=CLASSES, pairs=PAIRS)
    print(f"{PAIRS} pairs in {LENGTH} tokens of {CLASSES}, {NET}, {STEPS} steps of {BATCH}, ", end="")
    print(f"n={args.seeds}, cpu {platform.processor() or platform.machine()}, torch {torch.__version__}")
    print("mixer    test accuracy, standard deviation, range  state bytes  rate  CPU s   validation by rate")
    for mixer in args.mixers.split(","):
        print(row(mixer, args.seeds, data), flush=True)


if __name__ == "__main__":
    main()

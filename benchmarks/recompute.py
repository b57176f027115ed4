"""Gradient checkpointing on 24 blocks: what it saves in memory and costs in time, beside the plain network.

    python benchmarks/recompute.py [--rounds 7] [--depth 24] [--width 128] [--patch 4]
        [--dropout 0] [--threads 1] [--device cpu]

A transformer on signals of MNIST-1D's shape takes training steps (forward, backward, AdamW). In each round
plain, `recompute=[blocks.*]`, and the same with `recompute_keep=matmuls` take turns in changing order, so
that other work on the machine slows them alike. Bytes are `train/activation_bytes`: the most that tensors of
a step hold at once besides weights and their gradients, the same in every run. Gradients are compared bit for
bit. Time ratios are medians over the rounds (least to most), by the clock and in CPU seconds, and of the
fastest round of each.

Sizes are those of `model=transformer`, but for the depth and the width. Elementwise work is all forward, so
it counts for more: with --patch 2 --dropout 0.1 the time came to 1.47 on one busy core, above the target.

Targets: bytes at most 0.4, time at most 1.4, for recomputed blocks.
"""

import argparse
import random
import statistics
import sys
import time
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.nets.transformer import Transformer
from models.training.memory import activation_bytes
from models.training.recompute import recompute

WAYS: dict[str, tuple[list[str] | None, str]] = {
    "plain": (None, "nothing"),
    "recomputed": (["blocks.*"], "nothing"),
    "recomputed, matmuls kept": (["blocks.*"], "matmuls"),
}
Seconds = tuple[float, float]
"""by the clock, and of the processor"""


def under(net: nn.Module, way: str) -> AbstractContextManager[Any]:
    patterns, keep = WAYS[way]
    return recompute(net, patterns, keep)


def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return cross_entropy(net(batch[0]), batch[1])


def gradients(net: nn.Module, batch: tuple[Tensor, Tensor], way: str) -> list[Tensor]:
    net.zero_grad()
    torch.manual_seed(1)
    with under(net, way):
        loss_of(net, batch).backward()
    return [weight.grad.clone() for weight in net.parameters() if weight.grad is not None]


def seconds(net: nn.Module, optimizer: Any, batch: tuple[Tensor, Tensor], way: str) -> Seconds:
    """Of one training step."""
    with under(net, way):
        began = now(batch[0])
        optimizer.zero_grad()
        loss_of(net, batch).backward()
        optimizer.step()
        ended = now(batch[0])
    return ended[0] - began[0], ended[1] - began[1]


def now(tensor: Tensor) -> Seconds:
    if tensor.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def compare(asked: argparse.Namespace) -> None:
    torch.manual_seed(0)
    device, sizes = torch.device(asked.device), {"width": asked.width, "depth": asked.depth}
    net = Transformer((1, 40), 10, patch=asked.patch, dropout=asked.dropout, **sizes).to(device)
    batch = torch.randn(64, 1, 40, device=device), torch.randint(0, 10, (64,), device=device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5, fused=True)
    held, exact, plain = {}, {}, gradients(net, batch, "plain")
    for way in WAYS:
        with under(net, way):
            held[way] = activation_bytes(net, partial(loss_of, net, batch))
        exact[way] = all(map(torch.equal, plain, gradients(net, batch, way)))
    taken: dict[str, list[Seconds]] = {way: [] for way in WAYS}
    for way in WAYS:
        seconds(net, optimizer, batch, way)  # not counted: first calls compile kernels and fill caches
    for _ in range(asked.rounds):
        for way in random.sample(sorted(WAYS), len(WAYS)):
            taken[way].append(seconds(net, optimizer, batch, way))
    shape = f"{asked.depth} x {asked.width}, dropout {asked.dropout}, {40 // asked.patch} tokens, batch 64"
    print(f"transformer {shape}, n = {asked.rounds} rounds")
    for way in WAYS:
        show(way, held[way] / held["plain"], held[way], taken[way], taken["plain"], exact[way])


def show(way: str, share: float, held: int, taken: list[Seconds], plain: list[Seconds], exact: bool) -> None:
    wall, cpu = (ratio([one[i] for one in taken], [one[i] for one in plain]) for i in (0, 1))
    step = statistics.median(one[0] for one in taken)
    print(f"  {way:25}{held / 2**20:7.1f} MiB  bytes {share:.3f}   {1e3 * step:6.0f} ms a step")
    print(f"    time {wall}   CPU {cpu}   gradients {'equal' if exact else 'DIFFER'}")


def ratio(taken: list[float], plain: list[float]) -> str:
    each = [one / other for one, other in zip(taken, plain, strict=True)]
    fastest = min(taken) / min(plain)
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f}), fastest {fastest:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("rounds", 7), ("depth", 24), ("width", 128), ("patch", 4), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    where = torch.cuda.get_device_name() if asked.device != "cpu" else f"CPU, {asked.threads} thread(s)"
    print(f"{where}, torch {torch.__version__}")
    compare(asked)


if __name__ == "__main__":
    main()

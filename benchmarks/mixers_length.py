"""Time and memory of each sequence mixer against the length of the sequence.

    python benchmarks/mixers_length.py [--rounds 3] [--width 64] [--heads 4] [--window 64] [--threads 1]

One causal mixer with its projections, float32, one sequence. In each round every mixer runs at every length,
in changing order, in one process: a forward pass without gradients, then a forward and a backward pass.
Seconds are medians over the rounds (least to most). Bytes are the most that the tensors made on the way held
at once, which no clock disturbs. The exponent is the slope of log seconds, or log bytes, against log length
from 2,048 on, where calls of a few microseconds no longer hide the arithmetic: 1 is linear, 2 quadratic.
The ratio is softmax's seconds over the mixer's at the longest length, median of the rounds.

Targets: exponents of linear, gated and delta about 1; a ratio above 1 at 8,192.
"""

import argparse
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402  the script runs from any folder
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from models.nets.mixers.choice import NAMES, mixer  # noqa: E402
from models.training.memory import LiveBytes  # noqa: E402

LENGTHS = (512, 1024, 2048, 4096, 8192)
FITTED = (2048, 4096, 8192)
Table = dict[tuple[str, str, int], list[float]]
"""(pass, mixer, length) -> what each round took"""


def forward(net: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        net(x)


def train(net: nn.Module, x: Tensor) -> None:
    net(x).sum().backward()


PASSES: dict[str, Callable[[nn.Module, Tensor], None]] = {"forward": forward, "forward+backward": train}


def seconds(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def live_bytes(run: Callable[[], None]) -> int:
    with LiveBytes() as live:
        run()
    return live.peak


def measure(nets: dict[str, nn.Module], width: int, rounds: int) -> tuple[Table, Table]:
    """Seconds of all rounds and bytes, which are the same in each."""
    cases = {
        (kind, name, length): partial(call, net, torch.randn(1, length, width))
        for kind, call in PASSES.items()
        for name, net in nets.items()
        for length in LENGTHS
    }
    # The first call of each also warms it up.
    held: Table = {case: [float(live_bytes(run))] for case, run in cases.items()}
    took: Table = {case: [] for case in cases}
    for _ in range(rounds):
        order = list(cases)
        random.shuffle(order)
        for case in order:
            took[case].append(seconds(cases[case]))
    return took, held


def exponent(table: Table, kind: str, name: str) -> float:
    """The slope of log against log length over the fitted lengths."""
    medians = [statistics.median(table[kind, name, length]) for length in FITTED]
    return float(np.polyfit(np.log(FITTED), np.log(medians), 1)[0])


def spread(values: list[float], scale: float = 1.0) -> str:
    low, middle, high = (scale * pick(values) for pick in (min, statistics.median, max))
    return f"{middle:.4g} ({low:.4g} to {high:.4g})"


def report(took: Table, held: Table) -> None:
    first, last = LENGTHS[0], LENGTHS[-1]
    for kind in PASSES:
        print(f"\n{kind}: ms, the exponent of time, softmax's time over it, live MB, the exponent of memory")
        print(f"{'':8}{f'ms at {first}':>11}{f'ms at {last}':>26}{'exp.':>7}", end="")
        print(f"{'softmax / it':>25}{'MB':>8}{'exp.':>7}")
        for name in NAMES:
            short, long, soft = took[kind, name, first], took[kind, name, last], took[kind, "softmax", last]
            ratios = [a / b for a, b in zip(soft, long, strict=True)]
            print(
                f"{name:8}{1e3 * statistics.median(short):11.2f}{spread(long, 1e3):>26}"
                f"{exponent(took, kind, name):7.2f}{spread(ratios):>25}"
                f"{held[kind, name, last][0] / 1e6:8.1f}{exponent(held, kind, name):7.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for key, default in (("rounds", 3), ("width", 64), ("heads", 4), ("window", 64), ("threads", 1)):
        parser.add_argument(f"--{key}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    random.seed(0)
    options = {"causal": True, "rotary": False, "window": args.window}
    nets = {name: mixer(name, args.width, args.heads, LENGTHS[-1], **options) for name in NAMES}
    took, held = measure(nets, args.width, args.rounds)
    print(
        f"width {args.width}, {args.heads} heads, window {args.window}, one sequence, n={args.rounds}, ",
        end="",
    )
    print(
        f"{args.threads} thread(s), torch {torch.__version__}, {platform.processor() or platform.machine()}"
    )
    report(took, held)
    for name in NAMES:
        sizes = ", ".join(f"{length}: {nets[name].state_bytes(length):,}" for length in (512, 8192))
        print(f"state bytes of {name} at {sizes}")


if __name__ == "__main__":
    main()

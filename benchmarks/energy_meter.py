"""What counting joules costs a trial: its fixed cost, and training steps with the meter beside steps without.

    python benchmarks/energy_meter.py [--pairs 6] [--slice 2.0] [--device cpu]

The digits MLP trains in turns with and without a running meter, order swapped from pair to pair, in one
process and one thread. Ratios are of CPU seconds per step, the meter's threads included: median (least to
most) over the pairs. That is noisy; the share of a core that the meter's threads take beside a process that
sleeps is not. The fixed cost is what a trial pays once: build, start, twenty readings of the curve, the
windows of training and inference without their contents, stop. The first one includes CodeCarbon's detection
of the hardware, which a fork server pays once for all trials by importing models.warm.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  the script runs from any folder
from torch import nn  # noqa: E402

from models.energy import Meter  # noqa: E402


def one_trial(device: str) -> None:
    """All that a trial asks of a meter, with nothing to measure."""
    meter = Meter()
    meter.start(device)
    with meter.window():
        for _ in range(20):
            meter.read()
    with meter.window():
        pass
    meter.stop()


def timed(work: Callable[[], None]) -> str:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return (
        f"{1e3 * (time.perf_counter() - wall):7.1f} ms wall {1e3 * (time.process_time() - cpu):7.1f} ms CPU"
    )


def share_of_a_core(device: str, seconds: float) -> float:
    """CPU seconds per second that the running meter takes."""
    meter = Meter()
    meter.start(device)
    worked = time.process_time()
    time.sleep(seconds)
    worked = time.process_time() - worked
    meter.stop()
    return worked / seconds


def training(device: str) -> Callable[[], None]:
    """One step of the digits MLP."""
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    inputs, targets = torch.randn(128, 64, device=device), torch.randint(0, 10, (128,), device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(net(inputs), targets).backward()
        optimizer.step()

    return step


def seconds_per_step(step: Callable[[], None], slice_s: float) -> float:
    """CPU seconds, which neighbours on the machine disturb less than wall time."""
    end, worked, steps = time.perf_counter() + slice_s, time.process_time(), 0
    while time.perf_counter() < end:
        for _ in range(50):
            step()
        steps += 50
    return (time.process_time() - worked) / steps


def metered(step: Callable[[], None], slice_s: float, device: str) -> float:
    meter = Meter()
    meter.start(device)
    with meter.window():
        found = seconds_per_step(step, slice_s)
    meter.stop()
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--pairs", type=int, default=6)
    options.add_argument("--slice", type=float, default=2.0, help="seconds of training in each turn")
    options.add_argument("--device", default="cpu")
    args = options.parse_args()
    torch.set_num_threads(1)
    print("fixed cost of the first trial  ", timed(lambda: one_trial(args.device)))
    for _ in range(3):
        print("fixed cost of a trial after it ", timed(lambda: one_trial(args.device)))
    meter = Meter()
    meter.start(args.device)
    time.sleep(0.2)
    meter.read()
    print("one reading of the curve       ", timed(meter.read))
    meter.stop()
    print(f"meter's threads                 {share_of_a_core(args.device, 11):.2%} of a core")
    step, ratios = training(args.device), []
    seconds_per_step(step, 1.0)
    for pair in range(args.pairs):
        turns = {
            "with": lambda: metered(step, args.slice, args.device),
            "without": lambda: seconds_per_step(step, args.slice),
        }
        found = {name: turns[name]() for name in (list(turns) if pair % 2 else reversed(turns))}
        ratios.append(found["with"] / found["without"])
    print(
        f"step with meter / without       {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}, {args.pairs} pairs of {args.slice} s)"
    )


if __name__ == "__main__":
    main()

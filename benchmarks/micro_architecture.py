"""Efficient architectures on MNIST-1D: weights, FLOPs, latency and accuracy beside a network of a million.

    python benchmarks/micro_architecture.py [--seeds 3] [--steps 300] [--models cnn_reference,cnn,...]

Every option of conf/model that is named is trained as it stands, by one recipe, optimizer=adamw_mnist1d's:
AdamW with learning rate 0.02 and weight decay 0.1, cosine, batches of 128. Latency is taken in one process
with the networks in turn, call by call, so that other work on the machine disturbs all alike: medians over
the rounds, and the ratio to the first network's with its quartiles. A micro option holds when it has at most
110 thousand weights, answers a batch of 128 at least twice as fast as the reference, and keeps at least 90 %
of its mean test accuracy.
The exit code is 1 when fewer than two hold. Last, linear layers alone: the speed of each kind against dense.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple, final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  the script runs from any folder
import yaml  # noqa: E402
from hydra.utils import get_object  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from models.data import mnist1d  # noqa: E402
from models.data.batches import Batches  # noqa: E402
from models.data.dataset import Dataset  # noqa: E402
from models.measure.cost import cost  # noqa: E402
from models.nets.structured import linear  # noqa: E402
from models.optim.groups import groups  # noqa: E402
from models.optim.schedules import cosine  # noqa: E402

MODELS = "cnn_reference,cnn,cnn_micro,mobilenet_micro,convnext_micro"
RATE, DECAY = 0.02, 0.1
LAYERS = {
    "dense": {},
    "low_rank 1/2": {"share": 0.5},
    "low_rank 1/4": {"share": 0.25},
    "grouped 4": {"blocks": 4},
    "monarch 4": {"blocks": 4},
    "monarch 8": {"blocks": 8},
}


@final
class Outcome(NamedTuple):
    """What training one option from several seeds gave."""

    net: nn.Module
    accuracies: list[float]
    seconds: float
    """of one training, the median"""


def build(model: str) -> nn.Module:
    """The option as a person gets it with data=mnist1d."""
    option = yaml.safe_load((ROOT / "conf" / "model" / f"{model}.yaml").read_text())
    target = get_object(option.pop("_target_"))
    return target(**option | {"shape": (1, 40), "classes": 10, "task": "classification"})


def train(model: str, data: Dataset, steps: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net, batches = build(model), Batches(data.train, data.batch_size, seed)
    optimizer = torch.optim.AdamW(groups(net, DECAY), lr=RATE, weight_decay=DECAY, fused=True)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * cosine((step + 0.5) / steps)
        inputs, targets = next(batches)
        optimizer.zero_grad()
        cross_entropy(net(inputs), targets).backward()
        optimizer.step()
    return net.eval()


def outcome(model: str, data: Dataset, steps: int, seeds: int) -> Outcome:
    accuracies, seconds = [], []
    for seed in range(seeds):
        began = time.perf_counter()
        net = train(model, data, steps, seed)
        seconds.append(time.perf_counter() - began)
        with torch.inference_mode():
            right = net(data.test.inputs).argmax(1) == data.test.targets
        accuracies.append(float(right.float().mean()))
    return Outcome(net, accuracies, statistics.median(seconds))


def in_turn(nets: dict[str, nn.Module], inputs: Tensor, rounds: int) -> dict[str, list[float]]:
    """Seconds of each network's calls, one call of each after another."""
    taken: dict[str, list[float]] = {name: [] for name in nets}
    with torch.inference_mode():
        for net in nets.values():
            net(inputs)
        for _ in range(rounds):
            for name, net in nets.items():
                began = time.perf_counter()
                net(inputs)
                taken[name].append(time.perf_counter() - began)
    return taken


def speedup(taken: dict[str, list[float]], name: str, base: str) -> tuple[float, str]:
    """How many times as fast as `base`: the median, and a text with the quartiles."""
    ratios = [slow / fast for slow, fast in zip(taken[base], taken[name], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, f"{middle:5.2f} ({low:.2f} to {high:.2f})"


def compare(models: list[str], data: Dataset, steps: int, seeds: int) -> int:
    """Print a line for each model; how many micro options hold."""
    found = {model: outcome(model, data, steps, seeds) for model in models}
    nets, inputs = {model: one.net for model, one in found.items()}, data.test.inputs
    many, single = in_turn(nets, inputs[:128], 40), in_turn(nets, inputs[:1], 100)
    base = statistics.mean(found[models[0]].accuracies)
    print(
        f"{'model':17}{'weights':>10}{'MFLOPs':>8}{'test accuracy':>17}{'kept':>6}{'train s':>9}"
        f"{'ms / 128':>10}  {'batch, times as fast':24}{'one example':24}"
    )
    held = 0
    for model, one in found.items():
        costs = cost(one.net, inputs[:1])
        mean, spread = statistics.mean(one.accuracies), statistics.stdev(one.accuracies)
        (batch, text), (_, alone) = (speedup(taken, model, models[0]) for taken in (many, single))
        small, fits = costs["size/parameters"] <= 110_000, batch >= 2 and mean >= 0.9 * base
        held += model.endswith("_micro") and small and fits
        print(
            f"{model:17}{int(costs['size/parameters']):10,}{costs['compute/flops_forward'] / 1e6:8.2f}"
            f"{100 * mean:10.1f} ± {100 * spread:4.1f}{mean / base:6.2f}{one.seconds:9.1f}"
            f"{1e3 * statistics.median(many[model]):10.2f}  {text:24}{alone:24}",
            flush=True,
        )
    return held


def layers() -> None:
    """Square linear layers of each kind against dense, 64 rows."""
    print("\nlinear layers, 64 rows, times as fast as dense: median of 40 (quartiles)")
    for width in (64, 256, 512, 1024):
        nets = {name: linear(name.split()[0], width, width, **options) for name, options in LAYERS.items()}
        taken = in_turn(nets, torch.randn(64, width), 40)
        texts = [f"{name} {speedup(taken, name, 'dense')[1]}" for name in nets if name != "dense"]
        print(f"  {width:5}  {'   '.join(texts)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", default=MODELS, help="options of conf/model; the first is the reference")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(
        f"MNIST-1D, {asked.steps} steps, n = {asked.seeds} seeds, "
        f"CPU, {asked.threads} thread(s), torch {torch.__version__}"
    )
    held = compare(asked.models.split(","), mnist1d.load(batch_size=128), asked.steps, asked.seeds)
    layers()
    print(f"\n{held} micro options hold, 2 wanted")
    sys.exit(0 if held >= 2 else 1)


if __name__ == "__main__":
    main()

"""What a step of each optimizer costs beside torch's fused AdamW, and what it keeps in memory.

    python benchmarks/optimizers.py [--rounds 5] [--threads 1] [--device cpu]

Options are taken as they are in conf/optimizer/. In each round every optimizer takes the same number of steps
on gradients that are there already, in changing order, in one process; so the figure is the optimizer's own,
without forward and backward pass. Sophia's includes its curvature, with the extra passes through the network.
Ratios are medians over the rounds (least to most) against AdamW of the same round. Bytes are of the state
after the steps, over those of the weights.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  the script runs from any folder
import yaml  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from torch.optim import Optimizer  # noqa: E402

from models.nets.gpt import GPT  # noqa: E402
from models.nets.mlp import MLP  # noqa: E402
from models.optim.footprint import state_bytes  # noqa: E402
from models.optim.groups import optimizer_for  # noqa: E402

REFERENCE = "adamw"
STEPS = 20
"""of each optimizer in a round: two periods of SOAP's and Sophia's"""


@final
class Runner:
    """An optimizer with a network of its own, whose gradients stay what they are."""

    def __init__(self, option: str, net: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        self.net, self.inputs = net, inputs
        self.optimizer = optimizer_for(make(option), net)
        cross_entropy(net(inputs).flatten(0, -2), targets.flatten()).backward()
        self.kept = [parameter.grad.clone() for parameter in net.parameters()]

    def seconds(self) -> float:
        """Of one step, on average."""
        began = now(self.inputs)
        for _ in range(STEPS):
            if hasattr(self.optimizer, "curvature") and self.optimizer.curvature_due():
                self.optimizer.curvature(lambda: self.net(self.inputs))
            self.optimizer.step()
        taken = (now(self.inputs) - began) / STEPS
        for parameter, gradient in zip(self.net.parameters(), self.kept, strict=True):
            parameter.grad = gradient.clone()
        return taken


def make(option: str) -> Callable[..., Optimizer]:
    values = yaml.safe_load((ROOT / "conf" / "optimizer" / f"{option}.yaml").read_text())
    module, _, name = values.pop("_target_").rpartition(".")
    del values["_partial_"]
    return partial(getattr(import_module(module), name), **values)


def now(tensor: Tensor) -> float:
    if tensor.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def cases(device: str) -> dict[str, Callable[[], tuple[nn.Module, Tensor, Tensor]]]:
    def language() -> tuple[nn.Module, Tensor, Tensor]:
        tokens = torch.randint(0, 256, (8, 128), device=device)
        return GPT((128,), 256, width=128, depth=4).to(device), tokens, tokens.roll(1)

    def images() -> tuple[nn.Module, Tensor, Tensor]:
        x = torch.randn(128, 1, 8, 8, device=device)
        return MLP((1, 8, 8), 10, width=128).to(device), x, torch.randint(0, 10, (128,), device=device)

    return {"GPT 4 x 128": language, "digits MLP 64-128-10": images}


def compare(name: str, case: Callable[[], tuple[nn.Module, Tensor, Tensor]], rounds: int) -> None:
    options = sorted(
        path.stem for path in (ROOT / "conf" / "optimizer").glob("*.yaml") if "_" not in path.stem
    )
    runners = {}
    for option in options:
        torch.manual_seed(0)
        runners[option] = Runner(option, *case())
        runners[option].seconds()  # not counted: first steps make states and fill caches
    found: dict[str, list[float]] = {option: [] for option in options}
    for _ in range(rounds):
        for option in random.sample(options, len(options)):
            found[option].append(runners[option].seconds())
    weight_bytes = 4 * sum(parameter.numel() for parameter in runners[REFERENCE].net.parameters())
    print(f"\n{name}, {weight_bytes / 4:,.0f} parameters, n = {rounds} rounds of {STEPS} steps")
    for option in options:
        each = [own / reference for own, reference in zip(found[option], found[REFERENCE], strict=True)]
        ratio = f"{statistics.median(each):6.2f} ({min(each):.2f} to {max(each):.2f})"
        held = state_bytes(runners[option].optimizer)
        memory = f"{held:11,} bytes, {held / weight_bytes:.2f} of the weights"
        print(f"  {option:14}{1e6 * statistics.median(found[option]):9.0f} us a step   x {ratio}   {memory}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    where = torch.cuda.get_device_name() if asked.device != "cpu" else f"CPU, {asked.threads} thread(s)"
    print(f"{where}, torch {torch.__version__}")
    for name, case in cases(asked.device).items():
        compare(name, case, asked.rounds)


if __name__ == "__main__":
    main()

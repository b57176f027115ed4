"""A small training that the engine's tests vary, with a meter whose joules are known."""

import math
import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from models.startup import lean  # noqa: F401 - first: it makes Lightning load less
from models.data.batches import Batches
from models.data.dataset import Dataset, Split
from models.energy.figures import Tally
from models.energy.meter import Meter
from models.optim.groups import groups
from models.optim.schedules import cosine
from models.training.budget import Budget
from models.training.callbacks.checkpoint import Checkpoint
from models.training.objective import CrossEntropy
from models.training.settings import Settings

WATTS = 10.0


class Steady:
    """A counter of constant power."""

    method, components, tick_s, shared = "estimated", ("cpu",), 0.0, False
    basis, standing_w = f"{WATTS} W", 2.0

    def __init__(self) -> None:
        self.began = time.perf_counter()

    def read(self, exact: bool) -> dict[str, float]:
        return {"cpu": WATTS * (time.perf_counter() - self.began)}

    def own(self, used: Tally) -> dict[str, float]:
        return {"cpu": used.counted["cpu"]}

    def mark(self) -> None:
        pass

    def doubts(self, seconds: float) -> list[str]:
        return []

    def hardware(self) -> dict[str, Any]:
        return {"cpu": "steady"}

    def stop(self) -> None:
        pass


def steady(device: str) -> tuple[list[Any], dict[str, str]]:
    return [Steady()], {}


def none_at_all(device: str) -> tuple[list[Any], dict[str, str]]:
    return [], {"cpu": "nothing to read"}


def blobs(examples: int = 400, batch_size: int = 32, seed: int = 0) -> Dataset:
    """Four classes of 12 features that a linear map cannot quite tell apart."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 4, (examples,), generator=generator)
    centres = 1.5 * torch.randn(4, 12, generator=generator)
    inputs = centres[targets] + torch.randn(examples, 12, generator=generator)
    cuts = [slice(0, examples // 2), slice(examples // 2, 3 * examples // 4), slice(3 * examples // 4, None)]
    splits = [Split(inputs[cut], targets[cut]) for cut in cuts]
    return Dataset(*splits, "classification", (12,), 4, batch_size)


def network(seed: int = 0, dropout: float = 0.0, width: int = 16) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 4))


ADAMW = partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1, fused=True)


def weights(net: nn.Module) -> torch.Tensor:
    """All parameters as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def bare(steps: int, clip: float | None = None) -> tuple[nn.Module, list[float], list[float]]:
    """The same training as a plain loop of torch's own calls."""
    net = network()
    optimizer = ADAMW(groups(net, 0.1))
    batches = Batches(blobs().train, 32, 0)
    losses, norms = [], []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * cosine((step + 0.5) / steps)
        inputs, targets = next(batches)
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(inputs), targets)
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(net.parameters(), clip or math.inf).item())
        optimizer.step()
        losses.append(loss.item())
    return net, losses, norms


def parts(tmp_path: Any, steps: int | None = 40, **changes: Any) -> dict[str, Any]:
    """Arguments of `fit`; names of `Settings` and `Budget` among `changes` go there."""
    budget, settings = {}, {}
    for name in list(changes):
        if name in Budget.__dataclass_fields__:
            budget[name] = changes.pop(name)
        elif name in Settings.__dataclass_fields__:
            settings[name] = changes.pop(name)
    return {
        "net": changes.pop("net", None) or network(),
        "data": blobs(),
        "loss": CrossEntropy(),
        "optimizer": ADAMW,
        "scheduler": cosine,
        "settings": replace(Settings(), **settings),
        "budget": Budget(steps=steps, **budget),
        "callbacks": {"checkpoint": Checkpoint()},
        "loggers": [],
        "meter": Meter(counters=steady),
        "seed": 0,
        "folder": tmp_path / "trial",
        **changes,
    }

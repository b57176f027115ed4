"""A few steps before the clock, undone bit for bit: the first of a fresh process are a third dearer."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakSet

from torch import nn
from torch.optim import Optimizer

from models.data.batches import Batches
from models.data.dataset import Dataset
from models.energy.meter import Meter
from models.optim.gradients import norm_of
from models.optim.groups import optimizer_for
from models.training.memory import PeakMemory
from models.training.microbatch import out_of_memory
from models.training.objective import Objective
from models.training.precision import autocast
from models.training.settings import Settings
from models.training.untouched import restored

STEPS = 3
_ENOUGH_S = 0.03
"""after which a network is so slow that its first step tells little of a process that was cold"""
_known: WeakSet[type[nn.Module]] = WeakSet()
"""kinds of layers that this process has taken a step of"""


def warm(
    net: nn.Module,
    objective: Objective,
    data: Dataset,
    optimizer: Callable[..., Optimizer],
    settings: Settings,
    meter: Meter,
    peak: PeakMemory,
) -> dict[str, Any]:
    """Take up to `STEPS` steps of a training of `net` and undo them; returns what they took, for a clock.

    An optimizer and a stream of batches of their own are made and thrown away; weights, buffers, gradients
    and generators are what they were, so the training that follows is the same to the last bit. What it costs
    is the harness's. On the CPU only: `net` and `data` are there, the meter runs. Where memory runs out it
    ends without a word.

    The training's `peak` begins before them, since what they have had lies ready for its own steps. What a
    process keeps after the first step of its kind (code of kernels, caches) would be in the peak of the first
    of its trainings alone: such a step comes before.
    """
    before = meter.read(exact=True)
    job = partial(_tried, net, objective, data, optimizer, settings)
    kinds = {type(layer) for layer in net.modules()}
    peak.start(trimmed=True)
    quick = kinds <= _known or job(1) < _ENOUGH_S
    _known.update(kinds)
    if quick:
        peak.start(trimmed=True)
        job(STEPS)
    peak.forget()
    after = meter.read(exact=True)
    joules = None if None in (before.joules, after.joules) else after.joules - before.joules  # type: ignore[operator]
    return {
        "harness_seconds": after.seconds - before.seconds,
        "harness_cpu_seconds": after.cpu_seconds - before.cpu_seconds,
        "harness_joules": joules,
    }


def _tried(
    net: nn.Module,
    objective: Objective,
    data: Dataset,
    make: Callable[..., Optimizer],
    settings: Settings,
    most: int,
) -> float:
    """Seconds of up to `most` steps that are undone."""
    began = time.perf_counter()
    try:
        with restored(net):
            _steps(net, objective, data, make, settings, most)
    except RuntimeError as error:
        # The training takes smaller pieces, and tells it.
        if not out_of_memory(error):
            raise
    return time.perf_counter() - began


def _steps(
    net: nn.Module,
    objective: Objective,
    data: Dataset,
    make: Callable[..., Optimizer],
    settings: Settings,
    most: int,
) -> None:
    # A stream of its own: the first draw of a process is dear as well.
    batches = Batches(data.train, -(-data.batch_size // settings.accumulate_grad_batches), seed=0)
    optimizer = optimizer_for(make, net)
    moved: list[nn.Parameter] = [weight for group in optimizer.param_groups for weight in group["params"]]
    end = time.perf_counter() + _ENOUGH_S
    for _, (inputs, targets) in zip(range(most), batches, strict=False):
        if hasattr(optimizer, "curvature") and optimizer.curvature_due():
            optimizer.curvature(partial(net, inputs))
        for weight in moved:
            weight.grad = None
        with autocast(settings.precision, "cpu"):
            loss = objective(net, inputs, targets)
        loss.backward()
        norm_of([weight.grad for weight in moved if weight.grad is not None])
        optimizer.step()
        if time.perf_counter() > end:
            break

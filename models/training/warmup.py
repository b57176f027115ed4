"""A few steps before the clock, undone bit for bit: the first of a fresh process are a third dearer."""

import time
from functools import partial
from typing import Any
from weakref import WeakSet

from torch import nn

from models.data.batches import Batches
from models.optim.gradients import WantsCurvature, gradients_of, norm_of
from models.optim.groups import optimizer_for
from models.training.memory import PeakMemory
from models.training.precision import autocast
from models.training.preparation import Parts, used
from models.training.step import out_of_memory
from models.training.untouched import restored

STEPS = 3
_ENOUGH_S = 0.03
"""after which a network is so slow that its first step tells little of a process that was cold"""
_known: WeakSet[type[nn.Module]] = WeakSet()
"""kinds of layers that this process has taken a step of"""


def warm(parts: Parts, peak: PeakMemory) -> dict[str, Any]:
    """Take up to `STEPS` steps of the training of `parts` and undo them; returns what they took, for a clock.

    An optimizer and a stream of batches of their own are made and thrown away; weights, buffers, gradients
    and generators are what they were, so the training that follows is the same to the last bit. What it costs
    is the harness's. On the CPU only: network and data are there, the meter runs. Where memory runs out it
    ends without a word.

    The training's `peak` begins before them, since what they have had lies ready for its own steps. What a
    process keeps after the first step of its kind (code of kernels, caches) would be in the peak of the first
    of its trainings alone: such a step comes before.
    """
    before = parts.meter.read(exact=True)
    job = partial(_tried, parts)
    kinds = {type(layer) for layer in parts.net.modules()}
    peak.start(trimmed=True)
    quick = kinds <= _known or job(1) < _ENOUGH_S
    _known.update(kinds)
    if quick:
        peak.start(trimmed=True)
        job(STEPS)
    peak.forget()
    after = parts.meter.read(exact=True)
    return {f"harness_{name}": used(before, after, name) for name in ("seconds", "cpu_seconds", "joules")}


def _tried(parts: Parts, most: int) -> float:
    """Seconds of up to `most` steps that are undone."""
    began = time.perf_counter()
    try:
        with restored(parts.net):
            _steps(parts, most)
    except RuntimeError as error:
        # The training takes smaller pieces, and tells it.
        if not out_of_memory(error):
            raise
    return time.perf_counter() - began


def _steps(parts: Parts, most: int) -> None:
    net, objective = parts.net, parts.objective
    # A stream of its own: the first draw of a process is dear as well.
    batches = Batches(parts.data.train, parts.piece, seed=0, augment=parts.data.changes(0))
    optimizer = optimizer_for(parts.optimizer, net)
    moved: list[nn.Parameter] = [weight for group in optimizer.param_groups for weight in group["params"]]
    end = time.perf_counter() + _ENOUGH_S
    for _, (inputs, targets) in zip(range(most), batches, strict=False):
        if isinstance(optimizer, WantsCurvature) and optimizer.curvature_due():
            optimizer.curvature(partial(net, inputs))
        for weight in moved:
            weight.grad = None
        with autocast(parts.settings.precision, "cpu"):
            loss = objective(net, inputs, targets)
        loss.backward()
        norm_of(gradients_of(moved))
        optimizer.step()
        if time.perf_counter() > end:
            break

"""How fast a network answers and what an answer costs in joules, measured where it stands."""

import math
import time
from typing import Any

import torch
from torch import Tensor, nn

from models.energy import Meter
from models.evaluate import evaluating

_WARM_UP_CALLS = 3
_FEWEST_CALLS = 3
# Batch 1 needs no joules, so a fifth of the window gives enough calls for its percentiles.
_SINGLE_SHARE = 0.2


def latency(net: nn.Module, batch: Tensor, meter: Meter) -> dict[str, float]:
    """The metrics of `measure`."""
    return measure(net, batch, meter)[0]


def measure(net: nn.Module, batch: Tensor, meter: Meter) -> tuple[dict[str, float], dict[str, Any]]:
    """`infer/` metrics, and facts about how they were taken, for `batch` (B, *shape) on its device.

    `infer/latency_s_p50|p95`: seconds of one call with one example; `..._batch`: with the whole batch.
    `infer/samples_per_second` and `infer/energy_j_per_sample` are of whole batches, one after another; the
    joules are left out when the meter does not vouch for them (the facts say why). Each call ends with the
    device synchronised. Takes about 1.2 times `meter.window_s`, or three calls each if those take longer.
    In evaluation mode, in the caller's autocast.
    """
    if not meter.started:
        meter.start(str(batch.device))
    with evaluating(net), torch.inference_mode():
        _calls(net, batch[:1], _WARM_UP_CALLS)
        one = _seconds(net, batch[:1], meter.window_s * _SINGLE_SHARE)
        _calls(net, batch, _WARM_UP_CALLS)
        with meter.window() as window:
            many = _seconds(net, batch, meter.window_s)
    energy, samples = window.energy, len(many) * len(batch)
    metrics = {
        "infer/latency_s_p50": _percentile(one, 50),
        "infer/latency_s_p95": _percentile(one, 95),
        "infer/latency_s_p50_batch": _percentile(many, 50),
        "infer/latency_s_p95_batch": _percentile(many, 95),
        "infer/samples_per_second": samples / sum(many),
    }
    if energy.valid and energy.joules is not None:
        metrics["infer/energy_j_per_sample"] = energy.joules / samples
    facts = {"batch": len(batch), "calls": len(one), "calls_batch": len(many), "energy": energy.facts()}
    return metrics, facts


def _seconds(net: nn.Module, inputs: Tensor, window_s: float) -> list[float]:
    """Seconds of each call; calls until `window_s` has passed."""
    taken: list[float] = []
    end = time.perf_counter() + window_s
    while len(taken) < _FEWEST_CALLS or time.perf_counter() < end:
        started = time.perf_counter()
        _calls(net, inputs, 1)
        taken.append(time.perf_counter() - started)
    return taken


def _calls(net: nn.Module, inputs: Tensor, count: int) -> None:
    for _ in range(count):
        net(inputs)
    if inputs.device.type == "cuda":
        torch.cuda.synchronize(inputs.device)


def _percentile(values: list[float], percent: int) -> float:
    """The smallest value that so many percent of all do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]

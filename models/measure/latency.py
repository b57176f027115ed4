"""How fast a network answers and what an answer costs in CPU seconds and joules, measured where it stands."""

import math
import statistics
import time
from itertools import chain
from typing import Any, final

import torch
from torch import Tensor, nn

from models.energy.disturbance import KNOWN, WORTHLESS, half_width
from models.energy.figures import Tally
from models.energy.meter import Meter
from models.training.evaluate import evaluating

_WARM_UP_CALLS = 3
_FEWEST_ROUNDS = 3
_ROUNDS = 5
"""of a window of the meter's; fewer only where the time runs out"""
# Batch 1 needs no joules, so a fifth of a round gives enough calls for its percentiles.
_SINGLE_SHARE = 0.2
_LONGEST = 5.0
"""windows of the meter's that all rounds may take together"""


def latency(net: nn.Module, batch: Tensor, meter: Meter) -> dict[str, float]:
    """The metrics of `measure`."""
    return measure(net, batch, meter)[0]


def measure(net: nn.Module, batch: Tensor, meter: Meter) -> tuple[dict[str, float], dict[str, Any]]:
    """`infer/` metrics, and facts about how they were taken, for `batch` (B, *shape) on its device.

    `infer/latency_s_p50|p95`: seconds of one call with one example; `..._batch`: with the whole batch.
    `infer/samples_per_second`, `infer/cpu_seconds_per_sample` and `infer/energy_j_per_sample` are of whole
    batches; the joules are left out when the meter does not vouch for them (the facts say why). Each call
    ends with the device synchronised.

    Rounds of single examples and of batches take turns, so that a machine that slows down slows both, until
    the mean logarithm of both medians of a round is known to 5 % (95 % interval) and the batches have filled
    `meter.window_s`; at the latest after 5 times that, or three rounds if those take longer. If it is not
    known to 10 % then, the facts' energy is `disturbed`. In evaluation mode, in the caller's autocast.
    """
    if not meter.started:
        meter.start(str(batch.device))
    rounds = _Rounds(net, batch, meter)
    with evaluating(net), torch.inference_mode():
        _calls(net, batch[:1], _WARM_UP_CALLS)
        _calls(net, batch, _WARM_UP_CALLS)
        end = time.perf_counter() + _LONGEST * meter.window_s
        while not rounds.enough(over=time.perf_counter() >= end):
            rounds.take()
    return rounds.metrics(), rounds.facts()


@final
class _Rounds:
    """Calls of single examples and of whole batches, in turns."""

    def __init__(self, net: nn.Module, batch: Tensor, meter: Meter) -> None:
        self._net, self._batch, self._meter = net, batch, meter
        self._round_s = meter.window_s / _ROUNDS
        self._single: list[list[float]] = []
        self._whole: list[list[float]] = []
        self._used, self._beside = Tally(), Tally()

    def take(self) -> None:
        with self._meter.window() as window:
            self._single.append(_seconds(self._net, self._batch[:1], self._round_s * _SINGLE_SHARE))
        self._beside += window.tally
        with self._meter.window() as window:
            self._whole.append(_seconds(self._net, self._batch, self._round_s))
        self._used += window.tally

    def enough(self, *, over: bool) -> bool:
        if over or len(self._whole) < _ROUNDS:
            return over and len(self._whole) >= _FEWEST_ROUNDS
        widest = max(_half_width(self._single), _half_width(self._whole))
        return widest <= KNOWN and self._used.seconds >= self._meter.window_s

    def metrics(self) -> dict[str, float]:
        single, whole = list(chain(*self._single)), list(chain(*self._whole))
        samples = len(whole) * len(self._batch)
        found = {
            "infer/latency_s_p50": _percentile(single, 50),
            "infer/latency_s_p95": _percentile(single, 95),
            "infer/latency_s_p50_batch": _percentile(whole, 50),
            "infer/latency_s_p95_batch": _percentile(whole, 95),
            "infer/samples_per_second": samples / sum(whole),
            "infer/cpu_seconds_per_sample": self._used.cpu_s / samples,
        }
        energy = self._meter.energy(self._used)
        if energy.valid and energy.joules is not None:
            found["infer/energy_j_per_sample"] = energy.joules / samples
        return found

    def facts(self) -> dict[str, Any]:
        widths = {"half_width": _half_width(self._single), "half_width_batch": _half_width(self._whole)}
        energy = self._meter.energy(self._used).facts()
        energy["disturbed"] = self._meter.energy(self._used + self._beside).disturbed
        if max(widths.values()) > WORTHLESS and energy["disturbed"] is None:
            energy["disturbed"] = f"{len(self._whole)} rounds of calls spread by {max(widths.values()):.0%}"
        calls = {"calls": sum(map(len, self._single)), "calls_batch": sum(map(len, self._whole))}
        return {"batch": len(self._batch), "rounds": len(self._whole), **calls, **widths, "energy": energy}


def _half_width(rounds: list[list[float]]) -> float:
    return half_width([statistics.median(calls) for calls in rounds])


def _seconds(net: nn.Module, inputs: Tensor, window_s: float) -> list[float]:
    """Seconds of each call; calls until `window_s` has passed, one at least."""
    taken: list[float] = []
    end = time.perf_counter() + window_s
    while not taken or time.perf_counter() < end:
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

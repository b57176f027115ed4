"""The most arithmetic that a processor does in a second here, and which share of it a training used."""

import functools
import time
from collections.abc import Callable
from typing import Any

import torch

from models.training.precision import AUTOCAST

_SECONDS = 0.02
_FEWEST = 3
_SIDE = {"cpu": 512, "cuda": 4096}


def share(metrics: dict[str, float], precision: str, device: str) -> tuple[dict[str, float], dict[str, Any]]:
    """`train/fraction_of_peak` of a trial's metrics, and facts of the peak; nothing if they lack its parts.

    The arithmetic that its training needs (`compute/flops_train` of an example, times examples) for each CPU
    second that its steps took, over what one CPU second does at its best, `peak_flops`; on a GPU, for each
    second of time. CPU time on both sides, since wall time would tell how busy others kept the machine. What
    is recomputed is not needed, so it lowers the share, as does all that the training does beside
    arithmetic. `metrics` must be of the network that was trained, before any compression.
    """
    needed, rate = metrics.get("compute/flops_train"), metrics.get("train/samples_per_second")
    took = metrics.get("train/cpu_seconds" if torch.device(device).type == "cpu" else "train/seconds")
    if needed is None or rate is None or not took:
        return {}, {}
    dtype = AUTOCAST[precision] or torch.float32
    peak = peak_flops(device, dtype, torch.get_num_threads())
    facts = {"peak_flops": peak, "peak_dtype": str(dtype).removeprefix("torch.")}
    return {"train/fraction_of_peak": needed * rate * metrics["train/seconds"] / took / peak}, facts


@functools.cache
def peak_flops(device: str, dtype: torch.dtype, threads: int) -> float:
    """Operations of one square matrix product, two for each multiply-add, in a second at its best.

    A second of CPU time, all threads added up, on a CPU; of wall time on a GPU. The best of as many as fit in
    20 ms, at least three, after one to warm up; 512 x 512 on a CPU, 4096 x 4096 on a GPU, with
    `threads` threads, which are torch's own at the time. Measured once in a process. A vendor's
    number, where there is one, is larger.
    """
    place = torch.device(device)
    side = _SIDE[place.type]
    clock = time.process_time if place.type == "cpu" else time.perf_counter
    left = torch.ones(side, side, dtype=dtype, device=place)
    out = torch.empty_like(left)
    with torch.inference_mode():
        end = time.perf_counter() + max(_SECONDS, _product(left, out, time.perf_counter))
        taken: list[float] = []
        while len(taken) < _FEWEST or time.perf_counter() < end:
            taken.append(_product(left, out, clock))
    return 2.0 * side**3 / min(taken)


def _product(left: torch.Tensor, out: torch.Tensor, clock: Callable[[], float]) -> float:
    began = clock()
    torch.mm(left, left, out=out)
    if left.device.type == "cuda":
        torch.cuda.synchronize(left.device)
    return clock() - began

"""The most arithmetic that this machine does in a second, and which share of it a training used."""

import functools
import time
from typing import Any

import torch

from models.precision import AUTOCAST

_SECONDS = 0.02
_SIDE = {"cpu": 512, "cuda": 4096}


def share(metrics: dict[str, float], precision: str, device: str) -> tuple[dict[str, float], dict[str, Any]]:
    """`train/fraction_of_peak` of a trial's metrics, and facts of the peak; nothing if they lack its parts.

    The arithmetic that its training needs (`compute/flops_train` of an example, times examples in a second of
    training, validations and checkpoints in that second included) over what the machine does in a second at
    its best, `peak_flops`. What is recomputed is not needed, so it lowers the share, as does all that the
    training waits for. `metrics` must be of the network that was trained, before any compression.
    """
    needed, rate = metrics.get("compute/flops_train"), metrics.get("train/samples_per_second")
    if needed is None or rate is None:
        return {}, {}
    dtype = AUTOCAST[precision] or torch.float32
    peak = peak_flops(device, dtype, torch.get_num_threads())
    facts = {"peak_flops": peak, "peak_dtype": str(dtype).removeprefix("torch.")}
    return {"train/fraction_of_peak": needed * rate / peak}, facts


@functools.cache
def peak_flops(device: str, dtype: torch.dtype, threads: int) -> float:
    """Operations in a second of one square matrix product, two for each multiply-add, at its best.

    The best of as many as fit in 20 ms, after one to warm up; 512 x 512 on a CPU, 4096 x 4096 on a GPU, with
    `threads` threads, which are torch's own at the time. Measured once in a process. Other work on the
    machine makes it smaller, so it is a floor of the peak; a vendor's number, where there is one, is larger.
    """
    place = torch.device(device)
    side = _SIDE[place.type]
    left = torch.ones(side, side, dtype=dtype, device=place)
    out = torch.empty_like(left)
    best, end = float("inf"), 0.0
    with torch.inference_mode():
        while not end or time.perf_counter() < end:
            took = _product(left, out)
            if end:
                best = min(best, took)
            else:
                end = time.perf_counter() + max(_SECONDS, took)
    return 2.0 * side**3 / best


def _product(left: torch.Tensor, out: torch.Tensor) -> float:
    began = time.perf_counter()
    torch.mm(left, left, out=out)
    if left.device.type == "cuda":
        torch.cuda.synchronize(left.device)
    return time.perf_counter() - began

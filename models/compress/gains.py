"""The final network beside another: its bytes and seconds, and how far its answers have moved."""

import copy
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.energy.disturbance import KNOWN, WORTHLESS, half_width
from models.training.evaluate import evaluating
from models.training.resume import tensors_in

_SECONDS = 0.3
_LONGEST_S = 1.5
_FEWEST = 5
_ROUNDS = 5
_AS_FAST = 0.97
"""medians of calls that take turns differ by about as much when both are the same network"""


class Speedup(NamedTuple):
    """How many times as fast one network answers as another, and how well that is known."""

    ratio: float
    half_width: float
    """of the 95 % interval of the mean logarithm of the ratio over five rounds, as a share"""


def speedup(dense: nn.Module, final: nn.Module, inputs: Tensor) -> float:
    """Seconds of a call of `dense` over those of `final`, as `beside` has them, for `inputs`."""
    return beside(dense, final, inputs).ratio


def beside(dense: nn.Module, final: nn.Module, inputs: Tensor) -> Speedup:
    """Median seconds of a call of `dense` over those of `final`, whose calls take turns.

    Calls go on for 0.3 s, and for 1.2 s more while the ratio is not known to 5 %: a machine that slows down
    slows both alike, so the ratio may be known where the latencies are not.
    """
    taken: list[list[float]] = [[], []]
    end = time.perf_counter() + _LONGEST_S
    while True:
        for seconds, more in zip(taken, _turns([dense, final], inputs, _SECONDS), strict=True):
            seconds.extend(more)
        size = len(taken[0]) // _ROUNDS
        rounds = [_ratio([part[at * size : (at + 1) * size] for part in taken]) for at in range(_ROUNDS)]
        known = Speedup(_ratio(taken), half_width(rounds))
        if known.half_width <= KNOWN or time.perf_counter() >= end:
            return known


def _ratio(taken: Sequence[Sequence[float]]) -> float:
    return statistics.median(taken[0]) / statistics.median(taken[1])


def medians(nets: Sequence[nn.Module], inputs: Tensor) -> list[float]:
    """Median seconds of a call of each for `inputs`, in turns, so that other work slows all alike."""
    return [statistics.median(seconds) for seconds in _turns(nets, inputs, _SECONDS * len(nets) / 2)]


def _turns(nets: Sequence[nn.Module], inputs: Tensor, longest_s: float) -> list[list[float]]:
    taken: list[list[float]] = [[] for _ in nets]
    with ExitStack() as modes, torch.inference_mode():
        for net in nets:
            modes.enter_context(evaluating(net))
        for net in list(nets) * 3:
            net(inputs)
        end = time.perf_counter() + longest_s
        while len(taken[0]) < _FEWEST or time.perf_counter() < end:
            for net, seconds in zip(nets, taken, strict=True):
                seconds.append(_call(net, inputs))
    return taken


def _call(net: nn.Module, inputs: Tensor) -> float:
    started = time.perf_counter()
    net(inputs)
    if inputs.device.type == "cuda":
        torch.cuda.synchronize(inputs.device)
    return time.perf_counter() - started


def error(trained: nn.Module, final: nn.Module, inputs: Tensor) -> float:
    """The largest difference of a logit, relative to the largest logit in size of the same example.

    `inputs` (B, *shape). NaN when either side is not finite.
    """
    with evaluating(trained), evaluating(final), torch.inference_mode():
        exact, seen = trained(inputs).float(), final(inputs).float()
    return _largest_error(seen, exact)


def _largest_error(seen: Tensor, exact: Tensor) -> float:
    scale = exact.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    return float(((seen - exact).abs() / scale).max())


def shortfalls(metrics: dict[str, float]) -> list[str]:
    """A sentence for each way in which the compressed network is no better than the dense one."""
    found = []
    for key, what in (("compress/speedup", "whole batches"), ("compress/speedup_single", "single examples")):
        if metrics[key] < _AS_FAST:
            found.append(f"the compressed network is slower on {what}: {metrics[key]:.2f} of the dense speed")
    if metrics["compress/bytes_ratio"] >= 1.0:
        ratio = metrics["compress/bytes_ratio"]
        found.append(f"the compressed network is no smaller on disk: {ratio:.2f} of the dense bytes")
    return found


def gains_nothing(bytes_ratio: float, speedup: float, speedup_single: float) -> bool:
    """Whether a network is no smaller than the dense one and slower, on batches and on single examples."""
    return bytes_ratio >= 1.0 and max(speedup, speedup_single) < _AS_FAST


def gains(
    dense: nn.Module, final: nn.Module, batch: Tensor, dense_bytes: float, final_bytes: float
) -> tuple[dict[str, float], str | None]:
    """The `compress/` ratios, and why the times among them are to be compared with none, if so.

    `batch` (B, *shape) is timed whole and by its first example.
    """
    whole, single = beside(dense, final, batch), beside(dense, final, batch[:1])
    spread = max(whole.half_width, single.half_width)
    metrics = {
        "compress/bytes_ratio": final_bytes / dense_bytes,
        "compress/speedup": whole.ratio,
        "compress/speedup_single": single.ratio,
    }
    return metrics, f"the ratio of calls in turns spread by {spread:.0%}" if spread > WORTHLESS else None


def error_vs_fp32(net: nn.Module, inputs: Tensor, autocast: torch.dtype | None = None) -> float:
    """`error` of a network against the same weights in 32 bits.

    Args:
        net: the final network, in whatever types its weights have.
        inputs: (B, *shape) or (B, T), on the network's device.
        autocast: the type that mixed precision computes in, None without mixed precision.

    0 for a network that is 32-bit throughout; NaN when either side is not finite. Reduced 32-bit formats
    (TF32) are switched off for the reference. A copy of the weights is made if any is not 32-bit.
    """
    with evaluating(net), torch.inference_mode():
        with torch.autocast(inputs.device.type, autocast, enabled=autocast is not None):
            seen = net(inputs).float()
        return _largest_error(seen, _in_fp32(net, inputs))


def _in_fp32(net: nn.Module, inputs: Tensor) -> Tensor:
    weights = tensors_in(net.state_dict()).values()
    if any(weight.is_floating_point() and weight.dtype != torch.float32 for weight in weights):
        net = copy.deepcopy(net).float()
        inputs = inputs.float() if inputs.is_floating_point() else inputs
    kept = torch.get_float32_matmul_precision()
    # It sets these as well, and what is set back says `ieee` where nothing was said.
    backends: Any = torch.backends
    libraries = backends.mkldnn.matmul, backends.cuda.matmul
    said = [library.fp32_precision for library in libraries]
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(inputs.device.type, enabled=False), torch.backends.cudnn.flags(allow_tf32=False):
            return net(inputs).float()
    finally:
        torch.set_float32_matmul_precision(kept)
        for library, precision in zip(libraries, said, strict=True):
            library.fp32_precision = precision

"""The final network beside another: its bytes and seconds, and how far its answers have moved."""

import copy
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from models.training.evaluate import evaluating

_SECONDS = 0.3
_FEWEST = 5
_AS_FAST = 0.97
"""medians of calls that take turns differ by about as much when both are the same network"""


def speedup(dense: nn.Module, final: nn.Module, inputs: Tensor) -> float:
    """Seconds of a call of `dense` over those of `final`, as `medians` has them, for `inputs`."""
    before, after = medians([dense, final], inputs)
    return before / after


def medians(nets: Sequence[nn.Module], inputs: Tensor) -> list[float]:
    """Median seconds of a call of each for `inputs`, in turns, so that other work slows all alike."""
    taken: list[list[float]] = [[] for _ in nets]
    with ExitStack() as modes, torch.inference_mode():
        for net in nets:
            modes.enter_context(evaluating(net))
        for net in list(nets) * 3:
            net(inputs)
        end = time.perf_counter() + _SECONDS * len(nets) / 2
        while len(taken[0]) < _FEWEST or time.perf_counter() < end:
            for net, seconds in zip(nets, taken, strict=True):
                seconds.append(_call(net, inputs))
    return [statistics.median(seconds) for seconds in taken]


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
) -> dict[str, Any]:
    """The `compress/` ratios; `batch` (B, *shape) is timed whole and by its first example."""
    return {
        "compress/bytes_ratio": final_bytes / dense_bytes,
        "compress/speedup": speedup(dense, final, batch),
        "compress/speedup_single": speedup(dense, final, batch[:1]),
    }


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
    if any(
        weight.is_floating_point() and weight.dtype != torch.float32 for weight in net.state_dict().values()
    ):
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

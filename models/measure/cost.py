"""What a network costs by counting, the same on every machine: bytes, parameters, arithmetic operations."""

import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from models.compress.artefact import dense
from models.nets.unseen import unseen
from models.training.evaluate import evaluating


def _int8(rows: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    """Rows (N, in) by int8 weights (out, in)."""
    return 2 * rows.numel() * len(weight)


def _convolution_backward(grad: Tensor, x: Tensor, weight: Tensor, *options: Any, **_: Any) -> int:
    """Either gradient has the products of the forward pass: every weight at every position that it slides to.

    Torch 2.13 leaves `groups` out of the weight's, which is then so many times too much (mended upstream by
    pull request 183405).
    """
    transposed, wanted = options[4], options[7]
    positions = (x if transposed else grad).shape[2:]
    return 2 * weight.numel() * len(x) * math.prod(positions) * (bool(wanted[0]) + bool(wanted[1]))


_OWN: dict[Any, Callable[..., int]] = {
    torch.ops.aten._weight_int8pack_mm: _int8,
    torch.ops.aten.convolution_backward: _convolution_backward,
}
"""formulas that torch lacks or has wrong"""
_HEAVY = re.compile(r"mv|mm|dot|conv|attention|rnn|lstm|gru|fft|linear|cdist")


def cost(net: nn.Module, example: Tensor) -> dict[str, float]:
    """The metrics of `measure`."""
    return measure(net, example)[0]


def measure(net: nn.Module, example: Tensor) -> tuple[dict[str, float], dict[str, Any]]:
    """Size and compute of `net`; `example` is one input with its batch dimension, (1, *shape).

    `size/bytes` are the weights as `torch.save` writes them, really written, to memory. `size/parameters`
    counts a shared weight once and int8 ones too, `size/nonzeros` those that are not 0.
    `compute/flops_forward` and `compute/flops_train` (forward and backward, no optimizer) are per example:
    two operations for each multiply-add of matrix products, convolutions and attention, nothing for the rest,
    zeros not skipped. So a layer trains at 3 times its forward pass, at 2 times where its input needs no
    gradient. What gradient checkpointing does again is not in it, as in PaLM's model FLOPs (arXiv 2204.02311,
    appendix B), nor is a teacher's answer; a layer that is run several times counts as often. What a call
    does once whatever its batch (relaxed sharing adds up its weights) counts whole, and where the data decide
    how much is done (experts with a capacity, or that choose), it is that of this example.
    A network with nothing to train has no `compute/flops_train`; a trial's is of the network that it trained.
    The fact `flops_uncounted` names operations that do heavy arithmetic and that torch has no formula for; it
    is empty for the networks of this lab.

    In evaluation mode, so that one example passes batch normalisation and no random number is drawn. The
    plain forms of attention and of recurrent cells are taken, since there is no formula for the fused ones of
    the CPU (oneDNN has an LSTM) and of cuDNN; the arithmetic is the same (attention counted whole, as if not
    causal).
    """
    # Machine code has no operations to count; it is made of these.
    net = getattr(net, "eager", net)
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    counter = _Counter()
    plain = _plain_cells(net), sdpa_kernel(SDPBackend.MATH)
    with unseen(net) as besides, evaluating(net), torch.enable_grad(), plain[0], plain[1], counter:
        logits = net(example)
        forward = counter.flops
        if weights:
            torch.autograd.grad(logits.float().sum(), weights, allow_unused=True)
    found = size(net) | {"compute/flops_forward": float(forward + besides.forward)}
    if weights:
        found["compute/flops_train"] = float(counter.flops + besides.train)
    return found, {"flops_uncounted": sorted(counter.uncounted)}


@contextmanager
def _plain_cells(net: nn.Module) -> Iterator[None]:
    """Recurrent cells and torch's own attention layers made of operations that are counted.

    Not cuDNN's or oneDNN's, nor what takes the place of a whole layer where none of its weights is trained.
    """
    recurrent = any(isinstance(module, nn.RNNBase) for module in net.modules())
    before, whole = torch._C._get_mkldnn_enabled(), torch.backends.mha.get_fastpath_enabled()
    # The flags of torch.backends.mkldnn warn of graphics cards of Intel when they are set.
    torch._C._set_mkldnn_enabled(before and not recurrent)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        torch._C._set_mkldnn_enabled(before)
        torch.backends.mha.set_fastpath_enabled(whole)


def size(net: nn.Module) -> dict[str, float]:
    """The `size/` metrics."""
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    weights = [*net.parameters(), *(buffer for buffer in net.buffers() if buffer.dtype == torch.int8)]
    weights = [dense(weight) for weight in weights]  # the kernels' form of 2:4 cannot be counted
    return {
        "size/bytes": float(buffer.tell()),
        "size/parameters": float(sum(weight.numel() for weight in weights)),
        "size/nonzeros": float(sum(int(weight.count_nonzero()) for weight in weights)),
    }


@final
class _Counter(TorchDispatchMode):
    """Sums FLOP formulas, torch's where `_OWN` has none, over the operations that run inside.

    `FlopCounterMode` takes up to twice the time, as it also tracks which module is at work, and does not tell
    which operations it skipped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.uncounted: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        formula = _OWN.get(packet) or flop_registry.get(packet)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=out))
        elif _HEAVY.search(packet.__name__):
            self.uncounted.add(str(packet))
        return out

"""How far a network's answers are from those of the same weights in 32 bits."""

import copy

import torch
from torch import Tensor, nn

from models.training.evaluate import evaluating


def error_vs_fp32(net: nn.Module, inputs: Tensor, autocast: torch.dtype | None = None) -> float:
    """The largest difference of a logit, relative to the largest logit in size of the same example.

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
        exact = _in_fp32(net, inputs)
    scale = exact.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    return float(((seen - exact).abs() / scale).max())


def _in_fp32(net: nn.Module, inputs: Tensor) -> Tensor:
    if any(
        weight.is_floating_point() and weight.dtype != torch.float32 for weight in net.state_dict().values()
    ):
        net = copy.deepcopy(net).float()
        inputs = inputs.float() if inputs.is_floating_point() else inputs
    kept = torch.get_float32_matmul_precision()
    # It sets these as well, and what is set back says `ieee` where nothing was said.
    libraries = torch.backends.mkldnn.matmul, torch.backends.cuda.matmul
    said = [library.fp32_precision for library in libraries]
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(inputs.device.type, enabled=False), torch.backends.cudnn.flags(allow_tf32=False):
            return net(inputs).float()
    finally:
        torch.set_float32_matmul_precision(kept)
        for library, precision in zip(libraries, said, strict=True):
            library.fp32_precision = precision

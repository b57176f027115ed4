"""What of torch and numpy holds for a whole process: a training must find it as every other one does."""

import sys
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module as modules
from torch.optim import optimizer
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

_torch: Any = torch
"""as it is: torch's own types leave out what is made while it is imported"""
_HOOKS = (
    *("_global_forward_pre_hooks", "_global_forward_hooks", "_global_backward_pre_hooks"),
    *("_global_backward_hooks", "_global_buffer_registration_hooks", "_global_module_registration_hooks"),
    "_global_parameter_registration_hooks",
)
_OPTIMIZERS = ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
_DEVICES = ("cpu", "cuda")


def state() -> dict[str, Any]:
    """Names and values that can be compared; 60 us.

    Random generators are not in it, which each training seeds, nor what is only remembered, such as the
    kernels that were made for a shape.
    """
    return {
        "torch's threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch's defaults": (torch.get_default_dtype(), str(torch.get_default_device())),
        "torch's gradients": _gradients(),
        "torch's determinism": _determinism(),
        "torch's precision": _precision(),
        "torch's autocast": _autocast(),
        "torch's kernels": _kernels(),
        "torch's hooks": [list(getattr(modules, name)) for name in _HOOKS],
        "optimizers' hooks": [list(getattr(optimizer, name)) for name in _OPTIMIZERS],
        "torch's modes": [
            type(mode).__name__
            for mode in (*_get_current_function_mode_stack(), *_get_current_dispatch_mode_stack())
        ],
        "torch's compiler": _compiler(),
        "torch's devices": (torch.cuda.is_initialized(), _together()),
        "numpy's errors": np.geterr(),
    }


def _gradients() -> tuple[bool, ...]:
    modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()
    return (*modes, torch.is_anomaly_check_nan_enabled(), _torch.autograd._profiler_enabled())


def _determinism() -> tuple[Any, ...]:
    return (
        torch.get_deterministic_debug_mode(),
        _torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    )


def _precision() -> tuple[Any, ...]:
    return (
        torch.get_float32_matmul_precision(),
        _torch.backends.mkldnn.matmul.fp32_precision,
        _torch.backends.mkldnn.conv.fp32_precision,
        _torch.backends.mkldnn.rnn.fp32_precision,
        _torch.backends.cuda.matmul.fp32_precision,
        torch.backends.cudnn.allow_tf32,
        _torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction,
        # Nothing tells whether denormal numbers are flushed; one that is halved does.
        bool(np.float32(1e-38) * np.float32(0.5) == 0),
    )


def _autocast() -> list[Any]:
    of_device = [(torch.is_autocast_enabled(name), torch.get_autocast_dtype(name)) for name in _DEVICES]
    return [*of_device, torch.is_autocast_cache_enabled()]


def _kernels() -> tuple[Any, ...]:
    return (
        torch.backends.cudnn.enabled,
        torch._C._get_mkldnn_enabled(),
        _torch.backends.mkldnn.deterministic,
        torch.backends.quantized.engine,
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
    )


def _compiler() -> tuple[int, bool]:
    """Which module is there, for which models/startup/eager.py may stand in, and whether it has compiled."""
    counting = sys.modules.get("torch._dynamo.convert_frame")
    return id(sys.modules.get("torch._dynamo")), bool(counting is not None and counting.counters["frames"])


def _together() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()

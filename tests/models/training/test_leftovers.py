"""Each setting of torch's that a training may change is seen when it stays changed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils._python_dispatch import TorchDispatchMode

from cases import each
from models.compress.gains import error_vs_fp32
from models.training import leftovers

Undo = Callable[[], object]


def threads() -> Undo:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    return lambda: torch.set_num_threads(before)


def dtype() -> Undo:
    torch.set_default_dtype(torch.float64)
    return lambda: torch.set_default_dtype(torch.float32)


def gradients() -> Undo:
    torch.set_grad_enabled(False)
    return lambda: torch.set_grad_enabled(True)


def anomalies() -> Undo:
    torch.autograd.set_detect_anomaly(True)
    return lambda: torch.autograd.set_detect_anomaly(False)


def deterministic() -> Undo:
    # What it is for users loads the compiler, to tell it as well.
    torch._C._set_deterministic_algorithms(True, warn_only=True)
    return lambda: torch._C._set_deterministic_algorithms(False)


def benchmark() -> Undo:
    torch.backends.cudnn.benchmark = True
    return lambda: setattr(torch.backends.cudnn, "benchmark", False)


def precision() -> Undo:
    kept = torch.backends.mkldnn.matmul.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    torch.set_float32_matmul_precision("medium")

    def undo() -> None:
        torch.set_float32_matmul_precision("highest")
        torch.backends.mkldnn.matmul.fp32_precision, torch.backends.cuda.matmul.fp32_precision = kept

    return undo


def tf32() -> Undo:
    torch.backends.cudnn.allow_tf32 = False
    return lambda: setattr(torch.backends.cudnn, "allow_tf32", True)


def denormals() -> Undo:
    assert torch.set_flush_denormal(True)
    return lambda: torch.set_flush_denormal(False)


def autocast() -> Undo:
    torch.set_autocast_enabled("cpu", True)
    return lambda: torch.set_autocast_enabled("cpu", False)


def onednn() -> Undo:
    torch._C._set_mkldnn_enabled(False)
    return lambda: torch._C._set_mkldnn_enabled(True)


def attention() -> Undo:
    torch.backends.cuda.enable_flash_sdp(False)
    return lambda: torch.backends.cuda.enable_flash_sdp(True)


def hook() -> Undo:
    return nn.modules.module.register_module_forward_hook(lambda *_: None).remove


def optimizer_hook() -> Undo:
    return register_optimizer_step_post_hook(lambda *_: None).remove


def mode() -> Undo:
    entered = TorchDispatchMode()
    entered.__enter__()
    return lambda: entered.__exit__(None, None, None)


def numpy_errors() -> Undo:
    before = np.seterr(all="ignore")
    return lambda: np.seterr(**before)


SETTINGS = {
    "torch's threads": [threads],
    "torch's defaults": [dtype],
    "torch's gradients": [gradients, anomalies],
    "torch's determinism": [deterministic, benchmark],
    "torch's precision": [precision, tf32, denormals],
    "torch's autocast": [autocast],
    "torch's kernels": [onednn, attention],
    "torch's hooks": [hook],
    "optimizers' hooks": [optimizer_hook],
    "torch's modes": [mode],
    "numpy's errors": [numpy_errors],
}


@each(("name", "change"), [(name, one) for name, several in SETTINGS.items() for one in several])
def test_a_setting_that_stays_is_seen_under_its_name_alone(name: str, change: Callable[[], Undo]) -> None:
    before = leftovers.state()
    undo = change()
    try:
        after = leftovers.state()
    finally:
        undo()
    assert [key for key in before if before[key] != after[key]] == [name]
    assert leftovers.state() == before


def test_a_look_at_numerics_leaves_the_precision_as_it_was() -> None:
    before = leftovers.state()
    assert error_vs_fp32(nn.Linear(4, 2), torch.randn(3, 4), None) == 0.0
    assert leftovers.state() == before


@pytest.mark.slow
def test_a_compiler_that_was_loaded_or_at_work_is_seen(tmp_path: Path) -> None:
    code = """
        from models.startup import lean
        import torch
        from models.training import leftovers

        told = [leftovers.state()["torch's compiler"]]
        import torch._dynamo.config
        told.append(leftovers.state()["torch's compiler"])
        torch.compile(lambda x: x.sin() + 1, backend="eager")(torch.ones(1))
        told.append(leftovers.state()["torch's compiler"])
        print(len(set(told)), [compiled for _, compiled in told])
    """
    file = tmp_path / "compiling.py"  # of a file, as nothing else is compiled
    file.write_text(dedent(code))
    env = os.environ | {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, file], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3 [False, False, True]"

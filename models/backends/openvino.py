"""OpenVINO: networks run by its CPU plugin, their int8 forms made by NNCF."""

import ctypes
import logging
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import nn

from models.backends.layers import operations
from models.backends.onnx import check, written
from models.backends.served import Served
from models.compress.backend import Backend, Made, Rounding
from models.compress.context import Context
from models.compress.exported import quiet
from models.compress.processor import instructions, saturates
from refusal import Refusal

_GRAPH, _WEIGHTS = "openvino.xml", "openvino.bin"
_BETWEEN = ["Add", "Subtract", "Multiply", "MVN", "AvgPool", "MaxPool", "ReduceMean", "Concat"]
"""operations that are int8 too where no layer is kept: a layer in 32 bits must read and leave 32 bits"""


@final
class OpenVino(Backend):
    """NNCF's post-training quantization with fast bias correction, and OpenVINO's compiled models.

    Weights are symmetric with a scale per output, activations asymmetric with one per tensor. Not by NNCF's
    model type for transformers: on AVX2 OpenVINO 2026.4 answers such graphs wrongly, by as much as the
    answers themselves, unless its int8 is switched off. Where the processor lacks VNNI weights have 7 bits,
    as sums of two products would be cut off at 16 bits. Source: Kozlov et al. (2020), arXiv 2002.08679;
    docs.openvino.ai, "Quantizing models post-training". Facts of int8: `weight_bits`, `instructions`, layers
    that were `kept`. Raises `Refusal` where a package is missing, off the CPU, for a network that has no one
    graph, and for int8 without examples.
    """

    name = "openvino"

    def check(self, net: nn.Module, context: Context, how: Rounding | None) -> None:
        """Raise `Refusal` for a missing package, another device, or what cannot be made."""
        if how is not None and not how.batches:
            raise Refusal(
                f"backend=openvino has no {how.name}, whose scales come with each input: choose "
                "compress=[int8_static], or backend=onnx."
            )
        check(self.name, ("openvino", "nncf", "onnx", "onnxscript"), net, context)

    def rounded(self, net: nn.Module, context: Context, how: Rounding) -> Made:
        """The int8 network, ready to answer. Raises `Refusal` where NNCF cannot round it."""
        import nncf

        assert how.batches
        graph, model = _read(net, context)
        fix = nncf.OverflowFix.ENABLE if saturates() else nncf.OverflowFix.DISABLE
        kept = [f"^{re.escape(name)}(/.*)?$" for name in operations(model, net, how.kept)]
        exact = nncf.IgnoredScope(patterns=kept, types=_BETWEEN, validate=False) if kept else None
        batches = [batch.contiguous().numpy() for batch in context.calibration(how.batches)]
        try:
            with _silent(), quiet(), _own_signal_stack():
                graph = nncf.quantize(
                    graph,
                    nncf.Dataset(batches),
                    subset_size=len(batches),
                    preset=nncf.QuantizationPreset.MIXED,
                    ignored_scope=exact,
                    advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
                )
        except Exception as error:  # whatever NNCF's passes stumble over
            raise Refusal(
                f"backend=openvino cannot round {type(net).__name__} ({type(error).__name__}: "
                f"{str(error)[:120]}): choose backend=onnx or backend=inductor."
            ) from error
        bits = 7 if saturates() else 8
        facts = {"weight_bits": bits, "instructions": instructions(), "kept": sorted(how.kept)}
        return served(net, _files(graph)), facts

    def code(self, net: nn.Module, context: Context) -> Made:
        """The network, compiled for the sizes that it is asked."""
        return (net, {}) if isinstance(net, Served) else (served(net, _files(_read(net, context)[0])), {})


def served(net: nn.Module, files: Mapping[str, bytes]) -> Served:
    """The graph of the files, compiled with as many threads as torch has."""
    from openvino import Core, Tensor

    weights = Tensor(np.frombuffer(files[_WEIGHTS], dtype=np.uint8).copy())
    graph = Core().read_model(files[_GRAPH], weights)
    return Served(net, files, _BySize(graph))


@final
class _BySize:
    """Code for each size of batch that is asked often: shapes that are known are faster than open ones."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._made: dict[int, Callable[[Any], Any]] = {}

    def __call__(self, x: np.ndarray) -> np.ndarray:
        run = self._made.get(len(x)) or self._made.setdefault(len(x), self._compiled(x.shape))
        answer: np.ndarray = run(x)[0].copy()
        return answer

    def _compiled(self, shape: tuple[int, ...]) -> Callable[[Any], Any]:
        from openvino import Core

        graph = self._graph.clone()
        graph.reshape(list(shape))
        settings = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": "1",
            "PERFORMANCE_HINT": "LATENCY",
        }
        with _own_signal_stack():
            request = Core().compile_model(graph, "CPU", settings).create_infer_request()
        return lambda x: request.infer([x], share_inputs=True)


def _read(net: nn.Module, context: Context) -> tuple[Any, Any]:
    """The network as OpenVINO's graph and as the ONNX that it came by.

    What is read of constants alone is one: NNCF 3.4 ends in a KeyError at a table that is looked up at places
    which are always the same, as transformers look up positions.
    """
    from openvino import Core
    from openvino.passes import ConstantFolding, Manager

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx"
        model = written(net, context.example, path)
        graph = Core().read_model(path)
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(graph)
    return graph, model


def _files(graph: Any) -> dict[str, bytes]:
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        openvino.save_model(graph, path, compress_to_fp16=False)
        return {_GRAPH: path.read_bytes(), _WEIGHTS: path.with_suffix(".bin").read_bytes()}


@contextmanager
def _silent() -> Iterator[None]:
    """Without NNCF's lines about its progress."""
    import nncf

    before = logging.getLogger("nncf").level
    nncf.set_log_level(logging.ERROR)
    try:
        yield
    finally:
        nncf.set_log_level(before)


@final
class _Stack(ctypes.Structure):
    """`stack_t` of Linux, sigaltstack(2)."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def _own_signal_stack() -> Iterator[None]:
    """Give this thread the stack back on which it takes signals.

    OpenVINO's CPU plugin sets a stack of its own, for AMX, and when it is unloaded the one that it had found.
    Of two plugins the second therefore restores the stack of the first, whose memory is gone if that one was
    unloaded before. From then on the process ends by SIGSEGV at each signal that Python would answer: Ctrl-C,
    SIGTERM, a child that ends. Only Linux is touched, as the plugin does so only there.
    """
    if sys.platform != "linux":
        yield
        return
    alternate, before = ctypes.CDLL(None).sigaltstack, _Stack()
    alternate(None, ctypes.byref(before))
    try:
        yield
    finally:
        alternate(ctypes.byref(before), None)

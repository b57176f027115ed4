"""ONNX Runtime: networks and their int8 forms as ONNX files, run by its CPU kernels."""

import tempfile
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from models.backends.layers import operations
from models.backends.served import Served
from models.compress.backend import Backend, Made, Rounding, installed
from models.compress.context import Context
from models.compress.exported import export, quiet, unlogged
from models.compress.processor import instructions, saturates
from models.exports.onnx import to_onnx
from models.training.resume import tensors_in
from refusal import Refusal

_FILE = "onnx.model"
PRODUCTS = ["Conv", "Gemm", "MatMul"]
_BETWEEN = ["Add", "Mul", "AveragePool", "GlobalAveragePool", "MaxPool", "Concat"]
"""operations that are int8 too where no layer is kept: a layer in 32 bits must read and leave 32 bits"""


@final
class OnnxRuntime(Backend):
    """Static (QDQ) and dynamic quantization of ONNX Runtime, and its sessions.

    Weights are symmetric with a scale per output, activations asymmetric with one per tensor; where the
    processor lacks VNNI weights have 7 bits, as sums of two products would be cut off at 16 bits.
    Source: onnxruntime.ai/docs/performance/model-optimizations/quantization.html. Facts of int8:
    `weight_bits`, `instructions`, layers that were `kept`. Raises `Refusal` where a package is missing, off
    the CPU, and for a network that has no one graph.
    """

    name = "onnx"

    def check(self, net: nn.Module, context: Context, how: Rounding | None) -> None:
        """Raise `Refusal` for a missing package, another device, or a network without one graph."""
        check(self.name, ("onnxruntime", "onnx", "onnxscript"), net, context)

    def rounded(self, net: nn.Module, context: Context, how: Rounding) -> Made:
        """The int8 network, ready to answer."""
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            model = written(net, context.example, place / "float.onnx")
            exact = operations(model, net, how.kept)
            inputs = context.calibration(how.batches) if how.batches else None
            content = _rounded(place, inputs, exact, [*PRODUCTS, *([] if how.kept else _BETWEEN)])
        bits = 7 if saturates() else 8
        facts = {"weight_bits": bits, "instructions": instructions(), "kept": sorted(how.kept)}
        return served(net, {_FILE: content}), facts

    def code(self, net: nn.Module, context: Context) -> Made:
        """The network in a session of its own."""
        if isinstance(net, Served):
            return net, {}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "float.onnx"
            written(net, context.example, path)
            return served(net, {_FILE: path.read_bytes()}), {}


def check(backend: str, packages: tuple[str, ...], net: nn.Module, context: Context) -> None:
    """Raise `Refusal` for what no runtime outside of torch could do: see `OnnxRuntime.check`."""
    installed(packages, backend)
    if torch.device(context.device).type != "cpu":
        raise Refusal(f"backend={backend} answers on the CPU: set trainer=cpu, or choose backend=inductor.")
    weights = tensors_in(net.state_dict()).values()
    if any(weight.dtype not in (torch.float32, torch.int64) for weight in weights):
        raise Refusal(f"backend={backend} takes weights of 32 bits: choose backend=inductor for others.")
    export(net, context.example, f"backend={backend}")


_last: dict[str, Any] = {}
"""the network that was written last, by weak reference, the state of its weights then, and the file"""


def written(net: nn.Module, example: Tensor, path: Path) -> Any:
    """The network as an ONNX file at `path`, and as it was read back.

    The last file is kept: torch's exporter takes seconds, and a layer that is raised, or another backend,
    asks for the same network again.
    """
    import onnx

    weights = [(value.data_ptr(), value._version) for value in tensors_in(net.state_dict()).values()]
    if _last and _last["net"]() is net and _last["weights"] == weights:
        path.write_bytes(_last["content"])
    else:
        to_onnx(net, example, path)
        _last.update(net=weakref.ref(net), weights=weights, content=path.read_bytes())
    return onnx.load(path)


def served(net: nn.Module, files: Mapping[str, bytes]) -> Served:
    """A session of the file, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(files[_FILE], options, providers=["CPUExecutionProvider"])
    reads = session.get_inputs()[0].name
    return Served(net, files, lambda x: session.run(None, {reads: x})[0])


def _rounded(place: Path, inputs: Iterable[Tensor] | None, exact: list[str], kinds: list[str]) -> bytes:
    """The int8 form of `float.onnx` in a folder, of operations of some kinds but those that stay `exact`.

    No inputs give each its own scale as it comes.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source, ready, target = (place / f"{name}.onnx" for name in ("float", "ready", "int8"))
    how = {"per_channel": True, "reduce_range": saturates(), "weight_type": quantization.QuantType.QInt8}
    with unlogged(), quiet():
        # Batch normalisation becomes a part of the weights before they are rounded.
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        how["nodes_to_exclude"] = _fused(ready, exact)
        if inputs is None:
            quantization.quantize_dynamic(str(ready), str(target), **how)
        else:
            quantization.quantize_static(
                str(ready),
                str(target),
                _Examples(inputs, _input(ready)),
                op_types_to_quantize=kinds,
                activation_type=quantization.QuantType.QUInt8,
                extra_options={"MatMulConstBOnly": True},
                **how,
            )
    return target.read_bytes()


def _input(path: Path) -> str:
    import onnx

    return str(onnx.load(path).graph.input[0].name)


def _fused(path: Path, exact: list[str]) -> list[str]:
    """The names that operations have once others were joined to them."""
    import onnx

    names = [node.name for node in onnx.load(path).graph.node]
    return [name for name in names if any(name == one or name.startswith(f"{one}/") for one in exact)]


@final
class _Examples:
    """Batches as ONNX Runtime's calibration asks for them."""

    def __init__(self, inputs: Iterable[Tensor], name: str) -> None:
        self._inputs, self._name = iter(inputs), name

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._inputs, None)
        return None if batch is None else {self._name: batch.contiguous().numpy()}

    def __iter__(self) -> "_Examples":
        return self

    def __next__(self) -> dict[str, Any]:
        batch = self.get_next()
        if batch is None:
            raise StopIteration
        return batch

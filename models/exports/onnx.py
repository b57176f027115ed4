"""Networks in ONNX (https://onnx.ai), which most runtimes read, and by way of it in OpenVINO's format."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.compress.exported import first_line, quiet
from models.exports.graph import program
from refusal import Refusal

INPUTS, OUTPUTS = "inputs", "outputs"
"""what a session calls them"""
_ONNX = ("onnx", "onnxscript")
_OPENVINO = ("openvino", *_ONNX)


def needed(packages: tuple[str, ...], extra: str) -> None:
    """Raise `Refusal` where one of `packages` is missing, with the extra that brings it."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise Refusal(f"This needs {', '.join(missing)}: pip install -e '.[{extra}]'.")


def to_onnx(network: nn.Module, example: Tensor, path: Path) -> None:
    """Write `network` in evaluation mode as one file, for batches of any size, weights inside.

    `example` (B, *shape) float32 or (B, T) int64. Its input is called `inputs`, its output `outputs`. Int8
    networks of static scales come out as QuantizeLinear and DequantizeLinear around their products, which
    runtimes join into int8 kernels; weights stay int8 in the file.

    Raises:
        Refusal: a package is missing, the network has no one graph, or an operation that ONNX lacks.
    """
    needed(_ONNX, "onnx")
    made = program(network, example, "onnx")
    _clamp(made.graph_module)
    pair = example.cpu()[:2] if len(example) > 1 else torch.cat([example, example]).cpu()
    try:
        with quiet(), _unheard():
            names: Any = {"input_names": [INPUTS], "output_names": [OUTPUTS]}
            written = torch.onnx.export(made, (pair,), **names, dynamo=True, verbose=False)
            assert written is not None  # of a path alone
            _bare(written.model)
            written.save(path, external_data=False)
    except Exception as error:  # of torch's exporter, and of what it is written in
        path.unlink(missing_ok=True)
        raise Refusal(
            f"{type(network).__name__} cannot be written in ONNX ({first_line(error)}): choose "
            "format=torch_export, which carries every graph."
        ) from error


def _bare(model: Any) -> None:
    """Without what the exporter notes of each node, such as where its source lies on this machine."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


@contextmanager
def _unheard() -> Iterator[None]:
    """Without its lines about packages that it looked for and that nothing here needs."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _clamp(graph: torch.fx.GraphModule) -> None:
    """Hold values to the range of their integers before they are rounded, where it is not that of the type.

    ONNX saturates at the ends of the type; a processor without VNNI has one bit less.
    """
    ops = torch.ops.quantized_decomposed
    rounding: Any = ops.quantize_per_tensor.default if hasattr(ops, "quantize_per_tensor") else None
    for node in [node for node in graph.graph.nodes if node.target is rounding]:
        x, scale, zero, low, high, dtype = node.args
        whole = torch.iinfo(dtype)
        if (low, high) == (whole.min, whole.max):
            continue
        with graph.graph.inserting_before(node):
            held = graph.graph.call_function(
                torch.ops.aten.clamp.default, (x, (low - zero) * scale, (high - zero) * scale)
            )
        held.meta = dict(x.meta)
        node.args = (held, scale, zero, whole.min, whole.max, dtype)
    graph.recompile()


def to_openvino(network: nn.Module, example: Tensor, path: Path) -> None:
    """Write `path`, which ends in .xml, with its weights in .bin beside it, in the types that they have.

    By way of ONNX, which OpenVINO reads itself. Arguments as `to_onnx` takes them.

    Raises:
        Refusal: a package is missing, or the network cannot be written so.
    """
    needed(_OPENVINO, "openvino")
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        between = Path(folder) / "model.onnx"
        to_onnx(network, example, between)
        try:
            with quiet():
                openvino.save_model(openvino.convert_model(between), path, compress_to_fp16=False)
        except Exception as error:  # OpenVINO's are plain RuntimeErrors and its own
            raise Refusal(
                f"OpenVINO does not take {type(network).__name__} ({first_line(error)}): choose format=onnx."
            ) from error

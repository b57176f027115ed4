"""Networks in ONNX, the format that most other runtimes read (https://onnx.ai, opset 18 or later)."""

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
NEEDS = ("onnx", "onnxscript", "onnxruntime")


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
    needed(NEEDS[:2], "onnx")
    made = program(network, example, "onnx")
    _clamp(made.graph_module)
    pair = example.cpu()[:2] if len(example) > 1 else torch.cat([example, example]).cpu()
    try:
        with quiet():
            torch.onnx.export(
                made,
                (pair,),
                path,
                input_names=[INPUTS],
                output_names=[OUTPUTS],
                external_data=False,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # of torch's exporter, and of what it is written in
        path.unlink(missing_ok=True)
        raise Refusal(
            f"{type(network).__name__} cannot be written in ONNX ({first_line(error)}): choose "
            "format=torch_export, which carries every graph."
        ) from error


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

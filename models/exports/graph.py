"""A network as one graph of plain operations that any machine has, with its weights."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from models.compress import exported
from models.compress.exported import first_line, plain, quiet
from models.compress.int8_weights import Int8Linear
from refusal import Refusal

_HELD = torch.ops.aten._assert_tensor_metadata.default
"""a check that says `cpu`"""


def program(network: nn.Module, example: Tensor, form: str) -> torch.export.ExportedProgram:
    """The graph of a copy of `network` in evaluation mode, on the CPU, for batches of any size.

    `example` (B, *shape) float32 or (B, T) int64; `form` is the format that is asked for. No example is
    kept. A compiled network gives what it was compiled from, and int8 weights are unpacked by plain products.

    Raises:
        Refusal: the network's path depends on its data, so there is no one graph.
    """
    net = copy.deepcopy(getattr(network, "eager", network)).cpu()
    for module in net.modules():
        if isinstance(module, Int8Linear):
            module.plain = True
    try:
        made = exported.program(net, example.cpu())
    except Exception as error:  # whatever a network's own code raises when it is traced
        raise Refusal(
            f"format={form} needs {type(network).__name__} as one graph, and torch makes none "
            f"({first_line(error)}): export a network whose path no data changes."
        ) from error
    # Torch would write it as a pickle, and it is a person's data.
    made.example_inputs = None
    return made


def operations(made: torch.export.ExportedProgram) -> torch.fx.GraphModule:
    """The graph as a function of a tensor to a tensor, on whatever device its weights are."""
    with quiet(), torch.no_grad():
        graph = plain(made.module())
    for node in [node for node in graph.graph.nodes if node.target is _HELD]:
        graph.graph.erase_node(node)
    graph.recompile()
    return graph


def rounds(graph: torch.fx.GraphModule) -> bool:
    """Whether it computes with operations of quantised numbers, which torch has once they are imported."""
    return any(_namespace(node.target) == "quantized_decomposed" for node in graph.graph.nodes)


def _namespace(target: Any) -> str:
    return str(getattr(target, "namespace", ""))

"""A network as one graph of plain operations that any machine has, with its weights; a .pt2 is torch's."""

import copy
import zipfile
from pathlib import Path
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
    # Torch would pickle it, and it is a person's data; of each node it notes where its source lies here.
    made.example_inputs = None
    for node in made.graph.nodes:
        node.meta.pop("stack_trace", None)
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


def to_torch_export(network: nn.Module, example: Tensor, path: Path) -> None:
    """Write the graph of `network` with its weights, for batches of any size; `torch.export.load` reads it.

    Raises:
        Refusal: the network has no one graph, or torch would write a part of it as a pickle.
    """
    made = program(network, example, "torch_export")
    with quiet():
        torch.export.save(made, path)
    with zipfile.ZipFile(path) as archive:
        odd = [name for name in archive.namelist() if _pickled(archive.read(name))]
    if odd:
        path.unlink()
        raise Refusal(f"torch writes {odd[0]} of this network as a pickle, which no export holds.")


def _pickled(content: bytes) -> bool:
    """Torch pickles into an archive of its own, Python by its protocol's mark and a stop."""
    return content.startswith(b"PK\x03\x04") or (content[:1] == b"\x80" and content.endswith(b"."))

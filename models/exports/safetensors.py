"""Weights as safetensors, and the network beside them as source of plain torch.

The source is written from the graph and not copied from the lab or a person's own module: so it fits a pruned
network and an int8 one, whose shapes and operations no configuration gives, and it imports torch alone.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from models.exports.graph import operations, program, rounds
from refusal import Refusal

_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_KNOWN = {"torch", "inf", "nan", "device", "NoneType", "fx_pytree", "pytree"}
"""what a generated source may name beside its own"""
_SOURCE = '''"""The network of model.safetensors in plain operations of torch, written from its graph."""

import json
from math import inf, nan  # noqa: F401
from pathlib import Path

import torch
{imports}from torch import device, nn  # noqa: F401

BUFFERS = {buffers}
NAMES = {names}


def read(path):
    """Tensors by name: a length, a head in JSON, then bytes (github.com/huggingface/safetensors)."""
    content = bytearray(Path(path).read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    head = json.loads(content[8:begin])
    data = torch.frombuffer(content[begin:], dtype=torch.uint8)
    return {{
        name: data[slice(*one["data_offsets"])].clone().view(NAMES[one["dtype"]]).view(one["shape"])
        for name, one in head.items()
        if name != "__metadata__"
    }}


class Network(nn.Module):
    def __init__(self, weights):
        super().__init__()
        for name, tensor in weights.items():
            *folders, last = name.split(".")
            place = self
            for folder in folders:
                if not hasattr(place, folder):
                    place.add_module(folder, nn.Module())
                place = getattr(place, folder)
            if name in BUFFERS:
                place.register_buffer(last, tensor)
            else:
                place.register_parameter(last, nn.Parameter(tensor))

{forward}

def load(path):
    return Network(read(path)).eval()
'''


def to_safetensors(network: nn.Module, example: Tensor, path: Path) -> None:
    """Write the weights of `network` to `path` and its source to `network.py` beside it.

    Weights have the names that they have in the network, and one that has several names is written once.

    Raises:
        Refusal: the network has no one graph, or one that is no plain source.
    """
    graph = operations(program(network, example, "safetensors"))
    state = _used(graph)
    trained = {
        name for name, weight in graph.named_parameters(remove_duplicate=False) if weight.is_floating_point()
    }
    write(state, path)
    path.with_name("network.py").write_text(_source(graph, sorted(state.keys() - trained)))


def write(state: Mapping[str, Tensor], path: Path) -> None:
    """A file of safetensors: https://github.com/huggingface/safetensors#format."""
    head: dict[str, object] = {"__metadata__": {"format": "pt"}}
    contents, end = [], 0
    # The largest elements first, so that every tensor lies at a multiple of its own.
    for name in sorted(state, key=lambda name: (-state[name].element_size(), name)):
        tensor = state[name].detach().cpu().contiguous()
        flat = tensor.reshape(-1).view(torch.uint8)
        place = [end, end + len(flat)]
        head[name] = {"dtype": _TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
        contents.append(flat.numpy().tobytes())
        end = place[1]
    spelt = json.dumps(head, separators=(",", ":")).encode()
    spelt += b" " * (-len(spelt) % 8)
    path.write_bytes(b"".join([len(spelt).to_bytes(8, "little"), spelt, *contents]))


def _used(graph: torch.fx.GraphModule) -> dict[str, Tensor]:
    """What the graph reads, each tensor under one name, which the graph reads it by from then on."""
    tensors = dict(graph.named_parameters(remove_duplicate=False)) | dict(
        graph.named_buffers(remove_duplicate=False)
    )
    names: dict[int, str] = {}
    used: dict[str, Tensor] = {}
    for node in [node for node in graph.graph.nodes if node.op == "get_attr"]:
        tensor = tensors.get(str(node.target))
        if tensor is None:
            raise Refusal(_TOO_DEEP)
        node.target = names.setdefault(id(tensor), str(node.target))
        used[str(node.target)] = tensor.detach()
    graph.recompile()
    return used


_TOO_DEEP = (
    "This network's graph has graphs inside of it, which are no plain source: choose format=torch_export."
)


def _source(graph: torch.fx.GraphModule, buffers: list[str]) -> str:
    code = graph.graph.python_code("self")
    odd = {name for name in code.globals if name.partition(".")[0] not in _KNOWN}
    if odd:
        raise Refusal(_TOO_DEEP)
    # Types in comments and signatures are of no use here, and name what is not imported.
    forward = re.sub(
        r"def forward\(self, (\w+)[^)]*\)(?: -> [^:]+)?:", r"def forward(self, \1):", code.src.strip()
    )
    used = "import torch.ao.quantization.fx._decomposed  # noqa: F401\n" if rounds(graph) else ""
    types = "{" + ", ".join(f'"{name}": {kind}' for kind, name in _TYPES.items()) + "}"
    lines = ("    " + line if line.strip() else "" for line in forward.splitlines())
    return _SOURCE.format(imports=used, buffers=buffers, names=types, forward="\n".join(lines))

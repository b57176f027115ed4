"""Networks as torch's own exported graph (.pt2): JSON and raw tensors in an archive, no pickle."""

import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from models.compress.exported import quiet
from models.exports.graph import program
from refusal import Refusal


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

"""The weights of a network as they lie on disk: sparse ones as bitmap and values, shared ones once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from models.training.checkpoint import OURS, Checkpoints
from refusal import Refusal

_FORMAT = 1
_RECORD = 512
"""bytes that one more tensor costs in torch's file, at most: its header, its entry, its alignment"""


def save(net: nn.Module, path: Path) -> int:
    """Write the weights of `net` to `path`; returns the bytes of the file.

    Written beside, synced, then put in place, with its SHA-256 in the folder's `manifest.json`, as
    checkpoints are. Not for a folder of checkpoints: its manifest would list this as one.

    Raises:
        Refusal: the file could not be written.
    """
    Checkpoints().save_checkpoint({"global_step": 0, **_content(net)}, path)
    return path.stat().st_size


def load(path: Path) -> dict[str, Any]:
    """The state dict that was saved, dense, on the CPU; equal to the saved one (-0.0 may come back as 0.0).

    Raises:
        Refusal: the file is damaged, or holds no weights of this lab.
    """
    found = Checkpoints().load_checkpoint(path)
    if "weights" not in found:
        raise Refusal(f"{path} holds no weights of a finished network: name a trial's weights file.")
    return unpack(found["weights"])


def measure(net: nn.Module) -> int:
    """The bytes that `save` would write, without a disk."""
    counting = _Counting()
    torch.save({"global_step": 0, **_content(net)}, counting)  # type: ignore[arg-type]
    return counting.bytes


def pack(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict with each sparse tensor as its bitmap and values where that is smaller, to the byte.

    Views are cut from what they are views of, and what several names share stays shared. What is no plain
    tensor (quantised ones, extra states) passes as it is.
    """
    packed: dict[Any, Any] = {}
    return {name: packed.setdefault(_identity(value), _packed(value)) for name, value in state.items()}


def unpack(packed: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict that was packed."""
    seen: dict[int, Any] = {}
    return {name: seen.setdefault(id(value), _unpacked(value)) for name, value in packed.items()}


def _content(net: nn.Module) -> dict[str, Any]:
    # A compiled network's own weights are its eager form's; another runtime's are that runtime's files.
    own = net if hasattr(net, "files") else getattr(net, "eager", net)
    return {OURS: {"format": _FORMAT}, "weights": pack(own.state_dict())}


def _identity(value: Any) -> Any:
    if not _plain(value):
        return id(value)
    return (
        value.untyped_storage().data_ptr(),
        value.storage_offset(),
        value.shape,
        value.stride(),
        value.dtype,
    )


def _plain(value: Any) -> bool:
    ordinary = type(value) in (Tensor, nn.Parameter)
    return ordinary and value.layout == torch.strided and not value.is_quantized


def _packed(value: Any) -> Any:
    value = dense(value)
    if not _plain(value):
        return value
    tensor = value.detach().cpu()
    mask = tensor != 0
    sparse = mask.numel() / 8 + int(mask.sum()) * tensor.element_size() + _RECORD
    if sparse >= tensor.numel() * tensor.element_size():
        whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        return tensor if whole else tensor.clone()
    bits = torch.from_numpy(np.packbits(mask.numpy().reshape(-1)))
    return {"shape": list(tensor.shape), "bitmap": bits, "values": tensor[mask]}


def dense(value: Any) -> Any:
    """2:4 sparse weights of a GPU as plain ones: their bitmap and values take no more bytes than theirs."""
    return value.to_dense() if type(value).__name__.startswith("SparseSemiStructured") else value


def _unpacked(value: Any) -> Any:
    if not isinstance(value, dict) or "bitmap" not in value:
        return value
    tensor = torch.zeros(value["shape"], dtype=value["values"].dtype)
    flat = np.unpackbits(value["bitmap"].numpy(), count=tensor.numel()).astype(bool)
    tensor[torch.from_numpy(flat).view(tensor.shape)] = value["values"]
    return tensor


@final
class _Counting:
    """A file that only counts."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.bytes += size
        return size

    def flush(self) -> None:
        return None

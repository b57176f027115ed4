"""Networks whose layers are one block with deltas of their own: what may not be done to that block."""

from torch import nn

from models.nets.sharing import Relaxed
from refusal import Refusal


def refuse_deltas(net: nn.Module, option: str) -> None:
    """Raise `Refusal` when `net` adds per-layer deltas to linear layers that `option` would replace."""
    if any(isinstance(module, Relaxed) for module in net.modules()):
        raise Refusal(
            f"compress={option} replaces layers that model.sharing=relaxed adds to: choose "
            "model.sharing=all, cycle or none."
        )

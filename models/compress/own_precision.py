"""A network that computes in the number format of its own weights, whatever mixed precision is on outside."""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn


@final
class OwnPrecision(nn.Module):
    """Takes what `net` took, gives its logits in float32; weights keep the names that they have in `net`.

    (B, *shape) float32, which is rounded to the weights' type inside, or (B, T) int64.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Logits in float32."""
        x = x.to(self.dtype) if x.is_floating_point() else x
        if not torch.is_autocast_enabled(x.device.type):
            return self.net(x).float()
        with torch.autocast(x.device.type, enabled=False):
            return self.net(x).float()

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights that are not integers; asked each time, as `.float()` and the like change it."""
        types = (weight.dtype for weight in self.net.parameters() if weight.is_floating_point())
        return next(types, torch.float32)

    def metrics(self) -> dict[str, float]:
        """The network's own."""
        own: dict[str, float] = getattr(self.net, "metrics", dict)()
        return own

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The network's own."""
        return self.net.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Into the network itself."""
        return self.net.load_state_dict(state_dict, *args, **kwargs)

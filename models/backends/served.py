"""A network whose answers come from a runtime outside of torch; it is kept as the runtime's own file."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

Run = Callable[[np.ndarray], np.ndarray]
"""(B, *shape) float32 or (B, T) int64 -> answers, float32"""
_MODULES = {"onnx": "models.backends.onnx", "openvino": "models.backends.openvino"}
"""the first part of a kept file's name -> what makes it run again"""


@final
class Served(nn.Module):
    """Answers by `run`; `files` are what it was made of, by name, and what is saved of it.

    `eager` is the network of torch's that it came from, by which arithmetic and parameters are counted.
    """

    def __init__(self, eager: nn.Module, files: Mapping[str, bytes], run: Run) -> None:
        super().__init__()
        self.eager, self.files, self._run = eager, dict(files), run

    def forward(self, x: Tensor) -> Tensor:
        """Logits, without a gradient and in 32 bits."""
        return torch.from_numpy(self._run(x.detach().contiguous().numpy()))

    def metrics(self) -> dict[str, float]:
        """The network's own, which a runtime does not renew."""
        return {}

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The runtime's files as bytes."""
        return {
            name: torch.frombuffer(bytearray(content), dtype=torch.uint8)
            for name, content in self.files.items()
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> "Served":
        return self  # nothing in it ever changes


def restored(net: nn.Module, state: Mapping[str, Any]) -> Served | None:
    """What was saved as a runtime's files, ready to answer; None for weights of torch's.

    Raises:
        Refusal: the runtime is not installed here.
    """
    runtime = _MODULES.get(next(iter(state), "").partition(".")[0]) if len(state) <= 2 else None
    if runtime is None or any(value.dtype != torch.uint8 for value in state.values()):
        return None
    files = {name: value.numpy().tobytes() for name, value in state.items()}
    served: Served = import_module(runtime).served(net, files)
    return served

"""Arithmetic that counters of operators do not see: the products that a short convolution writes out."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from torch import Tensor, nn
from torch.fx import GraphModule

from models.nets.mixers.convolution import ShortConvolution

_NAME = f"{ShortConvolution.__module__}.{ShortConvolution.__qualname__}"


@final
class Unseen:
    """Two operations for each multiply-add: of forward passes, and of those with their backward passes."""

    def __init__(self) -> None:
        self.forward = self.train = 0

    def add(self, operations: int, gradients: int) -> None:
        """Count so many operations, and as many again for each gradient: the weight's, the input's."""
        self.forward += operations
        self.train += operations * (1 + gradients)


@contextmanager
def unseen(net: nn.Module) -> Iterator[Unseen]:
    """Count the calls inside; an exported graph, which has no layers to be called, counts once."""
    counted = Unseen()

    def hear(layer: ShortConvolution, given: tuple[Tensor, ...], _: Tensor) -> None:
        (x,), weight = given, layer.weight
        counted.add(2 * weight.numel() * x.shape[:-1].numel(), weight.requires_grad + x.requires_grad)

    layers = [module for module in net.modules() if isinstance(module, ShortConvolution)]
    hooks = [layer.register_forward_hook(hear) for layer in layers]
    try:
        yield counted
        counted.add(sum(_of(part) for part in net.modules() if isinstance(part, GraphModule)), gradients=0)
    finally:
        for hook in hooks:
            hook.remove()


def _of(graph: GraphModule) -> int:
    """Of one example: a graph keeps of each product which layer it was written in."""
    products = [node for node in graph.graph.nodes if str(node.target).startswith("aten.mul.")]
    own = [node for node in products if _layer(node.meta.get("nn_module_stack")) == _NAME]
    return sum(2 * math.prod(node.meta["val"].shape[1:]) for node in own)


def _layer(stack: dict[str, tuple[str, object]] | None) -> str:
    """The innermost layer of a node's stack."""
    return str([*stack.values()][-1][1]) if stack else ""

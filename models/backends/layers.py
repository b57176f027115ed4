"""Which operations of an ONNX graph are which layers of the network that it was written from."""

from typing import Any

import numpy as np
from torch import nn

from models.compress.rounding import layers

_PRODUCTS = ("Conv", "Gemm", "MatMul")


def operations(model: Any, net: nn.Module, kept: frozenset[str]) -> list[str]:
    """Names of the operations that multiply by the weights of the layers of these names, by name or value.

    An exporter may transpose a weight and give it another name.
    """
    from onnx import numpy_helper

    if not kept:
        return []
    weights = {
        name: layer.get_parameter("weight").detach().cpu().numpy()
        for name, layer in layers(net).items()
        if name in kept
    }
    held = {one.name: one for one in model.graph.initializer}
    found = []
    for node in model.graph.node:
        read = [name for name in node.input if name in held] if node.op_type in _PRODUCTS else []
        named = [name for name in read if _is(name, numpy_helper.to_array(held[name]), weights)]
        found += [node.name] if named else []
    return found


def _is(name: str, value: np.ndarray, weights: dict[str, np.ndarray]) -> bool:
    if any(name == f"{layer}.weight" for layer in weights):
        return True
    flat = [weight.reshape(weight.shape[0], -1) for weight in weights.values()]
    if value.ndim < 2:
        return False
    own = value.reshape(value.shape[0], -1)
    return any(_same(own, other) or _same(own.T, other) for other in flat)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other))

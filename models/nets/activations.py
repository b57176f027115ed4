"""The activations that a config may name."""

from torch import nn

from refusal import Refusal

_BY_NAME = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


def activation(name: str) -> nn.Module:
    """The activation called `name`; raises `Refusal` for an unknown one."""
    if name not in _BY_NAME:
        raise Refusal(f"model.activation '{name}' is unknown: choose one of {', '.join(_BY_NAME)}.")
    return _BY_NAME[name]()

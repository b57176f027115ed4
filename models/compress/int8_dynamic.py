"""Weights of 8 bits and activations rounded as they come: no examples needed, linear layers only."""

from collections.abc import Mapping
from typing import final

from torch import Tensor, nn

from models.compress import int8_static
from models.compress.backend import Rounding
from models.compress.compression import Compression
from models.compress.context import Context


@final
class Int8Dynamic(Compression):
    """Dynamic quantization of linear layers: PT2E with the x86 inductor quantizer, compiled.

    Each layer's input gets the scale that its own largest and smallest value ask for.
    Facts: as `Int8Static`. Raises `Refusal` as `Int8Static` does.
    """

    def check(self, net: nn.Module, context: Context) -> None:
        """Look for CPU and compiler, and try the int8 form of the untrained network."""
        int8_static.check(net, context, Rounding("int8_dynamic"))

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The compiled int8 network."""
        return int8_static.finished(net, context, Rounding("int8_dynamic"), self.facts)

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """The int8 graph of a fresh network."""
        return int8_static.rebuilt(net, state, example, "int8_dynamic", dynamic=True)

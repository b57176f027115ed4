"""Weights and activations of 8 bits with scales from training examples: the fastest numbers on x86 CPUs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor, nn

from models.compress import pt2e
from models.compress.backend import Backend, Made, Rounding, chosen
from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.number_format import able, one_format
from models.compress.raising import held
from models.compress.rounding import layers
from refusal import Refusal


@final
class Int8Static(Compression):
    """Static post-training quantization: PT2E with the x86 inductor quantizer, compiled.

    `batches` training batches set the activations' scales. Source: Jacob et al. (2017), arXiv 1712.05877.
    Facts: `int8` weights by name, `activation_bits` (7 where the processor lacks VNNI, else 8) and the
    `instructions` that decided, `compile_seconds`. Raises `Refusal` without an x86 CPU or a C++ compiler, for
    a network that has no one graph, and where the code fails or is neither smaller nor faster than 32 bits.
    """

    def __init__(self, batches: int = 16) -> None:
        super().__init__()
        if batches < 1:
            raise Refusal("compress.int8_static.batches must be 1 or more: scales come from examples.")
        self.batches = batches

    def check(self, net: nn.Module, context: Context) -> None:
        """Look for CPU and compiler, and try the int8 form of the untrained network."""
        check(net, context, Rounding("int8_static", self.batches))

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The compiled int8 network."""
        return finished(net, context, Rounding("int8_static", self.batches), self.facts)

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """The int8 graph of a fresh network, with the saved activation scales."""
        return rebuilt(net, state, example, "int8_static")


def check(net: nn.Module, context: Context, how: Rounding) -> None:
    """Raise `Refusal` where no backend can make int8 of `net`; one of several that cannot is left out."""
    one_format(context)
    able(context, lambda backend: backend.check(net, context, how))


def rebuilt(
    net: nn.Module, state: Mapping[str, Tensor], example: Tensor, name: str, *, dynamic: bool = False
) -> nn.Module:
    """The int8 graph of a fresh network with the saved scales; what is saved in 32 bits stays so."""
    saved = {layer: state.get(f"{layer}.weight") for layer in layers(net)}
    exact = {layer for layer, weight in saved.items() if weight is not None and weight.dtype != torch.int8}
    kept = frozenset(layer for layer in exact if f"{layer}.weight_int8" not in state)
    largest = pt2e.largest_in(state)
    graph = pt2e.quantized(net, [example], name, dynamic=dynamic, largest=largest, kept=kept)
    return pt2e.with_activations(graph, state)


def finished(net: nn.Module, context: Context, how: Rounding, facts: dict[str, Any]) -> nn.Module:
    """The int8 network in the code of the backend that was asked for, or of the fastest."""

    def make(backend: Backend) -> Made:
        def rounded(kept: frozenset[str]) -> Made:
            return backend.rounded(net, context, replace(how, kept=kept))

        made, told = held(net, context, how.batches or 1, rounded)
        code, more = backend.code(made, context)
        return code, told | more

    made, told = chosen(net, context, make)
    facts |= told
    return made

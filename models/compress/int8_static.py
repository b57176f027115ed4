"""Weights and activations of 8 bits with scales from training examples: the fastest numbers on x86 CPUs."""

from collections.abc import Mapping
from typing import final

from torch import Tensor, nn

from models.compress import pt2e
from models.compress.attempt import Attempt
from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.exported import Compiled, compiler
from models.compress.number_format import one_format
from models.compress.processor import instructions, largest_activation
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
        check(net, context, "int8_static")

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The compiled int8 network."""
        return compiled(net, context, self.batches, self.facts)

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """The int8 graph of a fresh network, with the saved activation scales."""
        largest = pt2e.largest_in(state)
        graph = pt2e.quantized(net, [example], "int8_static", dynamic=False, largest=largest)
        return pt2e.with_activations(graph, state)


def check(net: nn.Module, context: Context, name: str, *, dynamic: bool = False) -> None:
    """Raise `Refusal` where compiled int8 cannot be made of `net` or gains nothing, by making it."""
    one_format(context)
    pt2e.x86(name, context.device)
    compiler(name)
    code = "int8_dynamic" if dynamic else "int8_static"
    attempt = Attempt(name, net, context, "compress=[bf16] or compress=[int8_weights]", code)
    if not attempt.proven:
        graph = pt2e.quantized(net, [context.example[:2]], name, dynamic=dynamic)
        attempt.run(lambda: Compiled(graph, graph, context.example), must_gain=True)


def compiled(net: nn.Module, context: Context, batches: int | None, facts: dict[str, object]) -> Compiled:
    """The int8 network; None for `batches` takes activations' scales from each input as it comes."""
    inputs = context.calibration(batches or 1)
    graph = pt2e.quantized(net, inputs, "int8", dynamic=batches is None)
    made = Compiled(graph, graph, context.example)
    facts |= {
        "int8": pt2e.layers(graph),
        "activation_bits": largest_activation().bit_length(),
        "instructions": instructions(),
        "compile_seconds": made.seconds,
    }
    return made

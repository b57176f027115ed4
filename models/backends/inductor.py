"""torch's own compiler: int8 by PT2E for x86, and code with the weights as constants."""

import copy
from typing import final

import torch
from torch import nn

from models.compress import pt2e
from models.compress.attempt import Attempt
from models.compress.backend import Backend, Made, Rounding
from models.compress.context import Context
from models.compress.exported import Compiled, compiler, export
from models.compress.half import HALVES
from models.compress.own_precision import OwnPrecision
from models.compress.processor import instructions, largest_activation


@final
class Inductor(Backend):
    """Inductor with freezing. Source: Ansel et al. (2024), PyTorch 2, doi 10.1145/3620665.3640366.

    Facts of int8: `int8` weights by name, `activation_bits` (7 where the processor lacks VNNI, else 8) and
    the `instructions` that decided. Of code: `compile_seconds`.
    """

    name = "inductor"

    def check(self, net: nn.Module, context: Context, how: Rounding | None) -> None:
        """Raise `Refusal` without a compiler, or where the code fails or gains nothing, by making it."""
        if how is None:
            self._check_code(net, context)
            return
        pt2e.x86(how.name, context.device)
        compiler(how.name)
        code = "int8_static" if how.batches else "int8_dynamic"
        attempt = Attempt(how.name, net, context, "compress=[bf16] or compress=[int8_weights]", code)
        if not attempt.proven:
            graph = pt2e.quantized(net, [context.example[:2]], how.name, dynamic=not how.batches)
            attempt.run(lambda: Compiled(graph, graph, context.example), must_gain=True)

    def rounded(self, net: nn.Module, context: Context, how: Rounding) -> Made:
        """The int8 graph."""
        inputs = context.calibration(how.batches or 1)
        graph = pt2e.quantized(net, inputs, how.name, dynamic=not how.batches, kept=how.kept)
        bits = largest_activation().bit_length()
        facts = {"int8": pt2e.layers(graph), "activation_bits": bits, "instructions": instructions()}
        return graph, facts

    def code(self, net: nn.Module, context: Context) -> Made:
        """The compiled network."""
        graph = net if isinstance(net, torch.fx.GraphModule) else export(net, context.example, "compiled")
        made = Compiled(net, graph, context.example)
        return made, {"compile_seconds": made.seconds}

    def _check_code(self, net: nn.Module, context: Context) -> None:
        compiler("compiled")
        half = next((name for name in context.names if name in HALVES), None)
        attempt = Attempt(
            f"[{half},compiled]" if half else "compiled", net, context, "the same without compiled"
        )
        if not attempt.proven:
            form = OwnPrecision(copy.deepcopy(net).to(context.device, HALVES[half])) if half else net
            graph = export(form.to(context.device), context.example, "compiled")
            attempt.run(lambda: Compiled(form, graph, context.example))

"""Machine code for the final network, of whatever number format."""

import copy
from collections.abc import Mapping
from typing import final

from torch import Tensor, nn

from models.compress.attempt import Attempt
from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.exported import Compiled, compiler, export
from models.compress.half import HALVES
from models.compress.number_format import one_format
from models.compress.own_precision import OwnPrecision


@final
class Compile(Compression):
    """Exports the network and compiles it with its weights as constants (inductor, freezing).

    Source: Ansel et al. (2024), PyTorch 2, doi 10.1145/3620665.3640366. Weights on disk stay as they are.
    Facts: `compile_seconds`. Raises `Refusal` without a C++ compiler and for a network that has no one graph.
    """

    def check(self, net: nn.Module, context: Context) -> None:
        """Look for the compiler, and try the code of the untrained network, in the format of its weights."""
        one_format(context)
        compiler("compiled")
        half = next((name for name in context.names if name in HALVES), None)
        name = f"[{half},compiled]" if half else "compiled"
        attempt = Attempt(name, net, context, "the same without compiled")
        if not attempt.proven:
            form = OwnPrecision(copy.deepcopy(net).to(context.device, HALVES[half])) if half else net
            graph = export(form.to(context.device), context.example, "compiled")
            attempt.run(lambda: Compiled(form, graph, context.example))

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The compiled network."""
        compiled = Compiled(net, export(net, context.example, "compiled"), context.example)
        self.facts |= {"compile_seconds": compiled.seconds}
        if context.precision in ("bf16-mixed", "16-mixed"):
            self.facts["precision"] = "of its weights, not mixed: compress=[bf16,compiled] answers in 16 bits"
        return compiled

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """The network itself: code is made anew where it runs."""
        return net

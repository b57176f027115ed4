"""Machine code for the final network, of whatever number format."""

from collections.abc import Mapping
from typing import final

from torch import Tensor, nn

from models.compress.backend import chosen
from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.number_format import able, one_format


@final
class Compile(Compression):
    """Exports the network and makes code of it with its weights as constants, by the trial's backend.

    Weights on disk stay as they are by inductor; other backends keep files of their own. Facts: those of the
    backend, and its name. Raises `Refusal` for a network that has no one graph, and as the backend does.
    """

    def check(self, net: nn.Module, context: Context) -> None:
        """Look for what the backend needs, and try its code of the untrained network."""
        one_format(context)
        able(context, lambda backend: backend.check(net, context, None))

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The network in code."""
        made, facts = chosen(net, context, lambda backend: backend.code(net, context))
        self.facts |= facts
        if context.precision in ("bf16-mixed", "16-mixed"):
            self.facts["precision"] = "of its weights, not mixed: compress=[bf16,compiled] answers in 16 bits"
        return made

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """The network itself: code is made anew where it runs."""
        return net

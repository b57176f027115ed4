"""Training that feels the rounding of int8: for networks that static quantization alone costs accuracy."""

from collections.abc import Mapping
from typing import final

from torch import Tensor, nn

from models.compress import int8_static
from models.compress.backend import Rounding
from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.rounding import settle, simulate
from refusal import Refusal


@final
class Int8Aware(Compression):
    """Quantization-aware fine-tuning after the training, then static int8 as `Int8Static` makes it.

    For `finetune_steps` each linear layer and convolution rounds its weights (per output) and its input (per
    tensor, range of `batches` training batches) as int8 will, and passes gradients straight through.
    Source: Jacob et al. (2017), arXiv 1712.05877, section 3. Not by PT2E's own preparation, which needs an
    exported graph: that has no dropout, no layer-wise learning rates and no vmap. Facts: as `Int8Static`, and
    `finetune_steps`. Raises `Refusal` as `Int8Static` does.
    """

    def __init__(self, finetune_steps: int = 200, lr_factor: float = 0.1, batches: int = 16) -> None:
        super().__init__()
        if finetune_steps < 1 or batches < 1:
            raise Refusal("compress.int8_aware needs at least one step and one batch of examples.")
        self.steps, self.lr_factor, self.batches = finetune_steps, lr_factor, batches

    def check(self, net: nn.Module, context: Context) -> None:
        """Look for CPU and compiler, and try the int8 form of the untrained network."""
        int8_static.check(net, context, Rounding("int8_aware", self.batches))

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The fine-tuned, compiled int8 network."""
        simulate(net, context.calibration(self.batches))
        net = context.finetune(net, self.steps, self.lr_factor)
        settle(net)
        self.facts |= {"finetune_steps": context.steps(self.steps)}
        return int8_static.finished(net, context, Rounding("int8_aware", self.batches), self.facts)

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """The int8 graph of a fresh network, with the saved activation scales."""
        return int8_static.rebuilt(net, state, example, "int8_aware")

"""What a compression is: hooks before, during and after the training; each does nothing unless overridden."""

from abc import ABC
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback
from torch import Tensor, nn

from models.compress.context import Context
from models.training.objective import TrainingObjective


class Compression(ABC):  # noqa: B024 - no hook is one that each must have
    """One entry of `compress=[...]`.

    In each phase the entries act in the order of the list. What `after` returns is scored, measured and
    saved; a compiled network keeps its eager form as `.eager`, from which weights and arithmetic are counted.
    """

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        """what was done, and what was left out and why, in plain values"""

    @property
    def trains(self) -> bool:
        """Whether it acts while the network is trained, so that it does nothing to one that is given."""
        return type(self).callbacks is not Compression.callbacks

    def check(self, net: nn.Module, context: Context) -> None:
        """Raise `Refusal` when this cannot be done to `net` on this machine, before anything is trained."""
        return None

    def before(self, net: nn.Module, context: Context) -> nn.Module:
        """The network that is trained; the optimizer is made from it."""
        return net

    def objective(self, objective: TrainingObjective, context: Context) -> TrainingObjective:
        """What is minimised, in the training and in each fine-tuning."""
        return objective

    def callbacks(self) -> dict[str, Callback]:
        """What acts while training; by `next_stop` (training/callbacks): a hook on each batch is dear."""
        return {}

    def trained(self, net: nn.Module, context: Context) -> None:
        """Sees the trained network before the first `after` of all steps; it is a copy, and may be kept."""
        return None

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The final network, from the trained one."""
        return net

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """Give a fresh network the structure that the saved weights `state` fit; they are loaded next.

        `example` is one input with its batch dimension, (1, *shape).
        """
        return net

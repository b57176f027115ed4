"""What a training minimises, seen from where inputs, logits and targets are at hand together."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import final

from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits, targets) -> scalar"""
Term = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(inputs, logits, targets) -> scalar"""
Around = Callable[[nn.Module], AbstractContextManager[object]]
"""the network -> what its forward pass runs inside of"""


@final
@dataclass(frozen=True)
class Objective:
    """The loss of a batch, and what the network itself wants to be small.

    A network with a method `auxiliary_loss()`, such as a mixture of experts that balances its load, has it
    added: a scalar of the forward pass that was just made, a mean over its examples. The term is a mean over
    what is scored. Of a piece of a batch they therefore have weights of their own. What is no such mean, but
    of statistics of the whole batch, needs the network's `pooled(passes)` around the passes of the pieces.
    """

    term: Term
    around: Around = nullcontext
    """what a term needs around the forward pass, to see more of the network than its logits"""

    def __call__(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, weight: float = 1.0, share: float = 1.0
    ) -> Tensor:
        """The scalar to minimise, of one forward pass of `net`.

        Of a piece of a batch `weight` is its share of the scored positions, `share` that of the examples.
        """
        with self.around(net):
            logits = net(inputs)
        # A mean over no position is not a number.
        loss = _weighted(self.term(inputs, logits, targets), weight) if weight else 0.0 * logits.sum()
        auxiliary = getattr(net, "auxiliary_loss", None)
        return loss if auxiliary is None else loss + _weighted(auxiliary(), share)


def _weighted(value: Tensor, weight: float) -> Tensor:
    # For a batch that goes through whole the product and its gradient would cost a tiny network time.
    return value if weight == 1.0 else value * weight


def objective(loss: Loss | Objective) -> Objective:
    """An objective from a plain loss; one that is an objective already is returned as it is."""
    if isinstance(loss, Objective):
        return loss
    return Objective(partial(_plain, loss))


def _plain(loss: Loss, inputs: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    # No lambda: processes that train together are handed the objective by pickle.
    return loss(logits, targets)

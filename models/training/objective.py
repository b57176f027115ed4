"""What a training minimises: a loss of logits and targets, and the objective that is made of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.data.dataset import UNSCORED
from refusal import Refusal


@final
class CrossEntropy:
    """Softmax cross-entropy in nats, with label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7).

    (B, C) logits with (B,) targets or (B, C) shares of the classes, or (B, T, C) with (B, T), to a scalar.

    Raises:
        Refusal: `label_smoothing` is not in [0, 1).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0.0 <= label_smoothing < 1.0:
            raise Refusal(f"loss.label_smoothing {label_smoothing} must lie in [0, 1).")
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over the positions whose target is not -100."""
        if targets.dtype == torch.bool:
            raise Refusal("The examples have several classes each: set loss=binary_cross_entropy.")
        if targets.is_floating_point() and targets.shape == logits.shape and targets.shape[-1] > 1:
            return F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        if targets.is_floating_point():
            raise Refusal("The answers of this data are values, no classes: set loss=squared_error.")
        return F.cross_entropy(
            logits.flatten(0, -2),
            targets.flatten(),
            ignore_index=UNSCORED,
            label_smoothing=self.label_smoothing,
        )


@final
class BinaryCrossEntropy:
    """Cross-entropy of each class on its own (logistic, not softmax), in nats, for several classes at once.

    (B, K) logits with (B, K) bool, or shares in [0, 1], to a scalar. With `label_smoothing` s a target t
    counts as t (1 - s) + s / 2 (Szegedy et al. 2016, arXiv 1512.00567, section 7, for two classes).

    Raises:
        Refusal: `label_smoothing` is not in [0, 1), or each example has one class or value.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0.0 <= label_smoothing < 1.0:
            raise Refusal(f"loss.label_smoothing {label_smoothing} must lie in [0, 1).")
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over the batch and the classes."""
        if targets.shape != logits.shape or targets.shape[-1] < 2:
            raise Refusal("Each example has one answer: set loss=cross_entropy, or squared_error for values.")
        wanted = targets.to(logits.dtype)
        if self.label_smoothing:
            wanted = wanted * (1 - self.label_smoothing) + self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, wanted)


@final
class SquaredError:
    """Mean squared error (Legendre 1805), in squared deviations of the training part's values.

    (B, 1) answers with (B, 1) targets to a scalar; beyond `huber` deviations the error counts by its size
    alone (Huber 1964, Annals of Mathematical Statistics 35), null squares all.

    Raises:
        Refusal: `huber` is not above 0, or the targets are classes.
    """

    def __init__(self, huber: float | None = None) -> None:
        if huber is not None and not huber > 0:
            raise Refusal(f"loss.huber {huber} must be above 0, or null.")
        self.huber = huber

    def __call__(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Mean over the batch."""
        if not targets.is_floating_point():
            raise Refusal(
                "The answers of this data are classes, no values: set loss=cross_entropy, or "
                "binary_cross_entropy where an example has several."
            )
        if self.huber is None:
            return F.mse_loss(answers, targets)
        return F.huber_loss(answers, targets, delta=self.huber)


def scored(targets: Tensor) -> Tensor:
    """How many positions the loss is a mean over, as a scalar on the device of `targets`."""
    return torch.count_nonzero(targets != UNSCORED)


Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits, targets) -> scalar"""
Term = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(inputs, logits, targets) -> scalar"""
Around = Callable[[nn.Module], AbstractContextManager[object]]
"""the network -> what its forward pass runs inside of"""


@final
@dataclass(frozen=True)
class TrainingObjective:
    """The loss of a batch, and what the network itself wants to be small.

    A network with a method `auxiliary_loss()`, such as a mixture of experts that balances its load, has it
    added: a scalar of the forward pass that was just made, a mean over its examples. The term is a mean over
    what is scored. Of a piece of a batch they therefore have weights of their own. What is no such mean, but
    of statistics of the whole batch, needs the network's `pooled(passes)` around the passes of the pieces.
    """

    term: Term
    around: Around = nullcontext
    """what a term needs around the forward pass, to see more of the network than its logits"""

    @property
    def plain(self) -> bool:
        """Whether it is a loss of logits and targets and no more."""
        return getattr(self.term, "func", None) is _plain

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


def objective(loss: Loss | TrainingObjective) -> TrainingObjective:
    """An objective from a plain loss; one that is an objective already is returned as it is."""
    if isinstance(loss, TrainingObjective):
        return loss
    return TrainingObjective(partial(_plain, loss))


def _plain(loss: Loss, inputs: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    # No lambda: processes that train together are handed the objective by pickle.
    return loss(logits, targets)

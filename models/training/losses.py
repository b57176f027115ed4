"""What training minimises: callables of logits and targets that return the mean over the scored positions."""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from refusal import Refusal

UNSCORED = -100
"""target of a position that is not scored; the same number as in torch and in the data"""


@final
class CrossEntropy:
    """Softmax cross-entropy in nats, with label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7).

    (B, C) logits with (B,) targets, or (B, T, C) with (B, T), to a scalar.

    Raises:
        Refusal: `label_smoothing` is not in [0, 1).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0.0 <= label_smoothing < 1.0:
            raise Refusal(f"loss.label_smoothing {label_smoothing} must lie in [0, 1).")
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over the positions whose target is not -100."""
        return F.cross_entropy(
            logits.flatten(0, -2),
            targets.flatten(),
            ignore_index=UNSCORED,
            label_smoothing=self.label_smoothing,
        )


def scored(targets: Tensor) -> Tensor:
    """How many positions the loss is a mean over, as a scalar on the device of `targets`."""
    return torch.count_nonzero(targets != UNSCORED)

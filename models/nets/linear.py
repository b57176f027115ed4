"""A linear classifier: what a network must beat to have learnt anything."""

import math
from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from models.nets.shapes import one_answer, positive, sizes


@final
class Linear(nn.Module):
    """Multinomial logistic regression on flattened inputs.

    (B, *shape) float -> (B, classes). Raises `Refusal` for a task with one answer per token.
    """

    def __init__(self, shape: Sequence[int], classes: int, task: str = "classification") -> None:
        super().__init__()
        one_answer("linear", task)
        positive(classes=classes)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(sizes(shape)), classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        return self.layers(x)

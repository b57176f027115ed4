"""A multilayer perceptron on flattened inputs."""

import math
from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from models.nets.activations import activation as make_activation
from models.nets.shapes import one_answer, positive, probability, sizes


@final
class MLP(nn.Module):
    """`depth` hidden layers of `width` units, then a linear read-out.

    (B, *shape) float -> (B, classes). Raises `Refusal` for a task with one answer per token and for sizes
    below one.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        task: str = "classification",
        *,
        width: int = 128,
        depth: int = 1,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        one_answer("mlp", task)
        positive(classes=classes, width=width, depth=depth)
        probability(dropout=dropout)
        layers: list[nn.Module] = [nn.Flatten()]
        features = math.prod(sizes(shape))
        for _ in range(depth):
            layers += [nn.Linear(features, width), make_activation(activation)]
            layers += [nn.Dropout(dropout)] if dropout else []
            features = width
        self.layers = nn.Sequential(*layers, nn.Linear(features, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        return self.layers(x)

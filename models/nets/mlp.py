"""A multilayer perceptron on flattened inputs."""

import math
from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from models.nets.activations import activation as make_activation
from models.nets.shapes import one_answer, positive, probability, sizes
from models.nets.structured import linear as make_linear


@final
class MLP(nn.Module):
    """`depth` hidden layers of `width` units, then a linear read-out.

    (B, *shape) float -> (B, classes). `linear` names the kind of the hidden layers (models.nets.structured);
    the read-out is dense. Raises `Refusal` for a task with one answer per token, for sizes below one, and for
    a structure that does not fit the sizes.
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
        linear: str = "dense",
        linear_share: float = 0.5,
        linear_blocks: int = 4,
    ) -> None:
        super().__init__()
        one_answer("mlp", task)
        positive(classes=classes, width=width, depth=depth)
        probability(dropout=dropout)
        layers: list[nn.Module] = [nn.Flatten()]
        features = math.prod(sizes(shape))
        for _ in range(depth):
            layer = make_linear(linear, features, width, share=linear_share, blocks=linear_blocks)
            layers += [layer, make_activation(activation)]
            layers += [nn.Dropout(dropout)] if dropout else []
            features = width
        self.layers = nn.Sequential(*layers, nn.Linear(features, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        return self.layers(x)

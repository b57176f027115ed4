"""A bag of tokens: the mean of their vectors, then a linear read-out."""

from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from models.nets.padding import PADDING, mean_of
from models.nets.shapes import one_answer, positive, probability, sizes
from refusal import Refusal


@final
class Bag(nn.Module):
    """Classifies texts by which tokens are in them, whatever their order.

    (B, T) int64 tokens -> (B, classes); tokens of 0 are padding and count for nothing, so that a text's
    answer does not depend on how far it was padded. Source: Joulin et al. (2016), fastText, arXiv 1607.01759,
    without its pairs of words. Raises `Refusal` for data without a vocabulary, for a task with one answer per
    token, and for sizes below one.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        task: str = "classification",
        *,
        vocabulary: int | None,
        width: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        one_answer("bag", task)
        if vocabulary is None or len(sizes(shape)) != 1:
            raise Refusal(
                "model=bag reads tokens of texts: choose data=text, or choose model=mlp for numbers."
            )
        positive(classes=classes, width=width, vocabulary=vocabulary)
        probability(dropout=dropout)
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        return self.head(self.dropout(mean_of(self.embedding(x), x != PADDING)))

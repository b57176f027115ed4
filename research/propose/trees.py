"""Extremely randomised trees for the few hundred results of a campaign, all grown at once, level by level.

Geurts et al. (2006), "Extremely randomized trees", Machine Learning 63, 3-42. Changed: each tree has a
bootstrap sample, so that trees differ where little is known. scikit-learn's cost 1.7 CPU seconds to import,
which is as much as many trainings of a search; these take about as long to grow.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from numpy import ndarray

_SHARE = 0.7
"""of the features that a split may choose from"""
_PURE = 1e-12


@final
@dataclass
class Trees:
    """Nodes of all trees in one row; a leaf has the feature -1. Tree t begins at node t."""

    feature: "ndarray[Any, Any]"
    cut: "ndarray[Any, Any]"
    child: "ndarray[Any, Any]"
    """the left one, the right one comes next; of a leaf itself"""
    value: "ndarray[Any, Any]"
    """(nodes, outputs)"""
    count: int
    depth: int

    def predict(self, points: "ndarray[Any, Any]") -> "ndarray[Any, Any]":
        """(trees, points, outputs): what each tree says of `points` (points, features)."""
        import numpy as np

        columns, many = points.T.ravel(), np.arange(len(points))
        feature, node = np.maximum(self.feature, 0) * len(points), np.arange(self.count)[:, None] + 0 * many
        for _ in range(self.depth):  # a leaf leads to itself
            right = columns.take(feature.take(node) + many) >= self.cut.take(node)
            node = self.child.take(node) + right
        answers: ndarray[Any, Any] = self.value[node]
        return answers


def grown(points: "ndarray[Any, Any]", values: "ndarray[Any, Any]", count: int, seed: int) -> Trees:
    """`count` trees of `points` (n, features) and `values` (n, outputs), which should be of one scale."""
    import numpy as np

    rng = np.random.default_rng(seed)
    rows = rng.integers(len(points), size=count * len(points))
    node = np.repeat(np.arange(count), len(points))
    levels: list[tuple[Any, ...]] = []
    first, width = 0, count
    while width:
        order = np.argsort(node, kind="stable")
        rows, node = rows[order], node[order]
        _, starts, sizes = np.unique(node, return_index=True, return_counts=True)
        feature, cut, mean, left = _split(points[rows], values[rows], starts, sizes, rng)
        inner = feature >= 0
        child = first + width + 2 * (np.cumsum(inner) - 1)
        own = np.arange(first, first + width)
        levels.append((feature, np.where(inner, cut, np.inf), np.where(inner, child, own), mean))
        group = np.repeat(np.arange(width), sizes)
        goes_on = inner[group]
        node = (child[group] + ~left)[goes_on]
        rows = rows[goes_on]
        first, width = first + width, 2 * int(inner.sum())
    feature, cut, child, value = (np.concatenate(parts) for parts in zip(*levels, strict=True))
    return Trees(feature, cut, child, value, count, len(levels) - 1)


def _split(points: Any, values: Any, starts: Any, sizes: Any, rng: Any) -> tuple[Any, Any, Any, Any]:
    """Of each node its feature (-1 for a leaf), cut and mean, and which of its points go left.

    Points and values are sorted by node; node i has `sizes[i]` of them from `starts[i]` on.
    """
    import numpy as np

    group = np.repeat(np.arange(len(starts)), sizes)
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    # In (low, high], so that the least always goes left: between neighbouring floats the product is rounded.
    cuts = np.maximum(high - (high - low) * rng.random(low.shape), np.nextafter(low, high))
    left = points < cuts[group]
    inside = np.add.reduceat(left.astype(float), starts)
    total = np.add.reduceat(values, starts)
    gained = np.zeros(low.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        for output in range(values.shape[1]):
            own = np.add.reduceat(left * values[:, output, None], starts)
            rest = total[:, output, None] - own
            gained += own**2 / inside + rest**2 / (sizes[:, None] - inside)
    offered = (rng.random(low.shape) < _SHARE) & (low < high)
    offered |= ~offered.any(axis=1, keepdims=True) & (low < high)
    best = np.where(offered, gained, -np.inf).argmax(axis=1)
    spread = np.maximum.reduceat(values, starts) - np.minimum.reduceat(values, starts)
    leaf = (spread < _PURE).all(axis=1) | ~offered.any(axis=1)
    place = np.arange(len(starts))
    chosen = left[np.arange(len(points)), best[group]]
    return np.where(leaf, -1, best), cuts[place, best], total / sizes[:, None], chosen

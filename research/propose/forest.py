"""A surrogate of all that was seen: randomised trees, and the candidate with the most to expect."""

import math
import random
from collections.abc import Iterator
from typing import Any, final

from research.metrics import is_ratio, rank, shortfalls
from research.propose.dimensions import Dimension, Dimensions, Drawn, typed
from research.propose.neighbour import neighbours
from research.propose.proposer import Proposer, Seen, State
from research.propose.random import claim
from research.propose.trees import grown
from research.types import Proposal

START = 8
"""results below which it draws at random"""
_TREES = 30
_UNIFORM, _AROUND, _NEAR = 100, 5, 40
"""candidates by lot; the best results whose neighbours are candidates too, and of each so many"""
_TINY, _DOUBT = 1e-12, 0.05
"""of a standard deviation, what trees that agree may still be wrong by"""
_ABSENT = -1.0
"""place of a dimension that a configuration lacks: trees cut it off from all that have it"""


@final
class Forest(Proposer):
    """Expected improvement times the chance to keep the bounds, by a forest of randomised trees.

    SMAC's model and search (Hutter et al., 2011, LION 5, 507-523) with extremely randomised trees (Geurts et
    al., 2006, Machine Learning 63, 3-42); constraints as Gelbart et al. (2014), arXiv 1403.5607. Costs are
    modelled by their logarithms, and a score that is worse than the median counts as the median: how bad the
    bad are says nothing of the good. The spread of the trees is the model's doubt.
    """

    name = "forest"

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...], seed: int) -> None:
        self._dimensions = Dimensions(vocabulary, fixed)
        self._rng = random.Random(f"{self.name} {seed}")
        self._proposed: set[frozenset[str]] = set()

    def ask(self, state: State) -> Proposal | None:
        """The new candidate with the most to expect; None where nothing is left to turn."""
        if not self._dimensions.default():
            return None
        known = [
            seen for seen in (state.control, state.stopped, *state.seen) if seen and seen.status == "done"
        ]
        drawn = [(seen, read) for seen in known if (read := self._dimensions.read(seen.overrides))]
        words = self._dimensions.carried(state.incumbent.overrides) if state.incumbent else ()
        if len(drawn) < START:
            base = state.stopped.overrides if state.stopped else None
            chosen = self._dimensions.vary(self._rng, state.objective.metric, base)
            return claim((*typed(chosen), *words), state, self.name)
        tried = self._proposed | {frozenset(self._dimensions.acting(seen.overrides)) for seen in state.seen}
        new = {
            frozenset(overrides): candidate
            for candidate in self._candidates(drawn, state)
            if frozenset(overrides := (*typed(candidate), *words)) not in tried
        }
        if not new:
            return None
        best = max(
            new, key=dict(zip(new, self._worth(list(new.values()), drawn, state), strict=True)).__getitem__
        )
        self._proposed.add(best)
        return claim((*typed(new[best]), *words), state, self.name)

    def _candidates(self, drawn: list[tuple[Seen, Drawn]], state: State) -> Iterator[Drawn]:
        """Neighbours of the best, and draws by lot."""
        ordered = sorted(drawn, key=lambda known: rank(state.objective, known[0].metrics))
        for _, best in ordered[:_AROUND]:
            near = neighbours(self._dimensions, best, self._rng)
            yield from (candidate for candidate, _ in zip(near, range(_NEAR), strict=False))
        for _ in range(_UNIFORM):
            yield self._dimensions.walk(lambda axis: axis.draw(self._rng))

    def _worth(self, candidates: list[Drawn], drawn: list[tuple[Seen, Drawn]], state: State) -> list[float]:
        """Of each candidate the expected improvement; of the miss until something keeps the bounds."""
        import numpy as np

        names = sorted(
            {axis.name for each in (*candidates, *(read for _, read in drawn)) for axis, _ in each}
        )
        known = np.array([_row(read, names) for _, read in drawn])
        aims = np.array([_aims(seen, state) for seen, _ in drawn])
        missed = np.maximum(aims[:, 1:], 0).sum(axis=1)
        if missed.all():
            aims = missed[:, None]
        elif not is_ratio(state.objective.metric):
            aims[:, 0] = np.minimum(aims[:, 0], np.median(aims[:, 0]))
        best = aims[missed == missed.min(), 0].min()
        scale = aims.std(axis=0) + _TINY
        trees = grown(known, aims / scale, _TREES, self._rng.randrange(2**31))
        told = trees.predict(np.array([_row(candidate, names) for candidate in candidates]))
        means, sds = told.mean(axis=0) * scale, (told.std(axis=0) + _DOUBT) * scale
        z = (best - means[:, 0]) / sds[:, 0]
        density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        chance = _normal(-means[:, 1:] / sds[:, 1:]).prod(axis=1)
        return list(sds[:, 0] * (z * _normal(z) + density) * chance)


def _row(drawn: Drawn, names: list[str]) -> list[float]:
    places = {axis.name: _place(axis, text) for axis, text in drawn}
    return [places.get(name, _ABSENT) for name in names]


def _place(axis: Dimension, text: str) -> float:
    if axis.values:
        return (axis.listed or list(axis.values)).index(text) / max(1, len(axis.values) - 1)
    return axis.place(text)


def _aims(seen: Seen, state: State) -> list[float]:
    """What is minimised, and by how far each bound is missed."""
    value = seen.metrics[state.objective.metric]
    value = math.log(max(value, 1e-300)) if is_ratio(state.objective.metric) else value
    return [
        value if state.objective.direction == "min" else -value,
        *shortfalls(state.objective, seen.metrics),
    ]


def _normal(z: Any) -> Any:
    """The standard normal distribution function, by scipy's special functions."""
    from scipy.special import ndtr

    return ndtr(z)

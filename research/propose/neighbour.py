"""Local search: one step of one thing from the best so far."""

import random
from collections.abc import Iterator
from typing import Any, final

from research.metrics import rank
from research.propose.dimensions import Dimension, Dimensions, Drawn, typed
from research.propose.proposer import Proposer, State
from research.propose.random import claim
from research.types import Proposal

STRIDES = (1 / 8, 1 / 16, 1 / 32)
"""shares of a range, on its own scale; the next when every step at this one was tried"""


@final
class Neighbour(Proposer):
    """First-improvement hill climbing over all that can be turned, in an order by lot.

    A step is another option, the next listed number either way, or a share of a range either way. From the
    first neighbour that is better the search goes on at once; White et al. (2021), arXiv 2005.02960, show
    that this alone is hard to beat on tables of networks. It goes on from what misses its bounds the least
    until something keeps them. When no step is left from the best it goes on from the next best.
    """

    name = "neighbour"

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...], seed: int) -> None:
        self._dimensions = Dimensions(vocabulary, fixed)
        self._seed = seed
        self._proposed: set[frozenset[str]] = set()

    def ask(self, state: State) -> Proposal | None:
        """The first step from the best that nobody has made; from the next best where that has none left."""
        tried = self._proposed | {frozenset(self._dimensions.acting(seen.overrides)) for seen in state.seen}
        tried |= {frozenset(held.overrides) for held in (state.control, state.stopped) if held}
        for base in self._bases(state):
            best = self._dimensions.read(base) or self._dimensions.default()
            words = self._dimensions.carried(base)
            lot = random.Random(f"{self.name} {self._seed} {' '.join(base)}")
            for moved in neighbours(self._dimensions, best, lot):
                overrides = (*typed(moved), *words)
                if set(overrides) != set(base) and frozenset(overrides) not in tried:
                    self._proposed.add(frozenset(overrides))
                    return claim(overrides, state, self.name)
        return None

    def _bases(self, state: State) -> Iterator[tuple[str, ...]]:
        """What steps are made from: the incumbent, then the others, the best first."""
        first = state.incumbent.overrides if state.incumbent else ()
        yield first
        done = [seen for seen in state.seen if seen.status == "done" and seen.overrides != first]
        for seen in sorted(done, key=lambda seen: rank(state.objective, seen.metrics)):
            yield seen.overrides


def neighbours(dimensions: Dimensions, best: Drawn, lot: random.Random) -> Iterator[Drawn]:
    """All steps from a draw by the longest stride, then by the next: each stride's in an order by lot."""
    kept = {axis.name: text for axis, text in best}
    for stride in STRIDES:
        steps = [(axis, text) for axis, now in best for text in _steps(axis, now, stride)]
        lot.shuffle(steps)
        for turned, text in steps:
            given = kept | {turned.name: text}
            yield dimensions.walk(lambda axis, given=given: given.get(axis.name, axis.default))  # type: ignore[misc]


def _steps(axis: Dimension, now: str, stride: float) -> list[str]:
    """What the value may become."""
    if axis.values:
        if stride < STRIDES[0]:
            return []
        listed = axis.listed
        if not listed:
            return [value for value in axis.values if value != now]
        place = listed.index(now)
        return [listed[to] for to in (place - 1, place + 1) if 0 <= to < len(listed)]
    return [text for way in (-1, 1) if (text := _stepped(axis, now, way * stride)) != now]


def _stepped(axis: Dimension, now: str, share: float) -> str:
    """The number a share of the range away, inside it; a whole one goes by one at the least."""
    text = axis.at(min(max(axis.place(now) + share, 0.0), 1.0))
    if axis.whole and text == now:
        return axis.text(min(max(int(now) + (1 if share > 0 else -1), axis.low), axis.high))
    return text

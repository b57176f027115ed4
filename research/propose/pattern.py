"""Pattern search: how long the best so far trains, in strides that shorten."""

from collections.abc import Iterator
from typing import Any, final

from research.metrics import METRICS, is_ratio, rank
from research.propose.dimensions import Dimension, Dimensions, Drawn, typed
from research.propose.proposer import Proposer, State
from research.propose.random import claim
from research.types import Proposal

STRIDES = (4.0, 2.0, 1.4)
"""how far a move goes, as a factor; the next one when no move at this stride is left to try"""

Move = tuple[tuple[Dimension, float], ...]
"""dimensions and the factor that each is multiplied by"""


@final
class Pattern(Proposer):
    """Hooke and Jeeves (1961), "Direct search solution of numerical and statistical problems", JACM 8(2).

    Moves start from the incumbent, so what has just paid is tried again from where it led, which is their
    pattern move. Changed: moves are factors, and of lengths alone (the keys of the budget), for a local
    search of all else needs no strides. Where the goal is a cost a length only shrinks, at first alone, then
    with a learning rate that rises by the same factor, because fewer steps need longer ones, and by its
    square, because a rate may have been too low before; while the incumbent misses a bound it only grows, for
    what trains shorter misses it by more. Every move that was proposed before, by anybody, is left out. When
    the shortest stride has nothing left it is silent.
    """

    name = "pattern"

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...]) -> None:
        self._dimensions = Dimensions(vocabulary, fixed)
        self._proposed: set[frozenset[str]] = set()

    def ask(self, state: State) -> Proposal | None:
        """The first move from the incumbent that nobody has made."""
        incumbent = state.incumbent.overrides if state.incumbent else ()
        best = self._dimensions.read(incumbent) or self._dimensions.default()
        tried = self._proposed | {frozenset(self._dimensions.acting(seen.overrides)) for seen in state.seen}
        for move in _moves(best, state):
            overrides = (*typed(self._moved(best, move)), *self._dimensions.carried(incumbent))
            if set(overrides) != set(incumbent) and frozenset(overrides) not in tried:
                self._proposed.add(frozenset(overrides))
                return claim(overrides, state, self.name)
        return None

    def _moved(self, best: Drawn, move: Move) -> Drawn:
        kept = {axis.name: text for axis, text in best}
        for axis, factor in move:
            kept[axis.name] = _times(axis, kept[axis.name], factor)
        return self._dimensions.walk(lambda axis: kept.get(axis.name, axis.default))


def _moves(best: Drawn, state: State) -> Iterator[Move]:
    """The lengths by every stride."""
    rates = [axis for axis, _ in best if axis.log and not axis.values and axis.key.endswith("lr")]
    cheaper = is_ratio(state.objective.metric) and _wants_less(state)
    missing = bool(state.incumbent and rank(state.objective, state.incumbent.metrics)[0])
    for stride in STRIDES:
        for axis in (axis for axis, _ in best if axis.is_size and _is_length(axis)):
            if missing or not cheaper:
                yield ((axis, stride),)
            if not missing:
                yield ((axis, 1 / stride),)
            if cheaper and not missing:
                yield from (((axis, 1 / stride), (rate, stride**power)) for power in (1, 2) for rate in rates)


def _is_length(axis: Dimension) -> bool:
    return axis.key.startswith("budget.")


def _wants_less(state: State) -> bool:
    known = METRICS.get(state.objective.metric)
    return state.objective.direction == "min" or (known is not None and known.better == "min")


def _times(axis: Dimension, text: str, factor: float) -> str:
    """The value times the factor, inside the range."""
    return axis.text(min(max(float(text) * factor, axis.low), axis.high))

"""Pattern search: one size of the best so far at a time, in strides that shorten."""

from collections.abc import Iterator, Sequence
from typing import Any, final

from research.metrics import METRICS, is_ratio
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
    pattern move. Changed: moves are factors, on the dimensions with a logarithmic scale; where the goal is a
    cost, sizes (steps, width, batch: whole numbers that a cost is made of) only shrink, at first alone and
    then with a learning rate that rises by the same factor, because fewer steps need longer ones, and steps
    with one that rises by its square too, because a rate may have been too low before. Costs are in
    proportion to the steps, so these go first, through all strides. Every move that was proposed before, by
    anybody, is left out. When the shortest stride has nothing left it is silent.
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
    """The steps by every stride, then stride by stride: other sizes, and rates up and down."""
    sizes = [axis for axis, _ in best if axis.is_size or _listed(axis)]
    rates = [axis for axis, _ in best if axis.log and not axis.values and axis.key.endswith("lr")]
    cheaper = is_ratio(state.objective.metric) and _wants_less(state)
    for stride in STRIDES:
        for axis in (size for size in sizes if _is_length(size)):
            yield from _sized(axis, stride, rates, cheaper)
    for stride in STRIDES:
        for axis in sorted((size for size in sizes if not _is_length(size)), key=lambda size: size.key):
            yield from _sized(axis, stride, rates, cheaper)
        yield from (((rate, factor),) for rate in rates for factor in (stride, 1 / stride))


def _sized(axis: Dimension, stride: float, rates: Sequence[Dimension], cheaper: bool) -> Iterator[Move]:
    """A size down by the stride, alone and with a rate that rises; up too where a cost is not the goal."""
    yield ((axis, 1 / stride),)
    if cheaper:
        powers = (1, 2) if _is_length(axis) else (1,)
        yield from (((axis, 1 / stride), (rate, stride**power)) for power in powers for rate in rates)
    else:
        yield ((axis, stride),)


def _is_length(axis: Dimension) -> bool:
    return axis.key.startswith("budget.")


def _wants_less(state: State) -> bool:
    known = METRICS.get(state.objective.metric)
    return state.objective.direction == "min" or (known is not None and known.better == "min")


def _listed(axis: Dimension) -> list[float]:
    """The values of a size that takes only some, such as a width that its heads must divide; else none."""
    return [float(value) for value in axis.listed] if all(value.isdigit() for value in axis.values) else []


def _times(axis: Dimension, text: str, factor: float) -> str:
    """The value times the factor, inside the range; of listed values the next one that far or farther."""
    if listed := _listed(axis):
        wanted = float(text) * factor
        if factor < 1:
            return f"{max((value for value in listed if value <= wanted), default=listed[0]):g}"
        return f"{min((value for value in listed if value >= wanted), default=listed[-1]):g}"
    return axis.text(min(max(float(text) * factor, axis.low), axis.high))

"""Direct search, without a model of the results: draws by lot, single steps, and strides that shorten."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, final

from research.metrics import METRICS, is_ratio, rank
from research.propose.dimensions import Dimension, Dimensions, Drawn, typed
from research.propose.proposer import Proposer, State, claim
from research.types import Proposal

STEPS = (1 / 8, 1 / 16, 1 / 32)
"""shares of a range, on its own scale; the next when every step at this one was tried"""
_STRIDES = (4.0, 2.0, 1.4)
"""factors of a length; the next one when no move at this stride is left to try"""


class Draws(Proposer, ABC):
    """Draws that ask nothing of what was seen."""

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...], seed: int) -> None:
        self._dimensions = Dimensions(vocabulary, fixed)
        self._rng = random.Random(f"{self.name} {seed}")

    def ask(self, state: State) -> Proposal | None:
        """A new draw, whatever was seen; None where nothing is left to turn."""
        if not self._dimensions.default():
            return None
        stopped = state.stopped.overrides if state.stopped else None
        carried = self._dimensions.carried(stopped or ())
        return claim((*typed(self._drawn(state.objective.metric, stopped)), *carried), state, self.name)

    @abstractmethod
    def _drawn(self, metric: str, stopped: Sequence[str] | None) -> Drawn:
        """A point; `stopped` are the overrides of the control stopped at the bound, where there is one."""


@final
class Random(Draws):
    """Uniform draws of a few dimensions, of all in a small space; Bergstra and Bengio (2012), JMLR 13."""

    name = "random"

    def _drawn(self, metric: str, stopped: Sequence[str] | None) -> Drawn:
        return self._dimensions.vary(self._rng, metric, stopped)


@final
class Uniform(Draws):
    """Uniform draws of every dimension, whatever their number."""

    name = "uniform"

    def _drawn(self, metric: str, stopped: Sequence[str] | None) -> Drawn:
        return self._dimensions.walk(lambda axis: axis.draw(self._rng))


Move = tuple[tuple[Dimension, float], ...]
"""dimensions and the factor that each is multiplied by"""


class Moves(Proposer, ABC):
    """What goes on from a configuration that was seen; it proposes no move twice."""

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...]) -> None:
        self._dimensions = Dimensions(vocabulary, fixed)
        self._proposed: set[frozenset[str]] = set()

    def _tried(self, state: State) -> set[frozenset[str]]:
        """What was proposed before, by anybody."""
        return self._proposed | {frozenset(self._dimensions.acting(seen.overrides)) for seen in state.seen}

    def _first_new(
        self, moves: Iterable[Drawn], base: tuple[str, ...], tried: set[frozenset[str]], state: State
    ) -> Proposal | None:
        """The first move from a base that nobody has made."""
        for moved in moves:
            overrides = (*typed(moved), *self._dimensions.carried(base))
            if set(overrides) != set(base) and frozenset(overrides) not in tried:
                self._proposed.add(frozenset(overrides))
                return claim(overrides, state, self.name)
        return None


@final
class Neighbour(Moves):
    """First-improvement hill climbing over all that can be turned, in an order by lot.

    A step is another option, the next listed number either way, or a share of a range either way. From the
    first neighbour that is better the search goes on at once; White et al. (2021), arXiv 2005.02960, show
    that this alone is hard to beat on tables of networks. It goes on from what misses its bounds the least
    until something keeps them. When no step is left from the best it goes on from the next best.
    """

    name = "neighbour"

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...], seed: int) -> None:
        super().__init__(vocabulary, fixed)
        self._seed = seed

    def ask(self, state: State) -> Proposal | None:
        """The first step from the best that nobody has made; from the next best where that has none left."""
        held = {frozenset(one.overrides) for one in (state.control, state.stopped) if one}
        tried = self._tried(state) | held
        for base in self._bases(state):
            best = self._dimensions.read(base) or self._dimensions.default()
            lot = random.Random(f"{self.name} {self._seed} {' '.join(base)}")
            if made := self._first_new(neighbours(self._dimensions, best, lot), base, tried, state):
                return made
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
    for stride in STEPS:
        steps = [(axis, text) for axis, now in best for text in _steps(axis, now, stride)]
        lot.shuffle(steps)
        for turned, text in steps:
            yield dimensions.filled(kept | {turned.name: text})


def _steps(axis: Dimension, now: str, stride: float) -> list[str]:
    """What the value may become."""
    if axis.values:
        if stride < STEPS[0]:
            return []
        if not axis.listed:
            return [value for value in axis.values if value != now]
        place = axis.listed.index(now)
        return [axis.listed[to] for to in (place - 1, place + 1) if 0 <= to < len(axis.listed)]
    return [text for way in (-1, 1) if (text := _stepped(axis, now, way * stride)) != now]


def _stepped(axis: Dimension, now: str, share: float) -> str:
    """The number a share of the range away, inside it; a whole one goes by one at the least."""
    text = axis.at(min(max(axis.place(now) + share, 0.0), 1.0))
    if axis.whole and text == now:
        return axis.text(min(max(int(now) + (1 if share > 0 else -1), axis.low), axis.high))
    return text


@final
class Pattern(Moves):
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

    def ask(self, state: State) -> Proposal | None:
        """The first move from the incumbent that nobody has made."""
        incumbent = state.incumbent.overrides if state.incumbent else ()
        best = self._dimensions.read(incumbent) or self._dimensions.default()
        kept = {axis.name: text for axis, text in best}
        moves = (self._dimensions.filled(kept | _moved(kept, move)) for move in _moves(best, state))
        return self._first_new(moves, incumbent, self._tried(state), state)


def _moved(kept: dict[str, str], move: Move) -> dict[str, str]:
    """The values that a move changes, each inside its range."""
    return {
        axis.name: axis.text(min(max(float(kept[axis.name]) * factor, axis.low), axis.high))
        for axis, factor in move
    }


def _moves(best: Drawn, state: State) -> Iterator[Move]:
    """The lengths by every stride."""
    lengths = [axis for axis, _ in best if axis.is_size and axis.key.startswith("budget.")]
    rates = [axis for axis, _ in best if axis.log and not axis.values and axis.key.endswith("lr")]
    cheaper = is_ratio(state.objective.metric) and _wants_less(state)
    missing = bool(state.incumbent and rank(state.objective, state.incumbent.metrics)[0])
    for stride in _STRIDES:
        for axis in lengths:
            if missing or not cheaper:
                yield ((axis, stride),)
            if not missing:
                yield ((axis, 1 / stride),)
            if cheaper and not missing:
                yield from (((axis, 1 / stride), (rate, stride**power)) for power in (1, 2) for rate in rates)


def _wants_less(state: State) -> bool:
    known = METRICS.get(state.objective.metric)
    return state.objective.direction == "min" or (known is not None and known.better == "min")

"""A surrogate of all that was seen: randomised trees, and the candidate that promises most for its cost."""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, final

from research.compose.override import values_of
from research.metrics import is_ratio, rank, shortfalls
from research.propose.dimensions import Dimension, Dimensions, Drawn, typed
from research.propose.direct import neighbours
from research.propose.portfolio import Regrets, elsewhere
from research.propose.proposer import Proposer, Seen, State, claim
from research.propose.trees import Trees, grown
from research.types import Proposal

if TYPE_CHECKING:
    from research.memory.memory import Memory

START = 8
"""results below which candidates are taken by lot"""
_TREES = 30
_DRAWN, _AROUND, _NEAR = 480, 3, 40
"""dimensions drawn by lot for candidates; the best results whose neighbours are some, of each so many"""
_COLUMNS = 24
"""features that trees may cut: those that vary most, for each costs a millisecond"""
_TINY, _DOUBT = 1e-12, 0.15
"""of a standard deviation, what trees that agree may still be wrong by"""
_ABSENT = -1.0
"""place of a dimension that a configuration lacks: trees cut it off from all that have it"""
_COSTS = ("trial/cpu_seconds", "train/cpu_seconds", "train/seconds")
"""what a trial costs, by the first of these that all results have"""
_ENOUGH = 12
"""figures of other tasks below which they say nothing"""
_BEST = 20
"""configurations of other tasks that are candidates"""

Read = Callable[[tuple[str, ...]], Mapping[str, float] | None]
"""overrides -> places"""


class Candidate(NamedTuple):
    """What could be proposed."""

    overrides: tuple[str, ...]
    places: Mapping[str, float]
    """feature -> place"""


class Hope(NamedTuple):
    """What to expect of a candidate."""

    candidate: Candidate
    gain: float
    """expected improvement on the best so far, in the unit that is minimised: logarithms of a cost"""
    cost: float
    """CPU seconds"""


@final
class Forest(Proposer):
    """Expected improvement times the chance to keep the bounds per predicted cost, by randomised trees.

    SMAC's model and search (Hutter et al., 2011, LION 5, 507-523) with extremely randomised trees (Geurts et
    al., 2006, Machine Learning 63, 3-42); constraints as Gelbart et al. (2014), arXiv 1403.5607; per cost as
    Snoek et al. (2012), NeurIPS 25. Costs are modelled by their logarithms, and a score that is worse than
    the median counts as the median: how bad the bad are says nothing of the good. The spread of the trees is
    the model's doubt.
    """

    name = "forest"

    def __init__(
        self, vocabulary: dict[str, Any], fixed: tuple[str, ...], seed: int, memory: "Memory | None" = None
    ) -> None:
        """`memory` is what other tasks have come to: a forest of it is one more feature of this one's."""
        self._dimensions = Dimensions(vocabulary, fixed)
        self._memory, self._fixed = memory, values_of(fixed)
        self._lore: Lore | None = None
        self._rng = random.Random(f"{self.name} {seed}")
        self._proposed: set[frozenset[str]] = set()
        self._read: dict[tuple[str, ...], Mapping[str, float] | None] = {}
        self._near: dict[tuple[str, ...], list[Candidate]] = {}

    def ask(self, state: State) -> Proposal | None:
        """The new candidate with the most to expect; None where nothing is left to turn."""
        hopes = self._hopes(state)
        if not hopes:
            return None
        best = max(hopes, key=lambda hope: math.log(hope.gain + 1e-300) - math.log(hope.cost))
        self._proposed.add(frozenset(best.candidate.overrides))
        return claim(best.candidate.overrides, state, self.name)

    def _told(self, state: State) -> list[Seen]:
        """What has figures and can be said here."""
        known = (state.control, state.stopped, *state.seen)
        done = [seen for seen in known if seen and seen.status == "done"]
        return [seen for seen in done if self._places(seen.overrides) is not None]

    def _lost(self, state: State) -> list[Mapping[str, float]]:
        """Places of what failed, was ended or was refused."""
        lost = [seen.overrides for seen in state.seen if seen.status in ("failed", "refused")]
        return [places for overrides in lost if (places := self._places(overrides)) is not None]

    def _hopes(self, state: State) -> list[Hope]:
        told = self._told(state)
        self._remember(state)
        tried = self._proposed | {frozenset(self._dimensions.acting(seen.overrides)) for seen in state.seen}
        tried |= {frozenset(held.overrides) for held in (state.control, state.stopped) if held}
        new = {frozenset(candidate.overrides): candidate for candidate in self._candidates(told, state)}
        candidates = [candidate for key, candidate in new.items() if key not in tried]
        if len(told) >= START and candidates:
            return self._judged(candidates, told, state)
        self._rng.shuffle(candidates)
        lore = self._lore.told([each.places for each in candidates]) if self._lore and candidates else ()
        costs = lore or range(len(candidates))
        return [Hope(each, 1.0, 1.0 + cost) for each, cost in zip(candidates, costs, strict=True)]

    def _remember(self, state: State) -> None:
        """Grow the forest of other tasks, once."""
        if self._memory is not None:
            known = elsewhere(self._memory, self._dimensions, self._fixed, state.asked or state.objective)
            self._lore, self._memory = Lore.of(known, self._places, self._rng.randrange(2**31)), None

    def _places(self, overrides: tuple[str, ...]) -> Mapping[str, float] | None:
        if overrides not in self._read:
            drawn = self._dimensions.read(overrides)
            self._read[overrides] = None if drawn is None else _places(drawn)
        return self._read[overrides]

    def _candidates(self, told: list[Seen], state: State) -> Iterator[Candidate]:
        """Neighbours of the best, and draws by lot."""
        words = self._dimensions.carried(state.incumbent.overrides) if state.incumbent else ()
        ordered = sorted(told, key=lambda seen: rank(state.objective, seen.metrics))
        for base in [seen.overrides for seen in ordered[:_AROUND]] or [()]:
            yield from self._around(base, words)
        best = ordered[0].overrides if ordered else ()
        for _ in range(max(8, _DRAWN // len(self._dimensions.default()))):
            drawn = self._dimensions.vary(self._rng, state.objective.metric, best)
            yield Candidate((*typed(drawn), *words), _places(drawn))
        for overrides in self._lore.best if self._lore else ():
            yield Candidate((*overrides, *words), self._places(overrides) or {})

    def _around(self, base: tuple[str, ...], words: tuple[str, ...]) -> list[Candidate]:
        if base not in self._near:
            drawn = self._dimensions.read(base) or self._dimensions.default()
            near = islice(neighbours(self._dimensions, drawn, self._rng), _NEAR)
            self._near[base] = [Candidate((*typed(moved), *words), _places(moved)) for moved in near]
        return self._near[base]

    def _judged(self, candidates: list[Candidate], told: list[Seen], state: State) -> list[Hope]:
        """Of each candidate the expected improvement; of the miss until something keeps the bounds.

        That it trains at all is one more bound once something was lost, of which nothing else is known.
        """
        import numpy as np

        read = [self._places(seen.overrides) or {} for seen in told]
        aims = np.array([_aims(seen, state) for seen in told])
        costs = np.log([_cost(seen, told) for seen in told])[:, None]
        missed = np.maximum(aims[:, 1:], 0).sum(axis=1)
        if missed.all():
            aims, costs = missed[:, None], np.zeros_like(costs)  # first something must keep them, at any cost
        elif not is_ratio(state.objective.metric):
            aims[:, 0] = np.minimum(aims[:, 0], np.median(aims[:, 0]))
        best = aims[missed == missed.min(), 0].min()
        known = np.concatenate([aims, costs], axis=1)
        if lost := self._lost(state):
            known = np.insert(known, -1, -1.0, axis=1)
            usual = np.median(known, axis=0)
            usual[-2] = 1.0
            known, read = np.concatenate([known, np.tile(usual, (len(lost), 1))]), read + lost
        centre, scale, names = known.mean(axis=0), known.std(axis=0) + _TINY, _varying(read)
        own, other = _rows(read, names), _rows([each.places for each in candidates], names)
        if self._lore:
            own = np.column_stack([own, self._lore.told(read)])
            other = np.column_stack([other, self._lore.told([each.places for each in candidates])])
        trees = grown(own, (known - centre) / scale, _TREES, self._rng.randrange(2**31))
        said = trees.predict(other)
        means, sds = said.mean(axis=0) * scale + centre, (said.std(axis=0) + _DOUBT) * scale
        z = (best - means[:, 0]) / sds[:, 0]
        density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        chance = _normal(-means[:, 1:-1] / sds[:, 1:-1]).prod(axis=1)
        gains = np.maximum(sds[:, 0] * (z * _normal(z) + density), 0.0) * chance
        costs = np.exp(means[:, -1]).tolist()
        return [Hope(*each) for each in zip(candidates, gains.tolist(), costs, strict=True)]


@final
@dataclass(frozen=True)
class Lore:
    """What other tasks say of configurations: their regret there."""

    trees: Trees
    names: list[str]
    best: list[tuple[str, ...]]
    """the configurations that were best there"""

    @staticmethod
    def of(known: Regrets[tuple[str, ...]], places: Read, seed: int) -> "Lore | None":
        """None where too little is known."""
        import numpy as np

        figures = [(name, regret) for task in known.values() for name, regret in task.items()]
        rows = [places(name) or {} for name, _ in figures]
        if len(rows) < _ENOUGH:
            return None
        names = _varying(rows)
        trees = grown(_rows(rows, names), np.array([[regret] for _, regret in figures]), _TREES, seed)
        best = dict.fromkeys(name for name, _ in sorted(figures, key=lambda figure: figure[1]))
        return Lore(trees, names, list(best)[:_BEST])

    def told(self, rows: Sequence[Mapping[str, float]]) -> list[float]:
        """The regret to expect of each."""
        said: list[float] = self.trees.predict(_rows(rows, self.names)).mean(axis=(0, 2)).tolist()
        return said


def _rows(places: Sequence[Mapping[str, float]], names: list[str]) -> Any:
    import numpy as np

    return np.array([[each.get(name, _ABSENT) for name in names] for each in places])


def _varying(read: Sequence[Mapping[str, float]]) -> list[str]:
    """The features that differ most among what is known."""
    names = sorted({name for places in read for name in places})
    spread = _rows(read, names).std(axis=0).tolist()
    most = sorted(zip(spread, names, strict=True), key=lambda each: (-each[0], each[1]))[:_COLUMNS]
    return [name for size, name in most if size > 0] or names[:1]


def _places(drawn: Drawn) -> dict[str, float]:
    """A draw as numbers: what is listed or ranged by its place in it, and one for each option."""
    found: dict[str, float] = {}
    for axis, text in drawn:
        if axis.values and not axis.listed and len(axis.values) > 2:
            found |= {f"{axis.key}={value}": float(value == text) for value in axis.values}
        else:
            found[f"{axis.key}?" if axis.toggle else axis.key] = _place(axis, text)
    return found


def _place(axis: Dimension, text: str) -> float:
    if axis.values:
        return (axis.listed or list(axis.values)).index(text) / max(1, len(axis.values) - 1)
    return axis.place(text)


def _cost(seen: Seen, told: list[Seen]) -> float:
    """CPU seconds of a trial; 1 where not all tell."""
    name = next((name for name in _COSTS if all(name in each.metrics for each in told)), None)
    return 1.0 if name is None else max(seen.metrics[name], 1e-9)


def _aims(seen: Seen, state: State) -> list[float]:
    """What is minimised, and by how far each bound is missed."""
    value = seen.metrics[state.objective.metric]
    value = math.log(max(value, 1e-300)) if is_ratio(state.objective.metric) else value
    value = value if state.objective.direction == "min" else -value
    return [value, *shortfalls(state.objective, seen.metrics)]


def _normal(z: Any) -> Any:
    """The standard normal distribution function, by the standard library's: scipy takes long to import."""
    import numpy as np

    return np.array([0.5 * math.erfc(-each / math.sqrt(2)) for each in z.ravel().tolist()]).reshape(z.shape)

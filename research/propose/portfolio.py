"""What is worth trying before any search: recipes that people kept, and what was best on other tasks."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, final

import yaml

from research.compose.override import flat, spelt, values_of
from research.metrics import is_ratio
from research.propose.dimensions import Dimensions, typed
from research.propose.proposer import Proposer, State, claim
from research.stats.decide import critical
from research.types import Objective, Proposal

if TYPE_CHECKING:
    from research.memory.memory import Memory

_NOT_PROPOSED = {"defaults", "seed", "name", "tags", "score", "question", "study", "launcher", "hydra"}
SIZE = 5
"""configurations of a portfolio"""
_TASKS = 4
"""tasks below which nothing can be said about whether a memory helps on a task that it has not seen"""

Name = TypeVar("Name", bound=Hashable)
Regrets = Mapping[str, Mapping[Name, float]]
"""task -> configuration -> normalised regret: 0 is the best known there, 1 the worst"""


@final
class Recipes(Proposer):
    """Each recipe once, written out as the plain overrides that it stands for, if the gate lets those in.

    Many recipes fix what is nobody's to turn in a search, as a budget; they are not proposed.
    """

    name = "recipes"
    first = True

    def __init__(
        self,
        conf: Path,
        vocabulary: dict[str, Any],
        fixed: tuple[str, ...],
        check: Callable[[list[str]], Sequence[str]],
    ) -> None:
        """`check` is the gate: complaints about overrides."""
        self._fixed = values_of(fixed)
        self._dimensions = Dimensions(vocabulary, fixed)
        recipes = (plain(path) for path in sorted((conf / "experiment").glob("*.yaml")))
        rests = [self._rest(overrides) for overrides in recipes if self._fits(overrides)]
        self._left = [rest for rest in rests if rest and not check(list(rest))]

    def ask(self, state: State) -> Proposal | None:
        """The next recipe, less what is fixed anyway or does not act; None after the last.

        Beside a control stopped at the bound it trains as long as that one, unless it says how long: with the
        control's own length no other change is cheaper.
        """
        if not self._left:
            return None
        recipe = self._left.pop(0)
        stopped = state.stopped.overrides if state.stopped else ()
        own = any(text.startswith("budget.") for text in recipe)
        length = () if own else tuple(text for text in stopped if text.startswith("budget."))
        return claim((*recipe, *length), state, self.name)

    def _fits(self, overrides: dict[str, str]) -> bool:
        """A recipe fits when it does not set otherwise what the goal or the person has fixed."""
        return all(self._fixed.get(key, value) == value for key, value in overrides.items())

    def _rest(self, overrides: dict[str, str]) -> tuple[str, ...]:
        return self._dimensions.acting(
            [f"{key}={value}" for key, value in overrides.items() if key not in self._fixed]
        )


def plain(path: Path) -> dict[str, str]:
    """The choices and values of a recipe, key -> text, without its seeds, names and question."""
    content = yaml.safe_load(path.read_text()) or {}
    choices: dict[str, str] = {}
    for entry in content.get("defaults", []):
        if isinstance(entry, dict):
            group, option = next(iter(entry.items()))
            choices[group.removeprefix("override ").lstrip("/")] = spelt(option)
    return choices | flat({key: value for key, value in content.items() if key not in _NOT_PROPOSED})


@final
class Portfolio(Proposer):
    """Hands out `portfolio` of what memory knows of other tasks, one after another, then is silent.

    It says nothing at all where memory is off or empty, and where its own leave-one-task-out test (`pays`)
    shows that the configurations of some tasks are no better on another than ones taken by lot.
    """

    name = "portfolio"
    first = True

    def __init__(self, memory: "Memory", vocabulary: dict[str, Any], fixed: tuple[str, ...]) -> None:
        self._memory, self._dimensions = memory, Dimensions(vocabulary, fixed)
        self._fixed = values_of(fixed)
        self._left: list[tuple[str, ...]] | None = None
        self._known: dict[str, Any] = {}

    def ask(self, state: State) -> Proposal | None:
        """The next configuration that the present space can say and that was not seen yet."""
        if self._left is None:
            self._left = self._chosen(state.asked or state.objective)
        seen = {self._dimensions.acting(result.overrides) for result in state.seen}
        while self._left:
            overrides = self._left.pop(0)
            if overrides not in seen:
                return claim(overrides, state, self.name)
        return None

    def spent(self) -> dict[str, Any]:
        """What it was made of: tasks, configurations, and whether they help where they were not found."""
        return dict(self._known)

    def _chosen(self, objective: Objective) -> list[tuple[str, ...]]:
        regrets = elsewhere(self._memory, self._dimensions, self._fixed, objective)
        helps = pays(regrets)
        self._known = {"tasks": len(regrets), "helps": helps}
        return portfolio(regrets) if helps else []


def elsewhere(
    memory: "Memory", dimensions: Dimensions, fixed: Mapping[str, str], objective: Objective
) -> dict[str, dict[tuple[str, ...], float]]:
    """What memory knows of other tasks: task -> configuration, as it is typed here -> regret there."""

    @cache
    def here(overrides: tuple[str, ...]) -> tuple[str, ...]:
        """Tasks share configurations; empty where one differs in what is fixed."""
        given = values_of(overrides)
        if any(fixed.get(key, value) != value for key, value in given.items()):
            return ()
        drawn = dimensions.read([f"{key}={value}" for key, value in given.items() if key not in fixed])
        return typed(drawn) if drawn else ()

    known: dict[str, dict[tuple[str, ...], float]] = {}
    for figure in memory.elsewhere(objective, fixed.get("data", "")):
        if overrides := here(tuple(figure.overrides)):
            known.setdefault(figure.task, {})[overrides] = figure.value
    return normalised(known, objective)


def portfolio(regrets: Regrets[Name], size: int = SIZE) -> list[Name]:
    """The configurations that together minimise the mean over the tasks of the best regret, greedily.

    Each is the one that adds most to those before it, as Auto-sklearn 2.0 builds its portfolios (Feurer et
    al., 2022, JMLR 23(261)); the mean of minima is submodular: this is within 1 - 1/e of the best set.
    A configuration counts as its worst on a task that has not seen it. Ties go to the lower mean regret, then
    to the first named.
    """
    names = dict.fromkeys(name for known in regrets.values() for name in known)
    left = {name: [known.get(name, 1.0) for known in regrets.values()] for name in names}
    best, chosen = [1.0] * len(regrets), list[Name]()
    while left and len(chosen) < size:
        pick = min(left, key=lambda name: (math.fsum(map(min, best, left[name])), math.fsum(left[name])))
        best = list(map(min, best, left.pop(pick)))
        chosen.append(pick)
    return chosen


def pays(regrets: Regrets[Name]) -> bool:
    """Whether portfolios help on a task left out: one-sided paired t-test against configurations by lot.

    For each task, the best regret there of the portfolio of all others, against the expected best of as many
    of its known configurations drawn at random. True as well where too few tasks share configurations to
    tell: the price of a useless portfolio is `SIZE` trials.
    """
    gains = [gain for task in regrets if (gain := _gain(regrets, task)) is not None]
    if len(gains) < _TASKS:
        return True
    mean = math.fsum(gains) / len(gains)
    spread = math.sqrt(math.fsum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1))
    return mean > critical(0.05, len(gains) - 1) * spread / math.sqrt(len(gains))


def _gain(regrets: Regrets[Name], task: str) -> float | None:
    """How much better the others' portfolio does on a task than chance; None where it knows too few of it."""
    here = regrets[task]
    others = {
        name: {setting: value for setting, value in known.items() if setting in here}
        for name, known in regrets.items()
        if name != task
    }
    chosen = portfolio(others)
    if len(chosen) < SIZE or len(here) < 2 * SIZE:
        return None
    return _by_lot(sorted(here.values()), SIZE) - min(here[setting] for setting in chosen)


def _by_lot(values: Sequence[float], size: int) -> float:
    """Expected smallest of `size` of the sorted values, drawn without replacement."""
    n = len(values)
    ways = math.comb(n, size)
    return math.fsum(value * math.comb(n - place - 1, size - 1) / ways for place, value in enumerate(values))


def normalised(
    known: Mapping[str, Mapping[Name, float]], objective: Objective
) -> dict[str, dict[Name, float]]:
    """Figures as regrets per task, 0 for its best and 1 for its worst; of costs, their logarithms."""
    sign = 1.0 if objective.direction == "min" else -1.0
    regrets: dict[str, dict[Name, float]] = {}
    for task, figures in known.items():
        told = {name: _cost(value, objective, sign) for name, value in figures.items()}
        costs = {name: cost for name, cost in told.items() if cost is not None}
        low, high = min(costs.values(), default=0.0), max(costs.values(), default=0.0)
        if high > low:
            regrets[task] = {name: (cost - low) / (high - low) for name, cost in costs.items()}
    return regrets


def _cost(value: float, objective: Objective, sign: float) -> float | None:
    if not math.isfinite(value):
        return None
    if is_ratio(objective.metric):
        return sign * math.log(value) if value > 0 else None
    return sign * value

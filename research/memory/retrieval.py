"""Few relevant episodes: candidates from the index, ranked by task, region, words and phase.

Candidates are the newest episodes that share one thing with the query (a word, a choice, an octave of a knob,
the task), a few of each: a rare word counts as much as a common one, and the cost does not grow with the
store.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal, final

from pydantic import Field

from research.compose.override import override, values_of
from research.memory.reading import NOTHING_CAME, Configuration, Episode, IndexRow, Kind, found, told
from research.metrics import screening
from research.store.index import Term, kind_mark, mark, matching, near, number, turned, words
from research.store.store import Store
from research.types import Objective, Record

Phase = Literal["planning", "architecture", "optimization", "evaluation"]

_EACH = 10
"""candidates for each thing that is shared, those of which nothing came included"""
_WORDS, _KNOBS = 10, 8
"""words and knobs of a query that bring candidates"""
_ORDER = {"insight": 0, "proposal": 1, "trial": 2}
TASK, METRIC, REGION, WORDS, PHASE = 3.0, 1.0, 2.0, 2.0, 1.0
"""what each part of a match is worth; the region and the words are shares of what was asked for"""


@final
class Query(Record):
    """What is looked for; whatever is left out does not matter."""

    task: str | None = None
    """the data set, as in `data=digits`"""
    objective: Objective | None = None
    overrides: tuple[str, ...] = ()
    """a configuration: episodes near it are looked for"""
    words: str = ""
    """any text, for example a hypothesis: never query syntax"""
    phase: Phase | None = None
    count: int = Field(default=6, ge=0, le=50)


@final
class Nearest:
    """The default: the sum of what an episode shares with the query, newest first among equals."""

    def __init__(self, each: int = _EACH) -> None:
        self.each = each

    def __call__(self, store: Store, query: Query) -> Sequence[Episode]:
        """At most `query.count` episodes, the most relevant first, in an order that depends on rows only."""
        if query.count == 0:
            return ()
        with store.read() as connection:
            near_by = [found(row) for row in matching(connection, list(_shared(query)), self.each)]
            best, ended = _configurations(_ranked(near_by, query)), list[Episode]()
            for start in range(0, len(best), 2 * query.count):  # the first of these hold enough nearly always
                some = told(connection, best[start : start + 2 * query.count], query.objective)
                ended += [one for one in some if one.word not in NOTHING_CAME]
                if len(ended) >= query.count:
                    break
            return tuple(ended[: query.count])


def _shared(query: Query) -> Iterator[Sequence[Term]]:
    """The terms that find candidates, each joined with the query's task where it names one."""
    task, own = query.task, values_of(turned(query.overrides))
    for said in words(query.words)[:_WORDS]:
        yield [(said,), (mark("task", task),)] if task else [(said,)]
    for key, text in list(own.items())[:_KNOBS]:
        value = number(text)
        names = [f"{key}={text}"] if value is None else [f"{key}~{octave}" for octave in near(value)]
        yield [tuple(_under(task, name) for name in names)]
    if task or query.phase or query.objective:
        for kind in _ORDER:
            yield [(_under(task, kind_mark(kind)),)]
    if query.objective:
        yield [(_under(task, f"metric {query.objective.metric}"),)]


def _under(task: str | None, name: str) -> str:
    return mark(task, name) if task else mark(name)


def _ranked(pool: Sequence[IndexRow], query: Query) -> list[tuple[float, IndexRow]]:
    said, own = _said(pool, query.words), values_of(turned(query.overrides))
    scored = [(_relevance(row, query, own, share), row) for row, share in zip(pool, said, strict=True)]
    return sorted((one for one in scored if one[0] > 0), key=lambda one: (-one[0], -one[1].id))


def _said(pool: Sequence[IndexRow], text: str) -> Sequence[float | None]:
    """Of each row the share of a text's words that it has, a rare one weighing more; None without words."""
    asked = words(text)
    if not asked:
        return [None] * len(pool)
    has = [set(asked).intersection(row.terms.split(" ")) for row in pool]
    counts = Counter(chain.from_iterable(has))
    weights = {word: math.log(1 + len(pool) / (1 + counts[word])) for word in asked}
    total = sum(weights.values())
    return [sum(weights[word] for word in asked if word in own) / total for own in has]


def _relevance(row: IndexRow, query: Query, own: Mapping[str, str], said: float | None) -> float:
    """Zero for an episode that shares nothing but the phase."""
    shared = TASK * (query.task is not None and row.task == query.task)
    shared += WORDS * (said or 0.0)
    if own:
        shared += REGION * likeness(own, values_of(row.overrides))
    if not shared and (query.task or said is not None or own):
        return 0.0
    if query.objective is not None and row.metric is not None:
        shared += METRIC * (screening(row.metric) == screening(query.objective.metric))
    return shared + PHASE * _fit(query.phase, row.kind, row.overrides)


def likeness(one: Mapping[str, str], two: Mapping[str, str]) -> float:
    """How alike two configurations are, 0 to 1: of all knobs that either turns, the share that agrees."""
    keys = one.keys() | two.keys()
    if not one or not two:
        return 0.0
    return sum(_agree(one[key], two[key]) for key in sorted(one.keys() & two.keys())) / len(keys)


def _agree(first_text: str, second_text: str) -> float:
    if first_text == second_text:
        return 1.0
    first, second = number(first_text), number(second_text)
    if first is None or second is None:
        return 0.0
    low, high = sorted((abs(first), abs(second)))
    return low / high if high and first * second >= 0 else float(first == second)


def _configurations(ranked: Sequence[tuple[float, IndexRow]]) -> list[Configuration]:
    """One entry for each configuration, told by its most telling row, with the trials found beside it."""
    groups: dict[tuple[str | None, tuple[str, ...]], list[tuple[float, IndexRow]]] = {}
    for score, row in ranked:
        groups.setdefault((row.task, row.overrides), []).append((score, row))
    best = list[Configuration]()
    for group in groups.values():
        teller = min((row for _, row in group), key=lambda row: (_ORDER[row.kind], -row.id))
        trials = sorted({row.number for _, row in group}) if teller.kind == "trial" else ()
        best.append((group[0][0], teller, trials))
    return best


_KINDS: dict[Phase, Mapping[Kind, float]] = {
    "planning": {"insight": 1.0, "proposal": 0.6, "trial": 0.2},
    "architecture": {"insight": 0.5, "proposal": 0.5, "trial": 0.3},
    "optimization": {"insight": 0.5, "proposal": 0.5, "trial": 0.4},
    "evaluation": {"insight": 1.0, "proposal": 0.3, "trial": 0.1},
}
_GROUPS: dict[Phase, frozenset[str]] = {
    "architecture": frozenset({"model", "compress"}),
    "optimization": frozenset({"optimizer", "scheduler", "budget", "trainer", "loss"}),
}


def _fit(phase: Phase | None, kind: Kind, overrides: Iterable[str]) -> float:
    """How well an episode serves a phase, 0 to 1: by what it is, and by the groups that it turned."""
    if phase is None:
        return 0.0
    groups = [override(text).group for text in overrides]
    wanted = _GROUPS.get(phase)
    if wanted is None:
        return _KINDS[phase][kind]
    share = sum(group in wanted for group in groups) / len(groups) if groups else 0.0
    return (_KINDS[phase][kind] + share) / 2

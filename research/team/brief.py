"""What a team is told: the search, its setting, what is left of it; each role has the parts that it names."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal, final

from research.literature.library import Source
from research.llm.prompt import data, table
from research.memory.retrieval import Phase
from research.propose.model import history, mattered, said, spread, standing, tried, words
from research.propose.proposer import State
from research.space.spelling import names
from research.types import Objective, Record

Part = Literal[
    "setting",
    "left",
    "history",
    "best",
    "tried",
    "curve",
    "spread",
    "mattered",
    "verdicts",
    "lessons",
    "sources",
    "vocabulary",
    "ranges",
    "names",
]
"""of a brief; `best` and `tried` are less than the history, `ranges` and `names` than the vocabulary"""
Lessons = Callable[[Phase], Sequence[str]]
"""what earlier trials taught for a phase, each with the ids of its trials"""
_SOURCES, _ABSTRACT = 8, 600


@final
class Judged(Record):
    """A finding of an earlier sprint, without a figure of the test split."""

    insight: int
    overrides: tuple[str, ...]
    word: str
    size: str
    """the difference with its interval, where it is one of a cost; else what it is about"""
    next: tuple[str, ...] = ()
    """what the validator named to do next"""


@final
class Brief(Record):
    """The state of the search, and what may be read beside it."""

    state: State
    vocabulary: dict[str, Any]
    sources: tuple[Source, ...] = ()
    evidence: frozenset[str] = frozenset()
    """`trial 12` and `insight 3`: what may be cited beside the sources and the trials of the history"""
    domain: str = "optimization"
    focus: str = ""
    count: int = 4
    """proposals that are aimed at"""
    goal: Objective | None = None
    """as the person asked for it, where what is screened is stricter"""
    setting: dict[str, Any] = {}
    """data, machine, how joules are taken"""
    left: dict[str, Any] = {}
    """of the budget and of the turns"""
    curve: tuple[tuple[str, ...], ...] = ()
    """learning curve of the control: the columns, then points"""
    verdicts: tuple[Judged, ...] = ()
    """of earlier sprints"""

    def told(
        self, parts: Sequence[Part], phase: Phase, lessons: Lessons, about: Sequence[str] | None = None
    ) -> list[str]:
        """Objective, goal and what is fixed, then the parts in their order.

        `about` are the overrides of a proposal that is to be changed: of the ranges it needs those beside it.
        """
        made: dict[Part, Callable[[], list[str]]] = {
            "setting": lambda: _block(self.setting, "data, machine, how joules are taken"),
            "left": lambda: _block(self.left, "what is left of the budget, and of this sprint"),
            "history": lambda: [history(self.state)],
            "best": lambda: [history(self.state, best_only=True)],
            "tried": lambda: _lines(tried(self.state), "overrides that were tried"),
            "curve": self._curve,
            "spread": lambda: spread(self.state),
            "mattered": lambda: self._mattered,
            "verdicts": self._verdicts,
            "lessons": lambda: _lines(lessons(phase), "lessons of earlier trials"),
            "sources": self._sources,
            "vocabulary": lambda: [words(self.vocabulary, self.state.fixed)],
            "ranges": lambda: [words(self.vocabulary, self.state.fixed, cards=False, about=about)],
            "names": lambda: _lines([names(self.vocabulary, self.state.fixed)], "what may be turned"),
        }
        return [*self._asked(), *(block for part in parts for block in made[part]())]

    def _asked(self) -> list[str]:
        told = [f"Objective: {said(self.state.objective)}."]
        if self.goal is not None:
            told.append(
                f"The goal says {said(self.goal)}. The bound is stricter while searching, because two splits "
                "differ by chance: what is at the bound of one misses it on the other."
            )
        told += standing(self.state)
        return told + ([data(f"{self.domain}: {self.focus}", "field and focus")] if self.focus else [])

    def _curve(self) -> list[str]:
        columns, *points = self.curve or ((),)
        return [table(columns, points, "learning curve of the control")] if points else []

    @cached_property
    def _mattered(self) -> list[str]:
        """Made once for all roles: it takes half a CPU second."""
        return mattered(self.state, self.vocabulary)

    def _verdicts(self) -> list[str]:
        rows = [
            [f"insight {one.insight}", " ".join(one.overrides), one.word, one.size] for one in self.verdicts
        ]
        if not rows:
            return []
        columns = ["cite as", "overrides", "verdict", "on fresh seeds"]
        told = table(columns, rows, "verdicts of earlier sprints")
        following = dict.fromkeys(line for one in self.verdicts[-2:] for line in one.next)
        return [told, *_lines([*following], "what the validator named to do next")]

    def _sources(self) -> list[str]:
        blocks = []
        for source in self.sources[:_SOURCES]:
            year = f" ({source.year})" if source.year else ""
            text = f"{source.title}{year}\n{source.abstract[:_ABSTRACT]}"
            blocks.append(data(text, f"source {source.id}"))
        return blocks

    def unknown(self, cites: Sequence[str]) -> list[str]:
        """A complaint for each cited id that was not given."""
        state = self.state
        seen = [*filter(None, (state.control, state.stopped, state.incumbent)), *state.seen]
        shown = {f"trial {number}" for one in seen for number in one.trials}
        given = {cited.id for cited in self.sources} | self.evidence | shown
        wrong = [cited for cited in cites if cited not in given]
        return [
            f"cites names {cited[:60]}, which you were not given: cite what you were given."
            for cited in wrong
        ]


def _block(told: dict[str, Any], source: str) -> list[str]:
    return [data("\n".join(f"{name}: {value}" for name, value in told.items()), source)] if told else []


def _lines(lines: Sequence[str], source: str) -> list[str]:
    text = "\n".join(lines)
    return [data(text, source, len(text))] if lines else []

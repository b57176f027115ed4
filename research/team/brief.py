"""What all roles are told, as marked blocks of a prompt: the task is ours, the rest was written by others."""

from collections.abc import Callable, Sequence
from typing import Any, final

from research.literature.library import Source
from research.llm.prompt import data, data_json
from research.propose.model import lean, row, said
from research.propose.proposer import State
from research.team.roles import Phase
from research.types import Record

_SHOWN = 20
_SOURCES, _ABSTRACT = 8, 600


Lessons = Callable[[Phase], Sequence[str]]
"""what earlier trials taught for a phase, each with the ids of its trials"""


@final
class Brief(Record):
    """The state of the search, and what may be read beside it."""

    state: State
    vocabulary: dict[str, Any]
    sources: tuple[Source, ...] = ()
    evidence: frozenset[str] = frozenset()
    """`trial 12` and `insight 3`: what may be cited beside the sources"""
    domain: str = "optimization"
    focus: str = ""
    count: int = 4
    """proposals that are aimed at"""

    def task(self, lessons: Sequence[str]) -> list[str]:
        """Objective, goal, control, best, latest trials, lessons and sources."""
        state = self.state
        parts = [
            f"Objective: {said(state.objective)}.",
            data(state.goal, "goal of the person"),
            data_json(state.fixed, "already fixed for every trial, not yours to set"),
            data_json(row(state.control), "control arm"),
            data_json(row(state.incumbent), "best so far"),
            data_json([row(seen) for seen in state.seen[-_SHOWN:]], "latest proposals and what came of them"),
        ]
        if self.focus:
            parts.append(data(f"{self.domain}: {self.focus}", "field and focus"))
        if lessons:
            parts.append(data("\n".join(lessons), "lessons of earlier trials"))
        return parts + [data(_source(source), f"source {source.id}") for source in self.sources[:_SOURCES]]

    def words(self) -> str:
        """The vocabulary: what may be turned and in which range."""
        return "Vocabulary, what may be turned and in which range:\n" + data_json(
            lean(self.vocabulary), "vocabulary", limit=40_000
        )

    def unknown(self, cites: Sequence[str]) -> list[str]:
        """A complaint for each cited id that was not given."""
        given = {cited.id for cited in self.sources} | self.evidence
        wrong = [cited for cited in cites if cited not in given]
        return [
            f"cites names {cited[:60]}, which you were not given: cite what you were given."
            for cited in wrong
        ]


def _source(source: Source) -> str:
    year = f" ({source.year})" if source.year else ""
    return f"{source.title}{year}\n{source.abstract[:_ABSTRACT]}"

"""What a campaign asks of memory: lessons and episodes for a phase, and doubts about a configuration."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from research.campaign.charter import Charter
from research.compose.override import values_of
from research.memory.memory import Episode, Lesson, Memory, Query
from research.team.roles import Phase

_LESSONS, _EPISODES = 6, 4
_IDS = 8
"""trials that a lesson's line names"""


@final
class Recall:
    """Memory for one campaign; keeps the ids of what it has shown, for those may be cited."""

    def __init__(self, memory: Memory, agreed: Charter) -> None:
        self._memory, self._goal = memory, agreed.goal
        self._task = values_of(agreed.fixed).get("data")
        self._ids: dict[str, None] = {}

    def lessons(self, phase: Phase) -> Sequence[str]:
        """Lessons of this task, then episodes near the goal's words; each line names the rows it rests on."""
        asked = Query(objective=self._goal.objective, words=self._goal.text, phase=phase, count=_EPISODES)
        own = asked.model_copy(update={"task": self._task, "count": _LESSONS})
        learnt, found = self._memory.lessons(own), self._memory.recall(asked)
        return [*map(self._lesson, learnt), *map(self._episode, found)]

    def ids(self) -> frozenset[str]:
        """What was shown so far."""
        return frozenset(self._ids)

    def doubted(self, config: Mapping[str, Any]) -> str | None:
        """Why a configuration need not be run; one whose result is known costs nothing and may."""
        doubt = self._memory.doubts(config)
        return doubt.sentence if doubt is not None and doubt.chance > 0 else None

    def _lesson(self, one: Lesson) -> str:
        ids = [f"trial {number}" for number in one.trial_ids[:_IDS]]
        self._ids |= dict.fromkeys(ids)
        return f"{one.sentence} ({', '.join(ids)})"

    def _episode(self, one: Episode) -> str:
        self._ids |= dict.fromkeys([one.id, *(f"trial {number}" for number in one.trial_ids[:_IDS])])
        figures = ", ".join(f"{name}={value:.4g}" for name, value in list(one.figures.items())[:4])
        where = f" on {one.task}" if one.task else ""
        return f"{one.id}: {' '.join(one.overrides) or 'the defaults'}{where}: {one.word} {figures}".strip()

"""What is asked of memory and what it answers, as frozen records."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field

from research.compose.override import override
from research.types import Objective, Record

Phase = Literal["planning", "architecture", "optimization", "evaluation"]
Kind = Literal["insight", "proposal", "trial"]


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


class Episode(Record):
    """One configuration that was proposed or run before, as its rows tell it now: no test figures."""

    id: str
    """what a proposal cites it by: `insight 3`, `proposal 12` or `trial 40`"""
    kind: Kind
    task: str | None
    overrides: tuple[str, ...]
    word: str
    """the verdict where there is one, else the status: supported, refuted, open, screened, failed, done"""
    figures: dict[str, float] = {}
    """means over the trials that chose it: costs, and scores of the validation split"""
    said: str = ""
    """the hypothesis, or why the trial failed: untrusted text"""
    trial_ids: tuple[int, ...] = ()
    relevance: float = 0.0
    """what the retrieval made of it, higher is closer; comparable within one answer only"""


NOTHING_CAME = frozenset(
    (
        *("queued", "proposed", "running", "dropped", "refused", "repeat", "interrupted", "waiting"),
        *("infrastructure", "lost", "hung", "timeout"),
    )
)
"""words of episodes of which nothing came: what waits or was never run teaches nothing"""


class Lesson(Record):
    """What several episodes say together; made when it is read, never stored."""

    sentence: str
    task: str | None
    key: str
    """the knob that it is about"""
    wins: int
    total: int
    median: float | None = None
    """median relative change of the metric, -0.12 is 12 % less; None for a lesson about failures"""
    trial_ids: tuple[int, ...]


class Doubt(Record):
    """A reason not to run a configuration."""

    kind: Literal["repeat", "failure"]
    """`repeat`: an equal trial has ended, use it; `failure`: it is predicted to fail"""
    sentence: str
    chance: float
    """of failing: 0 or 1 for a repeat"""
    trial_id: int | None = None
    """the trial that a repeat repeats"""


class Configured(Record):
    """How good a configuration was on a task, compared with the others there."""

    task: str
    overrides: tuple[str, ...]
    value: float
    """mean of the objective's metric over its seeds"""
    regret: float = 0.0
    """distance from the best within its task: 0 the best there, 1 the worst"""
    trial_ids: tuple[int, ...] = ()


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


def fit(phase: Phase | None, kind: Kind, overrides: Iterable[str]) -> float:
    """How well an episode serves a phase, 0 to 1: by what it is, and by the groups that it turned."""
    if phase is None:
        return 0.0
    groups = [override(text).group for text in overrides]
    wanted = _GROUPS.get(phase)
    if wanted is None:
        return _KINDS[phase][kind]
    share = sum(group in wanted for group in groups) / len(groups) if groups else 0.0
    return (_KINDS[phase][kind] + share) / 2

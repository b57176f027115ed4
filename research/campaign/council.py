"""The team in a sprint: what it is told, its discussion in the discuss box, and the queue that it fills."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from research.campaign.admission import Admission, Doubted, Outside
from research.campaign.bench import Bench
from research.campaign.budget import Bill, Boxes, Name, owed
from research.campaign.charter import Charter
from research.campaign.conclusions import Conclusions
from research.campaign.screening import Screening
from research.compose.override import values_of
from research.literature import library
from research.literature.library import Library, Source
from research.llm.client import Client
from research.memory.memory import Episode, Lesson, Memory, Query
from research.space.domain import Domain, Scope
from research.store.store import Store
from research.team.discussion import Discussion, Queued, discuss
from research.team.judges import Judges
from research.team.roles import Brief, Phase, Team, roles
from research.types import Proposal

_RECENT = 30
"""latest insights that may be cited"""


@final
@dataclass(frozen=True)
class Council:
    """What a team has at hand in every sprint of a campaign."""

    team: Team
    vocabulary: dict[str, Any]
    lessons: Callable[[Phase], Sequence[str]] = lambda phase: ()
    recalled: Callable[[], frozenset[str]] = frozenset
    """ids that the lessons named: they may be cited"""
    sources: Callable[[], tuple[Source, ...]] = lambda: ()
    domain: str = "optimization"
    focus: str = ""
    count: int = 4
    """proposals that a discussion aims at"""

    def brief(self, screening: Screening, evidence: frozenset[str]) -> Brief:
        """What the roles are told now."""
        return Brief(
            state=screening.state(),
            vocabulary=self.vocabulary,
            sources=self.sources(),
            evidence=evidence,
            domain=self.domain,
            focus=self.focus,
            count=self.count,
        )

    def convene(
        self, screening: Screening, admission: Admission, evidence: frozenset[str]
    ) -> tuple[list[Proposal], Discussion]:
        """Discuss, review and improve; what is accepted stands in the queue, its row says so."""
        self.lessons("planning")  # what it recalls may be cited
        brief = self.brief(screening, evidence | self.recalled())
        found = discuss(self.team, brief, self.lessons, admission.complaints)
        judges = Judges(self.team, brief, self.lessons, admission.complaints)
        queued = []
        for proposal in found.proposals:
            admitted = admission.admit(proposal, judges, "queued")
            if admitted.arm:
                queued.append(admitted.proposal)
        return queued, found


def evidence(store: Store) -> frozenset[str]:
    """Ids that may be cited: the latest insights of the database, and the trials that they rest on."""
    rows = store.insights()[-_RECENT:]
    trials = {f"trial {number}" for row in rows for number in row["insight"].verdict.trial_ids}
    return frozenset({f"insight {row['id']}" for row in rows} | trials)


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


@final
@dataclass(frozen=True)
class Equipment:
    """The same for every sprint of a campaign; with nothing in it stand-ins do all."""

    council: Council | None = None
    doubted: Doubted = lambda config: None
    outside: Outside = lambda overrides: ()
    discovered: Path | None = None
    predicted: Callable[[], Mapping[str, Any]] = lambda: {"refused": 0, "false": None}
    """how many proposals memory has refused, and how many of those that it let through were no failures"""
    told: Callable[[], Mapping[str, Any]] = dict
    """what a sprint's facts say of memory and literature"""

    @contextmanager
    def boxed(self, boxes: Boxes, name: Name, bench: Bench) -> Iterator[None]:
        """Open a box: trials and questions to the model end with it, questions with the budget too."""
        client = self.council.team.client if self.council else None
        with boxes.open(name):
            bench.until = boxes.until()
            if client is not None:
                client.left_s = lambda: min(boxes.left_s(), bench.spend.left_s())
            yield
        bench.until = None

    def bill(
        self, store: Store, sprint_id: int, before: Sequence[Mapping[str, Any]], queue: Queued | None
    ) -> Bill:
        """What the model's questions cost in a sprint; `before` are its rows that an earlier run has left."""
        client = self.council.team.client if self.council else None
        if client is None or queue is None:
            return Bill()
        return Bill(lambda: client.ledger.spent, lambda: queue.waiting, owed(store, sprint_id, before))

    def prepare(self) -> None:
        """Get the client ready, whose 5 CPU seconds belong to no box, and to no trial that runs beside it."""
        client = self.council.team.client if self.council else None
        if client is not None:
            client.prepare()

    def conclusions(
        self, charter: Charter, bench: Bench, sprint_id: int, unheld: bool = False
    ) -> Conclusions:
        """What keeps the findings of a sprint; `unheld` as there."""
        council = self.council
        if council is None:
            return Conclusions(charter, bench, sprint_id, discovered=self.discovered, unheld=unheld)
        lessons = council.lessons
        return Conclusions(
            charter, bench, sprint_id, council.team, lambda: lessons("evaluation"), self.discovered, unheld
        )

    def facts(self) -> dict[str, Any]:
        """What a sprint's facts say of them."""
        team = self.council.team.facts() if self.council else None
        return {**({"team": team} if team else {}), **self.told()}


_SOURCES = 6
"""works that a discussion is shown"""


def equipped(
    config: Mapping[str, Any],
    agreed: Charter,
    conf: Path,
    client: Client | None,
    vocabulary: Mapping[str, Any],
    field: Domain | None,
    memory: Memory,
) -> Equipment:
    """Who has a say beside the charter.

    Raises `Refusal` for a file that is no role, a role's model that cannot be asked, and a library that is
    not there.
    """
    read = library.opened(config.get("literature"))
    recall = Recall(memory, agreed)
    council = None if client is None else _council(agreed, conf, client, vocabulary, read, recall)
    folder = config.get("discovered")
    return Equipment(
        council=council,
        doubted=recall.doubted,
        outside=Scope(field).outside,
        discovered=None if folder is None else Path(str(folder)),
        predicted=memory.counts,
        told=lambda: {
            "memory": memory.facts(),
            **({} if read is None else {"literature": read.facts()}),
        },
    )


def _council(
    agreed: Charter,
    conf: Path,
    client: Client,
    vocabulary: Mapping[str, Any],
    read: Library | None,
    recall: Recall,
) -> Council:
    team = Team(roles(conf), client)
    for model in {role.model for role in team.roles if role.model is not None}:
        client.admit(model)
    field, focus = agreed.team.get("domain"), agreed.team.get("focus")
    return Council(
        team=team,
        vocabulary=dict(vocabulary),
        lessons=recall.lessons,
        recalled=recall.ids,
        sources=_sources(agreed, read),
        domain=field or "optimization",
        focus=focus or "",
    )


def _sources(agreed: Charter, read: Library | None) -> Callable[[], tuple[Source, ...]]:
    """What the literature says to the goal, looked up when a discussion begins."""
    if read is None:
        return lambda: ()
    query = " ".join([agreed.goal.text, agreed.team.get("domain", ""), agreed.team.get("focus", "")])
    return lambda: read.find(query, _SOURCES)

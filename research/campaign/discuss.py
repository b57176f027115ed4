"""The team of a campaign: what memory recalls for it, and its discussion in a sprint."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, final

from research.campaign.admission import Admission
from research.campaign.briefing import brief, completed
from research.campaign.budget import ModelAccount, owed
from research.campaign.charter import Charter
from research.campaign.model import Talk
from research.campaign.rows import Earlier, Row, Rows
from research.campaign.screening import Screening
from research.compose.override import values_of
from research.memory.lessons import Lesson
from research.memory.memory import Memory
from research.memory.reading import Episode
from research.memory.retrieval import Phase, Query
from research.propose.proposer import State
from research.stats.decide import ENOUGH
from research.store.store import Store
from research.team.brief import Brief
from research.team.discussion import Queued, discuss
from research.team.judges import Judges
from research.types import SprintFacts

if TYPE_CHECKING:
    from research.campaign.campaign import Campaign

_LESSONS, _EPISODES = 6, 4
_IDS = 8
"""trials that a lesson's line names"""
_RECENT = 30
"""latest insights that may be cited"""


@final
class Recall:
    """Memory for one campaign; keeps the ids of what it has shown, for those may be cited."""

    def __init__(self, memory: Memory, charter: Charter) -> None:
        self._memory, self._goal = memory, charter.goal
        self._fixed, self._task = charter.fixed, values_of(charter.fixed).get("data")
        self._ids: dict[str, None] = {}

    def lessons(self, phase: Phase) -> Sequence[str]:
        """Lessons of this task, then episodes near what the goal says and fixes; each names its rows."""
        asked = Query(
            objective=self._goal.objective,
            overrides=self._fixed,
            words=self._goal.text,
            phase=phase,
            count=_EPISODES,
        )
        own = asked.model_copy(update={"task": self._task, "count": _LESSONS})
        lessons, episodes = self._memory.lessons(own), self._memory.recall(asked)
        return [*map(self._lesson, lessons), *map(self._episode, episodes)]

    def ids(self) -> frozenset[str]:
        """What was shown so far."""
        return frozenset(self._ids)

    def doubted(self, config: Mapping[str, Any]) -> str | None:
        """Why a configuration need not be run; one whose result is known costs nothing and may."""
        doubt = self._memory.doubts(config)
        return doubt.sentence if doubt is not None and doubt.chance > 0 else None

    def _lesson(self, lesson: Lesson) -> str:
        numbers = lesson.trial_ids[:_IDS]
        self._ids |= dict.fromkeys(f"trial {number}" for number in numbers)
        return f"{lesson.sentence} (trial {', '.join(map(str, numbers))})"

    def _episode(self, episode: Episode) -> str:
        trials = (f"trial {number}" for number in episode.trial_ids[:_IDS])
        self._ids |= dict.fromkeys([episode.id, *trials])
        figures = ", ".join(f"{name}={value:.4g}" for name, value in list(episode.figures.items())[:4])
        where = f" on {episode.task}" if episode.task else ""
        overrides = " ".join(episode.overrides) or "the defaults"
        return f"{episode.id}: {overrides}{where}: {episode.word} {figures}".strip()


@final
class Meeting:
    """The discussion of one sprint: it fills the queue with what waits and what the team agrees on."""

    def __init__(
        self, campaign: "Campaign", screening: Screening, admission: Admission, queue: Queued, talk: Talk
    ) -> None:
        self._campaign, self._screening, self._admission = campaign, screening, admission
        self._queue, self._talk = queue, talk
        self.plan: dict[str, Any] = {}
        self.notes: list[str] = []

    def recall(self, before: SprintFacts, left: Earlier) -> None:
        """Queue what an earlier run of the sprint has accepted, else what earlier sprints have left."""
        admission, rows = self._admission, self._admission.rows
        waiting: Sequence[Row] = rows.accepted(self._queue.name)
        waiting = waiting or taken_over(self._campaign.store, left.queued, rows)
        for row in waiting:
            admission.reserve(row["id"], row["proposal"], row["facts"])
        self._queue.put(row["proposal"] for row in waiting)
        self.plan = dict(before.plan)

    def payable(self, lanes: int) -> int:
        """Turns that the team can be promised: as many for each other lane and a confirmation fit as well."""
        charter, spend = self._campaign.charter, self._campaign.spend
        screen, least = charter.screen, spend.usual(2 + len(charter.promote.seeds) + ENOUGH)
        for count in range(min(self._campaign.discussed, -(-screen.turns // lanes)), 1, -1):
            price = spend.usual(lanes * count * len(screen.seeds), screen.at_once * len(screen.seeds))
            if spend.short(price, least) is None:
                return count
        return 1

    def convene(self, trials: int, box: AbstractContextManager[None], keep: Callable[[], None]) -> None:
        """Discuss beside the trials, in `box`, until the team has that many; a sprint discusses once.

        `keep` writes down that it has.
        """
        wanted = trials - self._queue.accepted
        if wanted < 1 or self.plan:
            return

        def talk() -> None:
            with box:
                self._discussed(wanted)
            keep()

        self._talk.begin(talk)

    def _discussed(self, wanted: int) -> None:
        """Discuss, review and improve; each that is accepted stands in the queue at once, its row says so."""
        campaign, admission, queue = self._campaign, self._admission, self._queue
        team, lessons = campaign.team, campaign.recall.lessons
        assert team is not None
        lessons("planning")  # what it recalls may be cited
        told = brief(campaign, self._known(), citable(campaign.store) | campaign.recall.ids())
        told = told.model_copy(update={"count": wanted})

        def now() -> Brief:
            return told.model_copy(update={"state": self._known()})

        discussion = discuss(team, now, lessons, admission.complaints)
        self.plan = {**discussion.plan, "remarks": discussion.remarks} if discussion.plan else {}
        self.notes += discussion.notes
        queue.expected = len(discussion.proposals)
        judges = Judges(team, now(), lessons, admission.complaints)
        for proposal in discussion.proposals:
            admitted = admission.admit(proposal, judges, "queued")
            queue.expected -= 1
            queue.put([admitted.proposal] if admitted.arm else [])
            self._talk.tell()
        if self._screening.brief and admission.lanes and queue.accepted:
            turns = (
                f"each lane had at most {self._screening.promised} turns, as many as the team was promised"
            )
            self.notes.append(f"{turns}: its next discussion knows what came of them")

    def _known(self) -> State:
        """What the team's lane knows."""
        return completed(self._campaign, self._screening.state())


def account(campaign: "Campaign", queue: Queued | None, store: Store, sprint_id: int) -> ModelAccount:
    """What the model's questions cost in a sprint, those of an interrupted run included."""
    client = campaign.client
    if client is None or queue is None:
        return ModelAccount()
    unpaid = owed(store, sprint_id, store.proposals(sprint_id=sprint_id))
    return ModelAccount(lambda: client.ledger.spent, lambda: queue.waiting + queue.expected, unpaid)


def citable(store: Store) -> frozenset[str]:
    """Ids that may be cited: the latest insights of the database, and the trials that they rest on."""
    rows = store.insights()[-_RECENT:]
    trials = {f"trial {number}" for row in rows for number in row["insight"].verdict.trial_ids}
    return frozenset({f"insight {row['id']}" for row in rows} | trials)


def taken_over(store: Store, waiting: Sequence[Row], rows: Rows) -> list[Row]:
    """What waits from earlier sprints, each in a row of this one."""
    taken: list[Row] = []
    for row in waiting:
        facts = row["facts"] | {"carried": row["id"]}
        number = rows.open(row["proposal"], "queued", facts)
        why = [f"it waits on as experiment {number} of the next sprint"]
        store.set_proposal(row["id"], "dropped", row["facts"] | {"reasons": why})
        taken.append({"id": number, "proposal": row["proposal"], "facts": facts})
    return taken

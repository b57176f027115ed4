"""The team of a campaign: how it is opened, what memory recalls for it, and its discussion in a sprint."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from research.campaign.admission import Admission
from research.campaign.briefing import brief
from research.campaign.budget import share
from research.campaign.charter import Charter
from research.campaign.rows import Row, Rows, rows_of
from research.campaign.screening import Screening
from research.compose.override import values_of
from research.llm.client import Client, connect
from research.llm.ledger import tally
from research.memory.memory import Episode, Lesson, Memory, Query
from research.store.store import Store
from research.team.brief import Phase
from research.team.discussion import Discussion, discuss
from research.team.judges import Judges
from research.team.roles import Team, roles
from research.types import Proposal

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
        self._task = values_of(charter.fixed).get("data")
        self._ids: dict[str, None] = {}

    def lessons(self, phase: Phase) -> Sequence[str]:
        """Lessons of this task, then episodes near the goal's words; each line names the rows it rests on."""
        asked = Query(objective=self._goal.objective, words=self._goal.text, phase=phase, count=_EPISODES)
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


def connected(campaign: "Campaign", settings: Mapping[str, Any], budget: Mapping[str, Any]) -> Client | None:
    """The client of the group `llm`; what an interrupted run of the campaign has used stays used.

    What `budget` names is an upper bound: a server that hangs may not take all of its time.
    """
    store = campaign.store

    def sprints() -> list[int]:
        return [row["id"] for row in rows_of(store, campaign.charter.name).values()]

    def record(**exchange: Any) -> None:
        store.add_interaction(sprint_id=max(sprints(), default=None), **exchange)

    before = [] if store.is_new else sprints()
    exchanges = [row for number in before for row in store.interactions(sprint_id=number)]
    already = tally(exchanges) if exchanges else None
    client = connect(_within(settings, budget), record=record, store=store, already=already)
    if client is not None:
        client.heard.say = lambda said: campaign.lines.say(f"model      {said}", style="yellow")
    return client


def _within(settings: Mapping[str, Any], budget: Mapping[str, Any]) -> dict[str, Any]:
    held, longest = dict(settings), share(budget.get("seconds"))
    if budget.get("dollars") is not None:
        cap = settings["caps"].get("dollars")
        dollars = budget["dollars"] if cap is None else min(budget["dollars"], cap)
        held["caps"] = {**settings["caps"], "dollars": dollars}
    if longest is not None:
        held |= {name: min(settings[name], longest) for name in ("patience_s", "timeout_s")}
    return held


def team(campaign: "Campaign", client: Client) -> Team:
    """The roles of `conf/role`.

    Raises `Refusal` for a file that is no role, and a role's model that cannot be asked.
    """
    members = roles(campaign.conf)
    for model in {role.model for role in members if role.model is not None}:
        client.admit(model)
    return Team(members, client)


def convene(
    campaign: "Campaign", screening: Screening, admission: Admission
) -> tuple[list[Proposal], Discussion]:
    """Discuss, review and improve; what is accepted stands in the queue, its row says so."""
    members, lessons = campaign.team, campaign.recall.lessons
    assert members is not None
    lessons("planning")  # what it recalls may be cited
    told = brief(campaign, screening.state(), citable(campaign.store) | campaign.recall.ids())
    discussion = discuss(members, told, lessons, admission.complaints)
    judges = Judges(members, told, lessons, admission.complaints)
    admitted = [admission.admit(proposal, judges, "queued") for proposal in discussion.proposals]
    return [one.proposal for one in admitted if one.arm], discussion


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

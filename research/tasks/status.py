"""`task=status`: sprints, queue, trials and what is spent, in one look that costs a third of a second."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from research.campaign.campaign import Campaign
from research.page import counted
from research.tasks.answer import Answer, pairs, short, table
from research.tasks.show import asked_of
from research.types import Record

if TYPE_CHECKING:
    from research.store.connection import Connection

_SPRINTS = 5
_RUNNING = 10
_NEWEST = 1000
"""finished trials whose facts are looked through, at 7 us each: what is disturbed now, not years ago"""


@final
class SprintLine(Record):
    """One sprint as the overview shows it."""

    id: int
    number: int | None
    goal: str
    asked: str | None
    """the goal as it was understood; None for a recipe, which asks its own question"""
    status: str
    """running, done, interrupted, failed, or lost: whoever ran it is gone, and its command goes on with it"""
    proposals: dict[str, int]
    folder: str | None


@final
class RunningTrial(Record):
    """A trial that runs now, and for how long by the database's clock."""

    id: int
    overrides: tuple[str, ...]
    seconds: float


@final
class Spent(Record):
    """What the newest campaign used so far; None where nothing tells it."""

    campaign: str
    trials: int
    joules: float
    dollars: float | None


@final
class Status(Answer):
    """The state of the lab."""

    store: str
    exists: bool
    sprints: tuple[SprintLine, ...] = ()
    """the newest, newest first"""
    proposals: dict[str, int] = {}
    """status -> how many; `queued` ones wait for task=run"""
    trials: dict[str, int] = {}
    disturbed: int = 0
    """of the newest 1,000 finished trials, those of which a busy machine disturbed a window"""
    running: tuple[RunningTrial, ...] = ()
    spent: Spent | None = None
    budget: dict[str, float | None]
    """what one command may spend, as configured; None is no limit"""

    def text(self) -> str:
        """The overview in lines."""
        if not self.exists:
            return f"store   {self.store}: nothing was run yet"
        head = {
            "store": self.store,
            "trials": (_counted(self.trials) or "none") + self._disturbed(),
            "proposals": _counted(self.proposals) or "none",
            "queue": f"{self.proposals.get('queued', 0)} queued for task=run",
            "budget": ", ".join(f"{k} {v:g}" for k, v in self.budget.items() if v is not None) or "no limit",
            "spent": self._spent(),
        }
        return "\n".join([*pairs(head), *self._sprints(), *self._running()])

    def _disturbed(self) -> str:
        of = f" of the newest {_NEWEST:,}" if self.trials.get("done", 0) > _NEWEST else ""
        return f" ({self.disturbed} disturbed{of})" if self.disturbed else ""

    def _spent(self) -> str:
        if self.spent is None:
            return ""
        known = f", ${self.spent.dollars:.4f}" if self.spent.dollars else ""
        dollars = ", unknown dollars" if self.spent.dollars is None else known
        trials, joules = counted(self.spent.trials, "trial"), f"{self.spent.joules:.4g} J"
        return f"{trials}, {joules}{dollars} by {self.spent.campaign}"

    def _sprints(self) -> list[str]:
        rows = [
            (str(sprint.id), sprint.status, _counted(sprint.proposals) or "-", short(sprint.goal, 60))
            for sprint in self.sprints
        ]
        asked = next((sprint.asked for sprint in self.sprints[:1] if sprint.asked), None)
        told = ["", f"the newest asks: {asked}"] if asked else []
        return ["", *table(("sprint", "status", "proposals", "goal"), rows), *told] if rows else []

    def _running(self) -> list[str]:
        rows = [(str(trial.id), f"{trial.seconds:.0f}", " ".join(trial.overrides)) for trial in self.running]
        return ["", *table(("trial", "for s", "overrides"), rows)] if rows else []


def status(campaign: Campaign, budget: dict[str, float | None]) -> Status:
    """Count what is in the database; a database that is not there yet is not made."""
    if not campaign.exists:
        return Status(store=campaign.address, exists=False, budget=budget)
    from research.store import leases, queries

    with campaign.store.read() as connection:
        sprints = queries.rows(connection, "sprint", _SPRINTS)[::-1]
        counts = queries.statuses_by_sprint(connection, [row["id"] for row in sprints])
        return Status(
            store=campaign.address,
            exists=True,
            sprints=tuple(_line(row, leases.word(connection, row), counts[row["id"]]) for row in sprints),
            proposals=queries.statuses(connection, "proposal"),
            trials=queries.statuses(connection, "trial"),
            disturbed=queries.disturbed(connection, _NEWEST),
            running=tuple(
                RunningTrial(id=row.id, overrides=row.overrides, seconds=row.seconds)
                for row in queries.running(connection, _RUNNING)
            ),
            spent=_spent(connection, sprints),
            budget=budget,
        )


def _line(row: Mapping[str, Any], word: str, counts: dict[str, int]) -> SprintLine:
    return SprintLine(
        id=row["id"],
        number=row["facts"].get("number"),
        goal=row["goal"],
        asked=asked_of(row),
        status=word,
        proposals=counts,
        folder=row["folder"],
    )


def _spent(connection: "Connection", sprints: Sequence[Mapping[str, Any]]) -> Spent | None:
    """What the campaign of the newest sprint trained and asked for, by its rows."""
    from research.store import queries

    if not sprints or "campaign" not in sprints[0]["facts"]:
        return None
    name = str(sprints[0]["facts"]["campaign"])
    trials, joules = queries.trained(connection, name)
    return Spent(campaign=name, trials=trials, joules=joules, dollars=queries.paid(connection, name))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items())

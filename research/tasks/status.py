"""`task=status`: sprints, queue, trials and what is spent, in one look that costs a third of a second."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

from research.tasks.answer import Answer, pairs, short, table
from research.tasks.desk import Desk
from research.types import Record

if TYPE_CHECKING:
    from research.store.store import Store

_SPRINTS = 5
_RUNNING = 10


@final
class SprintLine(Record):
    """One sprint as the overview shows it."""

    id: int
    number: int | None
    goal: str
    status: str
    experiments: dict[str, int]
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
    experiments: dict[str, int] = {}
    """status -> how many; `queued` ones wait for task=run"""
    trials: dict[str, int] = {}
    disturbed: int = 0
    """of the finished trials, those of which a busy machine disturbed a window"""
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
            "trials": (_counted(self.trials) or "none")
            + (f" ({self.disturbed} disturbed)" if self.disturbed else ""),
            "experiments": _counted(self.experiments) or "none",
            "queue": f"{self.experiments.get('queued', 0)} queued for task=run",
            "budget": ", ".join(f"{k} {v:g}" for k, v in self.budget.items() if v is not None) or "no limit",
            "spent": self._spent(),
        }
        return "\n".join([*pairs(head), *self._sprints(), *self._running()])

    def _spent(self) -> str:
        if self.spent is None:
            return ""
        dollars = "" if not self.spent.dollars else f", ${self.spent.dollars:.4f}"
        return f"{self.spent.trials} trials, {self.spent.joules:.4g} J{dollars} by {self.spent.campaign}"

    def _sprints(self) -> list[str]:
        rows = [
            (str(one.id), one.status, _counted(one.experiments) or "-", short(one.goal, 60))
            for one in self.sprints
        ]
        return ["", *table(("sprint", "status", "experiments", "goal"), rows)] if rows else []

    def _running(self) -> list[str]:
        rows = [(str(one.id), f"{one.seconds:.0f}", " ".join(one.overrides)) for one in self.running]
        return ["", *table(("trial", "for s", "overrides"), rows)] if rows else []


def status(desk: Desk, budget: dict[str, float | None]) -> Status:
    """Count what is in the database; a database that is not there yet is not made."""
    if not desk.exists:
        return Status(store=desk.address, exists=False, budget=budget)
    store = desk.store
    return Status(
        store=desk.address,
        exists=True,
        sprints=_sprints(store),
        experiments=_counts(store, "experiment"),
        trials=_trials(store),
        disturbed=_disturbed(store),
        running=_running(store),
        spent=_spent(store),
        budget=budget,
    )


def _counts(store: "Store", name: str) -> dict[str, int]:
    import sqlalchemy as sa

    from research.store import schema

    column = schema.metadata.tables[name].c.status
    with store.read() as connection:
        found = connection.execute(sa.select(column, sa.func.count()).group_by(column))
        return {str(status): int(count) for status, count in sorted(map(tuple, found))}


def _trials(store: "Store") -> dict[str, int]:
    import sqlalchemy as sa

    from research.store.schema import spoken, trial

    word = spoken().label("word")
    with store.read() as connection:
        found = connection.execute(sa.select(word, sa.func.count(trial.c.id)).group_by(word))
        return dict(sorted((str(row[0]), int(row[1])) for row in found))


def _disturbed(store: "Store") -> int:
    import sqlalchemy as sa

    from research.store.schema import trial

    # As text, which is how both databases hold it: to read every trial's facts would cost seconds.
    held = sa.type_coerce(trial.c.facts, sa.Text).like('%"disturbed": {"%')
    with store.read() as connection:
        query = sa.select(sa.func.count(trial.c.id)).where(trial.c.status == "done", held)
        return int(connection.execute(query).scalar_one())


def _sprints(store: "Store") -> tuple[SprintLine, ...]:
    import sqlalchemy as sa

    from research.store.schema import experiment, sprint

    with store.read() as connection:
        newest = connection.execute(sa.select(sprint).order_by(sprint.c.id.desc()).limit(_SPRINTS))
        rows = [dict(row) for row in newest.mappings()]
        c = experiment.c
        query = sa.select(c.sprint_id, c.status, sa.func.count()).group_by(c.sprint_id, c.status)
        ids = [row["id"] for row in rows]
        counts: dict[int, dict[str, int]] = {}
        for owner, state, count in connection.execute(query.where(c.sprint_id.in_(ids))):
            counts.setdefault(owner, {})[state] = count
    return tuple(_line(row, counts.get(row["id"], {})) for row in rows)


def _line(row: Mapping[str, Any], counts: dict[str, int]) -> SprintLine:
    return SprintLine(
        id=row["id"],
        number=row["facts"].get("number"),
        goal=row["goal"],
        status=row["status"],
        experiments=dict(sorted(counts.items())),
        folder=row["folder"],
    )


def _running(store: "Store") -> tuple[RunningTrial, ...]:
    import sqlalchemy as sa

    from research.store.schema import clock, trial

    c = trial.c
    query = sa.select(c.id, c.overrides, (clock() - c.started).label("seconds"))
    query = query.where(c.status == "running").order_by(c.id.desc()).limit(_RUNNING)
    with store.read() as connection:
        rows = list(connection.execute(query))
    return tuple(RunningTrial(id=row.id, overrides=row.overrides, seconds=row.seconds) for row in rows)


def _spent(store: "Store") -> Spent | None:
    """What the campaign of the newest sprint trained and asked for, by its rows."""
    import sqlalchemy as sa

    from research.store.schema import FINAL, interaction, metric, sprint, trial

    with store.read() as connection:
        newest = connection.execute(sa.select(sprint.c.facts).order_by(sprint.c.id.desc()).limit(1)).scalar()
        if not newest or "campaign" not in newest:
            return None
        name = str(newest["campaign"])
        own = trial.c.sweep == name
        count = connection.execute(sa.select(sa.func.count()).select_from(trial).where(own)).scalar_one()
        joules = sa.select(sa.func.sum(metric.c.value)).join(trial, trial.c.id == metric.c.trial_id)
        taken = (metric.c.key == "train/energy_j") & (metric.c.point == FINAL)
        total = connection.execute(joules.where(own, taken)).scalar()
        rows = list(connection.execute(sa.select(sprint.c.id, sprint.c.facts)))
        ids = [row.id for row in rows if row.facts.get("campaign") == name]
        paid = sa.select(interaction.c.dollars).where(interaction.c.sprint_id.in_(ids))
        dollars = [row.dollars for row in connection.execute(paid)]
    known = None if None in dollars else sum(dollars)
    lost = sum(spent.get("train/energy_j", 0.0) for spent in store.lost(name).values())
    return Spent(campaign=name, trials=count, joules=(total or 0.0) + lost, dollars=known)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items())

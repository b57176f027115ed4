"""Forgetting on request: sprints with all that hangs on them, and trials only where that is asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, final

import sqlalchemy as sa

from refusal import Refusal
from research.store import leases
from research.store.queries import gone
from research.store.schema import (
    attempt,
    batches,
    episode,
    insight,
    interaction,
    metric,
    proposal,
    review,
    sprint,
    trial,
)
from research.store.states import OPEN
from research.store.store import Store
from research.types import Record

_STAGES = ("screened", "promoted", "confirmed")


@final
class Forget(Record):
    """What to forget: everything that matches all that is given; nothing given is refused."""

    goal: str | None = None
    """the whole text of a goal"""
    campaign: str | None = None
    ids: tuple[int, ...] = ()
    """of sprints"""
    before: float | None = None
    """seconds since 1970: everything that is older, with or without a sprint"""
    trials: bool = False
    """also the trials: those that nothing which stays rests on"""


@final
class Forgotten(Record):
    """What was forgotten, or would be: ids by table."""

    sprints: tuple[int, ...] = ()
    proposals: tuple[int, ...] = ()
    insights: tuple[int, ...] = ()
    interactions: tuple[int, ...] = ()
    reviews: tuple[int, ...] = ()
    trials: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    """trials that something which stays rests on, or that have not ended: they stay too"""
    cut: tuple[str, ...] = ()
    """rows that stay and lost a reference to what was forgotten, for example `proposal 7`"""
    folders: tuple[str, ...] = ()
    """of forgotten sprints and trials: their files are left where they are"""
    dry_run: bool = False


def forget(store: Store, asked: Forget, *, dry_run: bool = False) -> Forgotten:
    """Delete what matches in one transaction and return what went; with `dry_run` what would go.

    A row that stays and named one that goes loses the name (the parent of a proposal, a citation); a trial on
    which one that stays rests is kept, such as the teacher of another.

    Raises `Refusal` when nothing was named, or a sprint is running.
    """
    if asked.goal is None and asked.campaign is None and not asked.ids and asked.before is None:
        raise Refusal("Say what to forget: a goal, a campaign, ids of sprints, or everything before a date.")
    with store.read() if dry_run else store.write() as connection:
        plan = _Plan(connection, asked)
        if not dry_run:
            plan.carry_out()
        return plan.told.model_copy(update={"dry_run": dry_run})


@final
class _Plan:
    """Which rows go, and which of those that stay lose a reference."""

    def __init__(self, connection: sa.Connection, asked: Forget) -> None:
        self._connection, self._asked = connection, asked
        sprints = [row for row in self._all(sprint) if self._matches(row)]
        held = leases.holders(connection)
        running = [row.id for row in sprints if leases.of_sprint(row) in held]
        if running:
            raise Refusal(f"Sprint {running[0]} is running: stop it before it is forgotten.")
        self._sprints = {row.id for row in sprints}
        self._proposals = {row.id for row in self._all(proposal) if self._hangs(row)}
        taken = [number for number in sorted(self._proposals) if f"proposal {number}" in held]
        if taken:
            raise Refusal(f"Proposal {taken[0]} is run by a task=run: stop it before it is forgotten.")
        self._insights = {row.id for row in self._all(insight) if self._goes(row)}
        self._whole = {row.facts.get("campaign") for row in sprints} - {
            row.facts.get("campaign") for row in self._all(sprint) if row.id not in self._sprints
        }
        self._folders = {row.folder for row in sprints}
        self._trials, kept = self._doomed_trials() if asked.trials else (set(), set())
        c = interaction.c
        exchanges = connection.execute(sa.select(c.id, c.created, c.sprint_id))
        self._gone: dict[sa.Table, set[int]] = {
            review: {row.id for row in self._all(review) if row.proposal_id in self._proposals},
            insight: self._insights,
            interaction: {row.id for row in exchanges if self._hangs(row)},
            proposal: self._proposals,
            sprint: self._sprints,
            trial: self._trials,
        }
        self._cuts = dict(self._references())
        self.told = Forgotten.model_validate(
            {f"{table.name}s": sorted(ids) for table, ids in self._gone.items()}
            | {
                "kept": sorted(kept),
                "cut": [f"proposal {number}" for number in self._cuts],
                "folders": sorted(filter(None, self._folders)),
            }
        )

    def _all(self, table: sa.Table) -> Sequence[Any]:
        return self._connection.execute(sa.select(table).order_by(table.c.id)).all()

    def _matches(self, row: Any) -> bool:
        asked = self._asked
        return (
            (asked.goal is None or row.goal == asked.goal)
            and (asked.campaign is None or row.facts.get("campaign") == asked.campaign)
            and (not asked.ids or row.id in asked.ids)
            and (asked.before is None or row.created < asked.before)
        )

    def _hangs(self, row: Any) -> bool:
        """Whether a row goes with its sprint, or is old and has none when everything old is asked for."""
        return row.sprint_id in self._sprints or (row.sprint_id is None and self._is_old(row.created))

    def _goes(self, row: Any) -> bool:
        return self._hangs(row) or row.proposal_id in self._proposals

    def _is_old(self, created: float) -> bool:
        asked = self._asked
        named = asked.goal is not None or asked.campaign is not None or asked.ids
        return not named and asked.before is not None and created < asked.before

    def _doomed_trials(self) -> tuple[set[int], set[int]]:
        """Trials that go, and those that would but for a row that stays."""
        wanted, needed = set[int](), set[int]()
        for row in self._all(proposal):
            (wanted if row.id in self._proposals else needed).update(_trials_of(row.facts))
        for row in self._all(insight):
            told = row.insight["verdict"]["trial_ids"]
            (wanted if row.id in self._insights else needed).update(map(int, told))
        c = trial.c
        columns = (c.id, c.started, c.status, c.sweep, c.folder)
        rows = {row.id: row for row in self._connection.execute(sa.select(*columns))}
        # What is large is looked at row by row, and not kept.
        told = self._connection.execute(sa.select(c.id, c.facts, c.config))
        taught = {row.id: teacher for row in told if (teacher := _teacher_of(row)) is not None}
        named = {n for n, row in rows.items() if row.sweep is not None and row.sweep in self._whole}
        wanted = {n for n in rows if n in wanted | named or self._is_old(rows[n].started)}
        needed |= {n for n in wanted if rows[n].status in OPEN} - gone(connection=self._connection).keys()
        stays = rows.keys() - (wanted - needed)
        while lessons := {taught[n] for n in stays & taught.keys()} - stays:
            stays |= lessons
        self._folders |= {rows[n].folder for n in wanted - stays}
        return wanted - stays, wanted & stays

    def _references(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Proposals that stay and name a row that goes, as they are then."""
        gone = {f"insight {n}" for n in self._insights} | {f"trial {n}" for n in self._trials}
        # As they are cited, also in rows of a time that called a proposal `experiment`.
        gone |= {f"{kind} {n}" for n in self._proposals for kind in ("proposal", "experiment")}
        for row in self._all(proposal):
            if row.id in self._proposals:
                continue
            told = dict(row.proposal)
            if told.get("parent") in self._proposals:
                told["parent"] = None
            told["cites"] = [cited for cited in told.get("cites") or () if cited not in gone]
            if told != {"cites": [], **row.proposal}:
                yield row.id, told

    def carry_out(self) -> None:
        """Delete, what refers to others first."""
        for number, told in self._cuts.items():
            self._connection.execute(sa.update(proposal).where(proposal.c.id == number).values(proposal=told))
        for table in (trial, proposal, insight):
            self._delete(episode.c[f"{table.name}_id"], self._gone[table])
        for column in (metric.c.trial_id, attempt.c.trial_id):
            self._delete(column, self._trials)
        for table, ids in self._gone.items():
            self._delete(table.c.id, ids)

    def _delete(self, column: sa.Column[Any], ids: Iterable[int]) -> None:
        for some in batches(sorted(ids)):
            self._connection.execute(sa.delete(column.table).where(column.in_(some)))


def _teacher_of(row: Any) -> int | None:
    """The trial that taught this one, or is to teach it."""
    return _number(row.facts, "teacher", "trial") or _number(
        row.config, "compress", "distill", "teacher", "run"
    )


def _number(node: Any, *path: str) -> int | None:
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node if isinstance(node, int) else None


def _trials_of(facts: Mapping[str, Any]) -> list[int]:
    return [int(number) for stage in _STAGES for number in facts.get(stage) or ()]

"""What trials of the past were and measured: the ground of lessons, of what was best elsewhere, of doubts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import sqlalchemy as sa

from research.database.schema import episode, trial
from research.episodes.reading import figures
from research.store import Store
from research.types import STOPPED

NO_FAILURE = (STOPPED, "interrupted", "refused")
"""beginnings of reasons that say nothing against a configuration: it was ended, or never started"""


@final
@dataclass(frozen=True)
class Run:
    """One trial that ended."""

    id: int
    task: str | None
    overrides: tuple[str, ...]
    """sorted, without seed, data and what changes no result"""
    seed: int
    failed: bool
    figures: Mapping[str, float]
    hardware: str


def runs(
    store: Store, keys: Sequence[str], *, task: str | None = None, but: str | None = None, most: int = 4000
) -> list[Run]:
    """The newest trials that ended, oldest first, with these figures: of one task, or of all `but` one."""
    c, e = trial.c, episode.c
    wanted = [e.task == task] if task is not None else [e.task.is_not(None)]
    wanted += [e.task != but] if but is not None else []
    asked = (
        sa.select(c.id, e.task, e.overrides, c.seed, c.status, c.reason, c.hardware)
        .select_from(episode.join(trial, e.trial_id == c.id))
        .where(c.status != "running", *wanted)
        .order_by(e.id.desc())
        .limit(most)
    )
    with store.read() as connection:
        rows = {row.id: row for row in connection.execute(asked) if counts(row.status, row.reason)}
        measured = figures(connection, rows, keys)
    return [
        Run(
            number,
            row.task,
            tuple(row.overrides),
            row.seed,
            row.status == "failed",
            measured.get(number, {}),
            row.hardware,
        )
        for number, row in sorted(rows.items())
    ]


def counts(status: str, reason: str | None) -> bool:
    """Whether how a trial ended says something of its configuration."""
    return status == "done" or (status == "failed" and not (reason or "").startswith(NO_FAILURE))


def configs(store: Store, most: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """Resolved configs of the newest trials that ended, oldest first, and whether each failed."""
    c = trial.c
    asked = sa.select(c.config, c.status, c.reason).where(c.status != "running").order_by(c.id.desc())
    with store.read() as connection:
        rows = [
            (row.config, row.status == "failed")
            for row in connection.execute(asked.limit(most))
            if counts(row.status, row.reason)
        ]
    yield from reversed(rows)

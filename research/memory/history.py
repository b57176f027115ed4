"""What trials of the past were and measured: the ground of lessons, of what was best elsewhere, of doubts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import sqlalchemy as sa

from research.compose.override import keys_of, override
from research.memory.reading import figures, instruments
from research.space.knobs import own
from research.store.schema import episode, trial
from research.store.store import Store
from research.types import STOPPED

_AT_ONCE = 500  # SQLite and the wire limit how many values one statement may carry
NO_FAILURE = (STOPPED, "interrupted", "refused")
"""beginnings of reasons that say nothing against a configuration: it was ended, or never started"""


@final
@dataclass(frozen=True)
class Run:
    """One trial that ended."""

    id: int
    task: str | None
    overrides: tuple[str, ...]
    """sorted, without seed, data and what changes no result, knobs that did not act among it"""
    seed: int
    failed: bool
    figures: Mapping[str, float]
    hardware: str
    instrument: str = ""
    """how its clocks were taken, where figures of clocks were asked for: only equal ones are compared"""


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
        measured, taken = figures(connection, rows, keys), instruments(connection, rows, keys)
        idle = _idle(connection, {number: row.overrides for number, row in rows.items()})
    return [
        Run(
            number,
            row.task,
            tuple(one for one in row.overrides if override(one).key not in idle.get(number, ())),
            row.seed,
            row.status == "failed",
            measured.get(number, {}),
            row.hardware,
            taken.get(number, ""),
        )
        for number, row in sorted(rows.items())
    ]


def _idle(connection: sa.Connection, overrides: Mapping[int, Sequence[str]]) -> dict[int, frozenset[str]]:
    """For each trial that turned a knob which does not always act: the knobs that did not act in its config.

    Only the configs of such trials are read, which costs a tenth of a millisecond each.
    """
    sometimes = own().conditions.keys()
    asked = sorted(number for number, typed in overrides.items() if sometimes & keys_of(typed))
    found: dict[int, frozenset[str]] = {}
    for start in range(0, len(asked), _AT_ONCE):
        some = sa.select(trial.c.id, trial.c.config).where(trial.c.id.in_(asked[start : start + _AT_ONCE]))
        found |= {number: frozenset(own().idle(config)) for number, config in connection.execute(some)}
    return found


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

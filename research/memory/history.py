"""What trials of the past were and measured: the ground of lessons, of what was best elsewhere, of doubts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from research.memory.reading import figures, instruments
from research.space.knobs import own
from research.store import queries
from research.store.connection import Connection
from research.store.store import Store
from research.types import STOPPED

NO_FAILURE = (STOPPED, "interrupted", "refused")
"""beginnings of reasons that say nothing against a configuration: it was ended, or never started"""


@final
@dataclass(frozen=True)
class PastTrial:
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
) -> list[PastTrial]:
    """The newest trials that ended, oldest first, with these figures: of one task, or of all `but` one."""
    with store.read() as connection:
        asked = queries.ended(connection, task=task, but=but, most=most)
        rows = {row.id: row for row in asked if counts(row.status, row.reason)}
        measured, taken = figures(connection, rows, keys), instruments(connection, rows, keys)
        idle = _idle(connection, {number: row.overrides for number, row in rows.items()})
    return [
        PastTrial(
            number,
            row.task,
            tuple(one for one in row.overrides if _key(one) not in idle.get(number, ())),
            row.seed,
            row.status == "failed",
            measured.get(number, {}),
            row.hardware,
            taken.get(number, ""),
        )
        for number, row in sorted(rows.items())
    ]


def _idle(connection: Connection, overrides: Mapping[int, Sequence[str]]) -> dict[int, frozenset[str]]:
    """For each trial that turned a knob which does not always act: the knobs that did not act in its config.

    Only the configs of such trials are read, which costs a tenth of a millisecond each.
    """
    sometimes = own().conditions.keys()
    asked = [number for number, typed in overrides.items() if sometimes & set(map(_key, typed))]
    return {number: frozenset(own().idle(config)) for number, config in queries.configs(connection, asked)}


def _key(override: str) -> str:
    return override.partition("=")[0].strip(" +")


def counts(status: str, reason: str | None) -> bool:
    """Whether how a trial ended says something of its configuration."""
    return status == "done" or (status == "failed" and not (reason or "").startswith(NO_FAILURE))


def configs(store: Store, most: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """Resolved configs of the newest trials that ended, oldest first, and whether each failed."""
    with store.read() as connection:
        rows = queries.newest_configs(connection, most)
    yield from ((row.config, row.status == "failed") for row in rows[::-1] if counts(row.status, row.reason))

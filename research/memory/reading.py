"""From rows of the index to episodes: status, verdict and figures are read now, never from a copy."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import sqlalchemy as sa

from research.memory.records import Episode, Kind
from research.metrics import is_carbon, is_test, is_timed, screening_objective
from research.stats.comparable import instrument, sound
from research.store.schema import FINAL, experiment, insight, metric, trial
from research.types import Objective, Result

_SHOWN = (
    "val/accuracy",
    "val/loss",
    "val/bits_per_byte",
    "train/energy_j",
    "train/seconds",
    "size/parameters",
)
_LONGEST = 600
_AT_ONCE = 500  # SQLite and the wire limit how many values one statement may carry


def _within(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, expanding=True)


# Written once as text: putting a statement together costs more than running it.
_ROWS = sa.text(
    "SELECT id, trial_id, experiment_id, insight_id, task, metric, overrides, terms FROM episode "
    "WHERE id IN :ids ORDER BY id DESC"
).bindparams(_within("ids"))
_TRIALS = sa.select(trial.c.id, trial.c.status, trial.c.reason).where(trial.c.id.in_(_within("ids")))
_FACTS = sa.select(trial.c.id, trial.c.facts).where(trial.c.id.in_(_within("ids")))
_EXPERIMENTS = sa.select(
    experiment.c.id, experiment.c.proposal, experiment.c.status, experiment.c.facts
).where(experiment.c.id.in_(_within("ids")))
_INSIGHTS = sa.select(insight.c.id, insight.c.word, insight.c.experiment_id).where(
    insight.c.id.in_(_within("ids"))
)
_FIGURES = sa.select(metric.c.trial_id, metric.c.key, metric.c.value).where(
    metric.c.trial_id.in_(_within("ids")),
    metric.c.point == FINAL,
    metric.c.key.in_(_within("keys")),
    metric.c.value.is_not(None),
)


@final
@dataclass(frozen=True)
class Found:
    """One row of the index."""

    id: int
    kind: Kind
    number: int
    """id of the trial, experiment or insight"""
    task: str | None
    metric: str | None
    overrides: tuple[str, ...]
    terms: str
    """what it is found by, separated by blanks"""


Configuration = tuple[float, Found, Sequence[int]]
"""relevance, the row that tells of it, and further trials"""


def rows(connection: sa.Connection, ids: Iterable[int]) -> list[Found]:
    """The index rows with these ids, newest first."""
    wanted = sorted(set(ids))
    return [found(row) for row in connection.execute(_ROWS, {"ids": wanted})] if wanted else []


def found(row: Any) -> Found:
    """A row as `research.store.episodes.matching` gives it."""
    number, trial_id, experiment_id, insight_id, task, measured, overrides, terms = row
    kind: Kind = "insight" if insight_id else "experiment" if experiment_id else "trial"
    about = insight_id or experiment_id or trial_id
    return Found(number, kind, about, task, measured, tuple(json.loads(overrides)), terms)


def told(
    connection: sa.Connection, chosen: Sequence[Configuration], objective: Objective | None
) -> list[Episode]:
    """The episodes of index rows, each with further trials of the same configuration."""
    about = _Told(connection, [row for _, row, _ in chosen])
    ids = [tuple(dict.fromkeys([*about.trials(row), *also])) for _, row, also in chosen]
    keys = shown(objective)
    known = {one for some in ids for one in some}
    measured, taken = figures(connection, known, keys), instruments(connection, known, keys)
    return [
        Episode(
            id=f"{row.kind} {row.number}",
            kind=row.kind,
            task=row.task,
            overrides=row.overrides,
            word=about.word(row),
            figures=_means({one: measured[one] for one in own if one in measured}, keys, taken),
            said=about.said(row)[:_LONGEST],
            trial_ids=own,
            relevance=round(relevance, 4),
        )
        for (relevance, row, _), own in zip(chosen, ids, strict=True)
    ]


def shown(objective: Objective | None) -> tuple[str, ...]:
    """The metrics that may be told of an episode: never one of the test split."""
    if objective is None:
        return _SHOWN
    watched = screening_objective(objective)
    own = (watched.metric, *(bound.metric for bound in watched.constraints))
    return tuple(key for key in dict.fromkeys([*own, *_SHOWN]) if not is_test(key))


def figures(
    connection: sa.Connection, ids: Iterable[int], keys: Sequence[str]
) -> dict[int, dict[str, float]]:
    """Trial -> its final figures among `keys`, without those that are not a number or were disturbed."""
    found: dict[int, dict[str, float]] = {}
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _AT_ONCE):
        asked = {"ids": wanted[start : start + _AT_ONCE], "keys": list(keys)}
        for number, key, value in connection.execute(_FIGURES, asked):
            found.setdefault(number, {})[key] = value
    timed = found if any(map(is_timed, keys)) else {}
    told = {
        number: Result(trial_id=number, metrics=found[number], facts=facts)
        for number, facts in facts_of(connection, timed).items()
    }
    return found | {number: sound(one) for number, one in told.items()}


def instruments(connection: sa.Connection, ids: Iterable[int], keys: Sequence[str]) -> dict[int, str]:
    """Trial -> how its clocks were taken, where a clock takes any of `keys`: only equal ones are compared."""
    if not any(map(is_timed, keys)):
        return {}
    carbon = any(map(is_carbon, keys))
    found = {}
    for number, facts in facts_of(connection, ids).items():
        grid = (facts.get("energy") or {}).get("grid_g_per_kwh") if carbon else None
        taken = instrument(Result(trial_id=number, metrics={}, facts=facts))
        found[number] = f"{taken} {facts.get('threads')} {grid}"
    return found


def facts_of(connection: sa.Connection, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Trial -> its facts; about 20 us each."""
    found: dict[int, dict[str, Any]] = {}
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _AT_ONCE):
        found |= {
            row.id: row.facts for row in connection.execute(_FACTS, {"ids": wanted[start : start + _AT_ONCE]})
        }
    return found


def _means(
    measured: Mapping[int, Mapping[str, float]], keys: Sequence[str], taken: Mapping[int, str]
) -> dict[str, float]:
    """Means over trials; what a clock takes over those of the newest one's instrument."""
    last = taken.get(max(measured, default=0))
    alike = {number for number in measured if taken.get(number) == last}
    columns = {
        key: [one[key] for n, one in measured.items() if key in one and (n in alike or not is_timed(key))]
        for key in keys
    }
    return {key: statistics.fmean(values) for key, values in columns.items() if values}


def chose(facts: Mapping[str, Any]) -> list[int]:
    """Trials by which an experiment was chosen: those of its confirmation judged it and are left out."""
    return [int(one) for stage in ("screened", "promoted") for one in facts.get(stage) or ()]


@final
class _Told:
    """What the rows behind some episodes say now: three statements, whatever their number."""

    def __init__(self, connection: sa.Connection, found: Sequence[Found]) -> None:
        by: dict[str, set[int]] = {"trial": set(), "experiment": set(), "insight": set()}
        for one in found:
            by[one.kind].add(one.number)
        self._insights = _by_id(connection, _INSIGHTS, by["insight"])
        linked = {row.experiment_id for row in self._insights.values()} - {None}
        self._experiments = _by_id(connection, _EXPERIMENTS, by["experiment"] | linked)
        self._trials = _by_id(connection, _TRIALS, by["trial"])

    def word(self, found: Found) -> str:
        """The verdict of an insight, the status of anything else."""
        if found.kind == "insight":
            return str(self._insights[found.number].word)
        rows = self._trials if found.kind == "trial" else self._experiments
        return str(rows[found.number].status)

    def said(self, found: Found) -> str:
        """The hypothesis or the reason of a failure; an insight's claim quotes figures of the test split."""
        if found.kind == "trial":
            return self._trials[found.number].reason or ""
        row = self._experiment(found)
        if row is None:
            return ""
        reasons = "; ".join(str(one) for one in row.facts.get("reasons") or ())
        return str(row.proposal["hypothesis"]) + (f" ({reasons})" if reasons else "")

    def trials(self, found: Found) -> list[int]:
        """The trials by which it was chosen."""
        if found.kind == "trial":
            return [found.number]
        row = self._experiment(found)
        return [] if row is None else chose(row.facts)

    def _experiment(self, found: Found) -> Any:
        if found.kind == "experiment":
            return self._experiments[found.number]
        return self._experiments.get(self._insights[found.number].experiment_id)


def _by_id(connection: sa.Connection, statement: Any, ids: set[int]) -> dict[int, Any]:
    return {row.id: row for row in connection.execute(statement, {"ids": sorted(ids)})} if ids else {}

"""From rows of the index to episodes: status, verdict and figures are read now, never from a copy."""

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

from research.compose.override import keys_of, override
from research.metrics import is_carbon, is_test, is_timed, screening_objective
from research.space.knobs import own
from research.stats.comparable import instrument, sound
from research.store import faults, queries
from research.store.connection import Connection
from research.store.index import turned
from research.store.states import BROKEN
from research.store.store import Store
from research.types import Objective, Record, Result

Kind = Literal["insight", "proposal", "trial"]


@final
class Episode(Record):
    """One configuration that was proposed or run before, as its rows tell it now: no test figures."""

    id: str
    """what a proposal cites it by: `insight 3`, `proposal 12` or `trial 40`"""
    kind: Kind
    task: str | None
    overrides: tuple[str, ...]
    word: str
    """the verdict where there is one, else the status: supported, refuted, open, screened, failed, done"""
    figures: dict[str, float] = {}
    """means over the trials that chose it: costs, and scores of the validation split"""
    said: str = ""
    """the hypothesis, or why the trial failed: untrusted text"""
    trial_ids: tuple[int, ...] = ()
    relevance: float = 0.0
    """what the retrieval made of it, higher is closer; comparable within one answer only"""


NOTHING_CAME = frozenset(
    (
        *("queued", "proposed", "running", "dropped", "refused", "repeat", "interrupted", "waiting"),
        *("infrastructure", "lost", "hung", "timeout"),
    )
)
"""words of episodes of which nothing came: what waits or was never run teaches nothing"""


_SHOWN = (
    "val/accuracy",
    "val/loss",
    "val/bits_per_byte",
    "train/energy_j",
    "train/seconds",
    "size/parameters",
)
_LONGEST, _NEWEST = 600, 4000
"""characters that an episode says, and trials that are read"""


@final
@dataclass(frozen=True)
class IndexRow:
    """One row of the index."""

    id: int
    kind: Kind
    number: int
    """id of the trial, proposal or insight"""
    task: str | None
    metric: str | None
    overrides: tuple[str, ...]
    terms: str
    """what it is found by, separated by blanks"""


Configuration = tuple[float, IndexRow, Sequence[int]]
"""relevance, the row that tells of it, and further trials"""


def rows(connection: Connection, ids: Iterable[int]) -> list[IndexRow]:
    """The index rows with these ids, newest first."""
    return [found(row) for row in queries.episodes(connection, ids)]


def found(row: Any) -> IndexRow:
    """A row as `research.store.index.matching` gives it."""
    number, trial_id, proposal_id, insight_id, task, measured, overrides, terms = row
    kind: Kind = "insight" if insight_id else "proposal" if proposal_id else "trial"
    about = insight_id or proposal_id or trial_id
    return IndexRow(number, kind, about, task, measured, tuple(json.loads(overrides)), terms)


def told(
    connection: Connection, chosen: Sequence[Configuration], objective: Objective | None
) -> list[Episode]:
    """The episodes of index rows, each with further trials of the same configuration."""
    said = _said(connection, [row for _, row, _ in chosen])
    ids = [tuple(dict.fromkeys([*own[2], *also])) for own, (_, _, also) in zip(said, chosen, strict=True)]
    keys = shown(objective)
    known = {number for some in ids for number in some}
    measured, taken = figures(connection, known, keys), instruments(connection, known, keys)
    return [
        Episode(
            id=f"{row.kind} {row.number}",
            kind=row.kind,
            task=row.task,
            overrides=row.overrides,
            word=word,
            figures=_means({number: measured[number] for number in own if number in measured}, keys, taken),
            said=text[:_LONGEST],
            trial_ids=own,
            relevance=round(relevance, 4),
        )
        for (relevance, row, _), own, (word, text, _) in zip(chosen, ids, said, strict=True)
    ]


def shown(objective: Objective | None) -> tuple[str, ...]:
    """The metrics that may be told of an episode: never one of the test split."""
    if objective is None:
        return _SHOWN
    own = screening_objective(objective).metrics
    return tuple(key for key in dict.fromkeys([*own, *_SHOWN]) if not is_test(key))


def figures(connection: Connection, ids: Iterable[int], keys: Sequence[str]) -> dict[int, dict[str, float]]:
    """Trial -> its final figures among `keys`, without those that are not a number or were disturbed."""
    measured = queries.figures(connection, ids, keys)
    if not any(map(is_timed, keys)):
        return measured
    facts = queries.facts(connection, measured)
    return {
        number: sound(Result(trial_id=number, metrics=own, facts=facts[number]))
        for number, own in measured.items()
    }


def instruments(connection: Connection, ids: Iterable[int], keys: Sequence[str]) -> dict[int, str]:
    """Trial -> how its clocks were taken, where a clock takes any of `keys`: only equal ones are compared."""
    if not any(map(is_timed, keys)):
        return {}
    carbon = any(map(is_carbon, keys))
    taken_by = {}
    for number, facts in queries.facts(connection, ids).items():
        grid = (facts.get("energy") or {}).get("grid_g_per_kwh") if carbon else None
        taken = instrument(Result(trial_id=number, metrics={}, facts=facts))
        taken_by[number] = f"{taken} {facts.get('threads')} {grid}"
    return taken_by


def _means(
    measured: Mapping[int, Mapping[str, float]], keys: Sequence[str], taken: Mapping[int, str]
) -> dict[str, float]:
    """Means over trials; what a clock measured only over trials of the newest trial's instrument."""
    last = taken.get(max(measured, default=0))
    alike = {number for number in measured if taken.get(number) == last}
    means = {}
    for key in keys:
        own = [figures for n, figures in measured.items() if n in alike or not is_timed(key)]
        if values := [figures[key] for figures in own if key in figures]:
            means[key] = statistics.fmean(values)
    return means


def chose(facts: Mapping[str, Any]) -> list[int]:
    """Trials by which a proposal was chosen: those of its confirmation judged it and are left out."""
    return [int(number) for stage in ("screened", "promoted") for number in facts.get(stage) or ()]


def _said(connection: Connection, rows: Sequence[IndexRow]) -> list[tuple[str, str, list[int]]]:
    """What the rows behind some episodes say now: the word, a text, and the trials by which each was chosen.

    Three statements, whatever their number. An insight's claim quotes figures of the test split, so the
    hypothesis of its proposal is told.
    """
    by = {kind: {row.number for row in rows if row.kind == kind} for kind in get_args(Kind)}
    insights = queries.told(connection, "insight", by["insight"])
    linked = {row.proposal_id for row in insights.values()} - {None}
    proposals = queries.told(connection, "proposal", by["proposal"] | linked)
    trials = queries.told(connection, "trial", by["trial"])

    def one(about: IndexRow) -> tuple[str, str, list[int]]:
        if about.kind == "trial":
            trial = trials[about.number]
            word = _came(trial.reason) if trial.status in BROKEN else str(trial.status)
            return word, trial.reason or "", [about.number]
        insight = insights[about.number] if about.kind == "insight" else None
        row: Any = proposals.get(insight.proposal_id if insight else about.number)
        word = str(insight.word if insight else row.status)
        if row is None:
            return word, "", []
        reasons = "; ".join(map(str, row.facts.get("reasons") or ()))
        text = str(row.proposal["hypothesis"]) + (f" ({reasons})" if reasons else "")
        return word, text, chose(row.facts)

    return list(map(one, rows))


def _came(reason: str | None) -> str:
    """What came of a failed trial: `failed` only where that says something against its configuration."""
    fault = faults.of(reason)
    if fault is not None:
        return "failed" if faults.POLICIES[fault].teaches else fault
    return next((word for word in faults.NO_FAULT if (reason or "").startswith(word)), "failed")


@final
@dataclass(frozen=True)
class PastTrial:
    """One trial that ended."""

    id: int
    task: str | None
    overrides: tuple[str, ...]
    """sorted, without the seed, the data, what changes no result, and knobs that did not act"""
    seed: int
    failed: bool
    figures: Mapping[str, float]
    hardware: str
    instrument: str = ""
    """how its clocks were taken, where figures of clocks were asked for: only equal ones are compared"""


def runs(
    store: Store, keys: Sequence[str], *, task: str | None = None, but: str | None = None
) -> list[PastTrial]:
    """The newest trials that ended, oldest first, with these figures: of one task, or of all `but` one."""
    with store.read() as connection:
        asked = queries.ended(connection, task=task, but=but, most=_NEWEST)
        rows = {row.id: row for row in asked if counts(row.status, row.reason)}
        measured, taken = figures(connection, rows, keys), instruments(connection, rows, keys)
        typed = {number: turned(row.overrides) for number, row in rows.items()}
        idle = _idle(connection, typed)
    return [
        PastTrial(
            number,
            row.task,
            tuple(text for text in typed[number] if override(text).key not in idle.get(number, ())),
            row.seed,
            row.status in BROKEN,
            measured.get(number, {}),
            row.hardware,
            taken.get(number, ""),
        )
        for number, row in sorted(rows.items())
    ]


def _idle(connection: Connection, overrides: Mapping[int, Sequence[str]]) -> dict[int, frozenset[str]]:
    """The knobs that did not act, of each trial that turned one which does not always act."""
    sometimes = own().conditions.keys()
    asked = [number for number, typed in overrides.items() if sometimes & keys_of(typed)]
    return {number: frozenset(own().idle(config)) for number, config in queries.configs(connection, asked)}


def counts(status: str, reason: str | None) -> bool:
    """Whether how a trial ended says something of its configuration."""
    return status == "done" or (status in BROKEN and _came(reason) == "failed")


def configs(store: Store, most: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """Resolved configs of the newest trials that ended, oldest first, and whether each failed."""
    with store.read() as connection:
        rows = queries.newest_configs(connection, most)
    yield from ((row.config, row.status in BROKEN) for row in rows[::-1] if counts(row.status, row.reason))

"""What sprints have used, the language model included, read from the rows of their trials and questions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from research.report.findings import STAGES, Findings, ids, number_of
from research.store.states import FAILED
from research.types import Result, SprintFacts


@final
@dataclass(frozen=True)
class Cost:
    """What the search itself used; None where nothing tells it."""

    trials: int
    stopped: int
    """ended early because they could not win"""
    failed: int
    known: int
    joules: float
    seconds: float
    calls: int
    tokens: int
    dollars: float | None
    model_joules: float
    model_unknown: int
    """calls of the model whose joules nobody knows"""
    stepped: float | None
    """share of its trials' CPU seconds that were steps"""


def used(found: Findings) -> Cost:
    """What these sprints cost, over all runs of the same command."""
    own, sweep = {row["id"] for row in found.runs}, str(found.told.campaign)
    ran = [trial for trial in found.store.trials(sweep=sweep) if _sprint_at(found, trial.started) in own]
    results, keys = found.store.results([trial.id for trial in ran]), {trial.key for trial in ran}
    lost = [figures for key, figures in found.store.lost(sweep).items() if key in keys]
    known = {number for row in found.experiments for stage in STAGES for number in ids(row, stage)}
    ends = [trial.status == "stopped" for trial in ran if trial.status in FAILED]
    calls = found.interactions
    dollars = [row["dollars"] for row in calls]
    return Cost(
        trials=len(results),
        stopped=sum(ends),
        failed=len(ends) - sum(ends),
        known=len(known - {trial.id for trial in ran}),
        joules=sum(result.metrics.get("train/energy_j", 0.0) for result in results.values())
        + sum(figures.get("train/energy_j", 0.0) for figures in lost)
        + (found.total("pruned", "lost_joules") or 0.0),
        seconds=_seconds(found),
        calls=len(calls),
        tokens=sum((row["tokens_in"] or 0) + (row["tokens_out"] or 0) for row in calls),
        dollars=None if None in dollars else sum(dollars),
        model_joules=sum(row["joules"] or 0.0 for row in calls),
        model_unknown=sum(row["joules"] is None for row in calls),
        stepped=_stepped(results.values()),
    )


def _sprint_at(found: Findings, moment: float) -> int:
    """The sprint that a trial begun then is of: each begins when the one before has ended."""
    began = sorted((row["created"], row["id"]) for row in found.all_runs)
    return int(next((number for start, number in reversed(began) if start <= moment), began[0][1]))


def _seconds(found: Findings) -> float:
    """By the clock, which goes on from sprint to sprint until the command is typed again."""
    first = min(map(number_of, found.sprints))
    before = [SprintFacts.of(row).seconds for row in found.all_runs if number_of(row) == first - 1]
    told, earlier = found.told.seconds, before[-1] if before else 0.0
    return told - earlier if told >= earlier else told


def _stepped(results: Iterable[Result]) -> float | None:
    """Of the processes of those that tell both; None where none does."""
    both = [
        one.metrics for one in results if {"train/cpu_seconds", "trial/cpu_seconds"} <= one.metrics.keys()
    ]
    whole = sum(metrics["trial/cpu_seconds"] for metrics in both)
    return sum(metrics["train/cpu_seconds"] for metrics in both) / whole if whole else None

"""One search on a table: what it was asked, what it has evaluated, and what came of it."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple, final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tables_data import Cell, Figures, Table  # noqa: E402

from research.metrics import rank  # noqa: E402
from research.propose.proposer import Seen  # noqa: E402
from research.types import Constraint, Objective  # noqa: E402

TOP, SLACK = 0.01, 0.005


class Question(NamedTuple):
    """What is asked of a table."""

    name: str
    objective: Objective


class Run(NamedTuple):
    """One search."""

    trials: int
    """until the top was reached; one more than it had where it was not"""
    seconds: float
    """of training until then"""
    regret: float
    cheapest: float
    """training time of the cheapest that keeps the bound, of the oracle's; NaN for `best`"""
    pick: float
    """the same of what the search would pick by its one seed"""
    feasible: float
    """whether that pick keeps the bound by its mean"""
    repeats: int
    cpu: float
    """CPU seconds of proposing"""


def questions(table: Table) -> Iterator[Question]:
    """`best` of every table, `cheap` of those with accuracies."""
    yield Question("best", Objective(metric=table.metric, direction="min" if table.sign > 0 else "max"))
    if table.metric == "val/accuracy":
        kept = Constraint(metric=table.metric, op=">=", bound=bound(table))
        yield Question("cheap", Objective(metric="train/seconds", direction="min", constraints=(kept,)))


@cache
def bound(table: Table) -> float:
    """Half a point below the 99th percentile of the accuracies."""
    scores = sorted(figures.score for figures in table.truth.values())
    return scores[int(0.99 * len(scores))] - SLACK


@final
@dataclass
class Search:
    """What one run has evaluated, in order."""

    table: Table
    question: Question
    seed: int
    done: dict[Cell, Figures] = field(default_factory=dict)
    repeats: int = 0

    def seen(self, overrides: Sequence[str], proposer: str) -> Seen:
        """Train it, or say that it is known."""
        cell = self.table.cell(overrides)
        status = "repeat" if cell in self.done else "done"
        if status == "repeat":
            self.repeats += 1
            return Seen(overrides=tuple(overrides), proposer=proposer, status="repeat", reason="a repeat")
        figures = self.done[cell] = self.table.measured(cell, self.seed)
        return Seen(overrides=tuple(overrides), proposer=proposer, status="done", metrics=self.told(figures))

    def told(self, figures: Figures) -> dict[str, float]:
        """As metrics."""
        return {self.table.metric: figures.score, "train/seconds": figures.seconds}

    def run(self, cpu: float) -> Run:
        """The figures of the whole search."""
        tops, seconds, reached = top(self.table), 0.0, len(self.done) + 1
        for place, (cell, figures) in enumerate(self.done.items(), 1):
            seconds += figures.seconds
            if cell in tops:
                reached = place
                break
        cheapest, pick, feasible = self._cheap()
        return Run(reached, seconds, self._regret(), cheapest, pick, feasible, self.repeats, cpu)

    def _regret(self) -> float:
        best, median = span(self.table)
        least = min(self.table.sign * self.table.truth[cell].score for cell in self.done)
        return (least - best) / (median - best)

    def _cheap(self) -> tuple[float, float, float]:
        if self.question.name != "cheap":
            return math.nan, math.nan, math.nan
        truth, oracle = self.table.truth, min(_feasible(self.table).values())
        kept = [truth[cell].seconds for cell in self.done if cell in _feasible(self.table)]
        dearest = max(_feasible(self.table).values())
        picked = min(self.done, key=lambda cell: rank(self.question.objective, self.told(self.done[cell])))
        return (
            min(kept, default=dearest) / oracle,
            truth[picked].seconds / oracle,
            float(picked in _feasible(self.table)),
        )


@cache
def _feasible(table: Table) -> dict[Cell, float]:
    least = bound(table)
    return {cell: figures.seconds for cell, figures in table.truth.items() if figures.score >= least}


@cache
def span(table: Table) -> tuple[float, float]:
    """The best and the median score, minimised."""
    scores = sorted(table.sign * figures.score for figures in table.truth.values())
    return scores[0], scores[len(scores) // 2]


@cache
def top(table: Table) -> frozenset[Cell]:
    """The best 1 % by their means."""
    ordered = sorted(table.truth, key=lambda cell: table.sign * table.truth[cell].score)
    return frozenset(ordered[: int(TOP * len(ordered))])

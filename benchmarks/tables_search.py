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

from research.campaign.charter import Confirm, Promote  # noqa: E402
from research.campaign.charter import Search as Ending  # noqa: E402
from research.metrics import rank  # noqa: E402
from research.propose.proposer import Seen  # noqa: E402
from research.stats.racing import Race, inside  # noqa: E402
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
    raced: float
    raced_feasible: float
    """the same of the pick of a race of the best over further seeds"""
    saved: float
    """share of the seconds that stopping by itself saves; NaN for who cannot tell"""
    lost: float
    """what the best evaluated loses by it, in points of the score, for a loss of the way from the median"""
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
    promises: dict[int, float] | None = None
    """trials -> what the coming ones promise, as `research.campaign.stopping.Worth` asks; None of a peer"""

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
        own = (self._regret(list(self.done)), *self._cheap(), *self._stopped())
        return Run(reached, seconds, *own, self.repeats, cpu)

    def _regret(self, cells: Sequence[Cell]) -> float:
        best, median = span(self.table)
        least = min(self.table.sign * self.table.truth[cell].score for cell in cells)
        return (least - best) / (median - best)

    def _stopped(self) -> tuple[float, float]:
        """What ending it at the first promise below the price saves and loses."""
        if self.promises is None:
            return math.nan, math.nan
        least = Ending().price(self.question.objective.metric) or 0.0
        trials = next((at for at, promise in self.promises.items() if promise < least), len(self.done))
        cells, spent = list(self.done), [figures.seconds for figures in self.done.values()]
        saved = 1 - sum(spent[:trials]) / sum(spent)
        if self.question.name == "cheap":
            kept = [
                [self.table.truth[cell].seconds for cell in some if cell in _feasible(self.table)]
                for some in (cells[:trials], cells)
            ]
            dearest = max(_feasible(self.table).values())
            return saved, math.log(min(kept[0], default=dearest) / min(kept[1], default=dearest))
        best, median = span(self.table)
        points = 100 * (median - best) if self.table.sign < 0 else 100
        return saved, points * (self._regret(cells[:trials]) - self._regret(cells))

    def _cheap(self) -> tuple[float, float, float, float, float]:
        if self.question.name != "cheap":
            return (math.nan,) * 5
        truth, oracle = self.table.truth, min(_feasible(self.table).values())
        kept = [truth[cell].seconds for cell in self.done if cell in _feasible(self.table)]
        dearest = max(_feasible(self.table).values())
        picked = min(self.done, key=lambda cell: rank(self.question.objective, self.told(self.done[cell])))
        return (
            min(kept, default=dearest) / oracle,
            truth[picked].seconds / oracle,
            float(picked in _feasible(self.table)),
            truth[raced := self._raced()].seconds / oracle,
            float(raced in _feasible(self.table)),
        )

    def _raced(self) -> Cell:
        """The pick of a race, as `research.campaign.promotion` runs it."""
        objective, promote = self.question.objective, Promote()
        asked = inside(objective, Confirm().margin or 0.0)
        cells = sorted(self.done, key=lambda cell: rank(asked, self.told(self.done[cell])))[: promote.arms]
        ran = [[self.told(self.done[cell])] for cell in cells]
        for _ in range(promote.trials):
            may = [place for place, own in enumerate(ran) if len(own) < self.table.seeds]
            if not may:
                break
            place = Race(objective, ran).next(may)
            ran[place].append(self.told(self.table.measured(cells[place], self.seed + len(ran[place]))))
        return cells[Race(objective, ran).order()[0]]


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

"""Which trainings cannot win any more: bars for the next trials, from the learning curves of those before."""

import math
import statistics
from collections.abc import Mapping
from typing import Any, final

from pydantic import Field

from research.objective import shortfall
from research.runner import Job
from research.store import Store
from research.types import STOPPED, Constraint, Direction, Objective, Record, Trial

_CUMULATIVE = "train/energy_j"
"""a cost that only grows while a training runs: one that has spent more than the best cannot be the best"""
_SPARE = 0.1
"""of a bound: how much further from it than any before a training may be and still go on"""


@final
class Stop(Record):
    """How early a training is ended."""

    keep: float = Field(default=0.5, gt=0, lt=1)
    """share of those that reached a rung that goes on from it"""
    rungs: tuple[float, ...] = (0.3, 0.6)
    """shares of the budget at which curves are compared"""
    enough: int = Field(default=4, ge=1)
    """curves that a rung needs before it stops any"""
    slack: float = Field(default=1.25, ge=1)
    """how many times the best's joules a training may come to: joules spread from run to run"""


@final
class Halving:
    """Bars for `models/callbacks/halving.py`, and what they saved.

    What is compared at a rung is the goal's metric where the curve has it, and the best share `keep` goes on
    (asynchronous successive halving: Li et al. 2020, arXiv 1810.05934). Where the goal is another one, a
    bound on a metric of the curve is: a training that is clearly further from its bound than any was that
    kept it in the end will not keep it. Where the goal is the training's joules, one that is about to spend
    `slack` times those of the best that keeps all bounds cannot win.
    """

    def __init__(self, objective: Objective, settings: Stop) -> None:
        self._objective, self._settings = objective, settings
        self._reached: dict[float, list[float]] = {rung: [] for rung in settings.rungs}
        self._best = math.inf
        self.trials = 0
        """trainings that were ended"""
        self.joules_saved = 0.0
        """what they would have come to at the pace of their curves, less what they used"""

    @property
    def _watched(self) -> tuple[str, Direction] | None:
        """The metric of the curve that rungs compare, and what is better."""
        asked = self._objective
        if asked.metric.startswith("val/"):
            return asked.metric, asked.direction
        bound = self._bound
        return None if bound is None else (bound.metric, "max" if bound.op == ">=" else "min")

    @property
    def _bound(self) -> Constraint | None:
        bounds = [one for one in self._objective.constraints if one.metric.startswith("val/")]
        return bounds[0] if bounds else None

    def settings(self) -> dict[str, Any] | None:
        """The callback's settings for the next trials; None while nothing can be said."""
        watched = self._watched
        bars = (
            {f"{rung:g}": self._bar(values, watched[1]) for rung, values in self._reached.items()}
            if watched
            else {}
        )
        bars = {rung: bar for rung, bar in bars.items() if bar is not None}
        joules = self._best * self._settings.slack if math.isfinite(self._best) else None
        if not bars and joules is None:
            return None
        metric, direction = watched or ("val/accuracy", "max")
        return {
            "_target_": "models.callbacks.halving.Halving",
            "metric": metric,
            "direction": direction,
            "bars": bars,
            "joules": joules,
        }

    def _bar(self, values: list[float], direction: Direction) -> float | None:
        if len(values) < self._settings.enough:
            return None
        ordered = sorted(values, reverse=direction == "max")
        if self._objective.metric.startswith("val/"):
            return ordered[max(0, math.ceil(self._settings.keep * len(ordered)) - 1)]
        return self._far(ordered, direction)

    def _far(self, ordered: list[float], direction: Direction) -> float:
        """A value from which no curve has come back to the bound; one that keeps it now is never ended."""
        assert self._bound is not None
        bound, worst = self._bound.bound, ordered[-1]
        spare = max(abs(worst - statistics.median(ordered)), _SPARE * abs(bound))
        return min(bound, worst - spare) if direction == "max" else max(bound, worst + spare)

    def learn(self, store: Store, trial_ids: list[int], means: Mapping[str, float]) -> None:
        """Take in a finished arm: the curves of its trials, and its joules where it keeps every bound."""
        feasible = all(
            shortfall(one, means.get(one.metric, math.nan)) <= 0 for one in self._objective.constraints
        )
        if feasible and (self._objective.metric, self._objective.direction) == (_CUMULATIVE, "min"):
            self._best = min(self._best, means.get(_CUMULATIVE, math.inf))
        watched = self._watched
        if watched is None or not (feasible or self._objective.metric.startswith("val/")):
            return
        for trial_id in trial_ids:
            curve = store.curve(trial_id)
            for rung in self._reached:
                if (value := _at(curve, rung, watched[0])) is not None:
                    self._reached[rung].append(value)

    def lost(self, spent: Mapping[str, float]) -> None:
        """Count a training that was ended, with the figures that it left at the rungs it reached."""
        self.trials += 1
        joules = spent.get("train/energy_j", 0.0)
        self.joules_saved += max(0.0, spent.get("projected", joules) - joules)
        if self._objective.metric.startswith("val/"):
            for rung, values in self._reached.items():
                if (value := spent.get(f"at/{rung:g}")) is not None:
                    values.append(value)

    def facts(self) -> dict[str, float]:
        """What a report says of it."""
        return {"trials": self.trials, "joules_saved": self.joules_saved}


def ends_alike(row: Trial, job: Job) -> bool:
    """Whether a failed trial would end in the same way when the job runs it again."""
    reason = row.reason or ""
    if reason.startswith(STOPPED):
        bars = [(config.get("callbacks") or {}).get("halving") for config in (row.config, job.config)]
        return bars[0] == bars[1]
    return reason.startswith("diverged")


def _at(curve: list[dict[str, float]], rung: float, metric: str) -> float | None:
    """The metric at the first point of a whole curve from a share of its steps on."""
    last = max((row["step"] for row in curve), default=0.0)
    later = [row for row in curve if last and row["step"] / last >= rung - 1e-9 and metric in row]
    value = later[0][metric] if later else math.nan
    return value if math.isfinite(value) else None

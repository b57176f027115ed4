"""Which trainings cannot win any more: bars for the next trials, from the learning curves of those before."""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

from research.campaign.charter import Stop
from research.metrics import is_validation, rank, shortfall
from research.run.runner import Job
from research.stats.comparable import SIDE_BY_SIDE_S, energy_method, sound
from research.store.store import Store
from research.types import STOPPED, Constraint, Direction, Objective, Trial

_CUMULATIVE = ("train/energy_j", "train/cpu_seconds", "train/co2_kg")
"""costs that only grow while a training runs: one that has spent more than the best cannot be the best"""
_SPARE = 0.1
"""of a bound: how much further from it than any before a training may be and still go on"""
_DRIFT = 1.1
"""times that a cap may have risen with what ended a training still ending it"""
_COLUMNS = {"cpu_second": "train/cpu_seconds", "joule": "train/energy_j"}
"""column of a curve -> the final figure that it comes to"""


class Kept(NamedTuple):
    """An arm that keeps every bound."""

    cost: float
    began: float
    """when the newest of its trials was started, by the database's clock"""


@final
class Halving:
    """Bars for `models/training/callbacks/halving.py`, and what they saved.

    At a rung the best share `keep` by the goal's metric goes on, where the curve has it (asynchronous
    successive halving: Li et al. 2020, arXiv 1810.05934). Where the goal is another, a training clearly
    further from a bound than any that kept it in the end is ended; where it is a cost of training, one about
    to spend `slack` times the CPU seconds (on a GPU the joules) of the best that keeps all bounds.

    Machines drift. So one arm, the reference, is measured again and again beside the others, and every cost
    is told as of now by its measurements next to then and next to now. What lies in another hour is no bar.
    """

    def __init__(self, objective: Objective, settings: Stop) -> None:
        self._objective, self._settings = objective, settings
        self._reached: dict[float, list[float]] = {rung: [] for rung in settings.rungs}
        self._kept: list[Kept] = []
        self._reference: list[Kept] = []
        self._tried = -math.inf
        self._column = "cpu_second"
        self.trials = 0
        """trainings that were ended"""
        self.joules_saved = self.cpu_seconds_saved = 0.0
        """what they would have come to at the pace of their curves, less what they used"""

    @property
    def _watched(self) -> tuple[str, Direction] | None:
        """The metric of the curve that rungs compare, and what is better."""
        asked = self._objective
        if is_validation(asked.metric):
            return asked.metric, asked.direction
        bound = self._bound
        return None if bound is None else (bound.metric, "max" if bound.op == ">=" else "min")

    @property
    def _bound(self) -> Constraint | None:
        bounds = [one for one in self._objective.constraints if is_validation(one.metric)]
        return bounds[0] if bounds else None

    @property
    def caps(self) -> bool:
        """Whether trainings are ended for what they cost."""
        return self._objective.metric in _CUMULATIVE and self._objective.direction == "min"

    def stale(self, now: float) -> bool:
        """Whether the reference must be measured beside the next trials before they can be held to a cap."""
        newest = max((one.began for one in self._reference), default=-math.inf)
        return self.caps and now - max(newest, self._tried) > self._settings.beside

    def cap(self, now: float) -> float | None:
        """What the next trainings may cost; None while nothing that keeps the bounds was measured beside."""
        told = [cost for one in self._kept if (cost := self._today(one, now)) is not None]
        return self._settings.slack * min(told) if self.caps and told else None

    def _today(self, kept: Kept, now: float) -> float | None:
        """What an arm would cost now, by what the reference did then and does now."""
        before, after = self._beside(kept.began), self._beside(now)
        return None if before is None or after is None else kept.cost * after / before

    def _beside(self, at: float) -> float | None:
        """The reference's cost by its measurement next to a moment; None where none is near."""
        near = min(self._reference, key=lambda one: abs(one.began - at), default=None)
        return None if near is None or abs(near.began - at) > SIDE_BY_SIDE_S else near.cost

    def settings(self, now: float) -> dict[str, Any] | None:
        """The callback's settings for trials that begin now; None while nothing can be said."""
        metric, direction = self._watched or ("val/accuracy", "max")
        reached = self._reached if self._watched else {}
        told = {f"{rung:g}": self._bar(values, direction) for rung, values in reached.items()}
        bars, cap = {rung: bar for rung, bar in told.items() if bar is not None}, self.cap(now)
        if not bars and cap is None:
            return None
        return {
            "_target_": "models.training.callbacks.halving.HalvingStop",
            "metric": metric,
            "direction": direction,
            "bars": bars,
            "cap": cap,
            "cost": self._column,
        }

    def _bar(self, values: list[float], direction: Direction) -> float | None:
        if len(values) < self._settings.enough:
            return None
        ordered = sorted(values, reverse=direction == "max")
        if is_validation(self._objective.metric):
            return ordered[max(0, math.ceil(self._settings.keep * len(ordered)) - 1)]
        return self._far(ordered, direction)

    def _far(self, ordered: list[float], direction: Direction) -> float:
        """A value from which no curve has come back to the bound; one that keeps it now is never ended."""
        assert self._bound is not None
        bound, worst = self._bound.bound, ordered[-1]
        spare = max(abs(worst - statistics.median(ordered)), _SPARE * abs(bound))
        return min(bound, worst - spare) if direction == "max" else max(bound, worst + spare)

    def learn(
        self, store: Store, trial_ids: Sequence[int], means: Mapping[str, float], *, reference: bool = False
    ) -> None:
        """Take in a finished arm: its curves, and its cost where it keeps every bound or is the reference."""
        if reference:
            self.measured(store, trial_ids)
        feasible = self._feasible(means)
        if feasible and self.caps:
            self._kept += self._costs(store, trial_ids)[:1]
        watched = self._watched
        if watched is None or not (feasible or is_validation(self._objective.metric)):
            return
        for trial_id in trial_ids:
            curve = store.curve(trial_id)
            for rung in self._reached:
                if (value := _at(curve, rung, watched[0])) is not None:
                    self._reached[rung].append(value)

    def measured(self, store: Store, trial_ids: Sequence[int]) -> None:
        """Take in one more measurement of the reference."""
        measured = self._costs(store, trial_ids)[:1] if self.caps else []
        self._reference += measured
        # What a neighbour disturbed is not tried again at once.
        self._tried = self._tried if measured else time.time()

    def _feasible(self, means: Mapping[str, float]) -> bool:
        bounds = self._objective.constraints
        return all(shortfall(bound, means.get(bound.metric, math.nan)) <= 0 for bound in bounds)

    def _costs(self, store: Store, trial_ids: Sequence[int]) -> list[Kept]:
        """The mean cost of an arm's undisturbed trials, and when the newest was begun; empty without any."""
        results = store.results(trial_ids)
        if any("nvml" in (energy_method(one) or "") for one in results.values()):
            self._column = "joule"
        figure = _COLUMNS[self._column]
        costs = {number: sound(one).get(figure, math.nan) for number, one in results.items()}
        calm = [number for number, value in costs.items() if math.isfinite(value)]
        began = [row.started for row in store.trials(ids=calm)]
        return [Kept(statistics.fmean(costs[number] for number in calm), max(began))] if calm else []

    def lost(self, spent: Mapping[str, float]) -> None:
        """Count a training that was ended, with the figures that it left at the rungs it reached."""
        self.trials += 1
        self._save(spent, 1)
        if is_validation(self._objective.metric):
            for rung, values in self._reached.items():
                if (value := spent.get(f"at/{rung:g}")) is not None:
                    values.append(value)

    def trained(self, spent: Mapping[str, float]) -> None:
        """Take back what ending a training has saved: to see what it comes to, it was trained to its end."""
        self._save(spent, -1)

    def _save(self, spent: Mapping[str, float], sign: int) -> None:
        joules, cpu = spent.get("train/energy_j", 0.0), spent.get("train/cpu_seconds", 0.0)
        left = max(0.0, spent.get("projected/cpu_seconds", cpu) / cpu - 1) if cpu else 0.0
        self.cpu_seconds_saved += sign * left * cpu
        self.joules_saved += sign * left * joules

    def wrong(self, means: Mapping[str, float], cap: float | None, best: Mapping[str, float] | None) -> bool:
        """Whether a stopped training could have won, by what it came to when it was trained to the end.

        `cap` is what it was held to, `best` the means of the best that was screened.
        """
        if not self._feasible(means):
            return False
        if self.caps:
            return cap is None or means.get(_COLUMNS[self._column], math.inf) <= cap
        return best is None or rank(self._objective, means) < rank(self._objective, best)

    def facts(self) -> dict[str, float]:
        """What a report says of it."""
        saved = {"joules_saved": self.joules_saved, "cpu_seconds_saved": self.cpu_seconds_saved}
        return {"trials": self.trials, **saved}


def ends_alike(row: Trial, job: Job) -> bool:
    """Whether a failed trial would end in the same way again, as by a cap that is hardly higher."""
    reason = row.reason or ""
    if not reason.startswith(STOPPED):
        return reason.startswith("diverged")
    configs = (row.config, job.config)
    before, now = ((config.get("callbacks") or {}).get("halving") or {} for config in configs)
    old, new = before.get("cap"), now.get("cap")
    if {**before, "cap": None} != {**now, "cap": None} or (old is None) != (new is None):
        return False
    return old is None or new <= _DRIFT * old


def _at(curve: list[dict[str, float]], rung: float, metric: str) -> float | None:
    """The metric at the first point of a whole curve from a share of its steps on."""
    last = max((row["step"] for row in curve), default=0.0)
    later = [row for row in curve if last and row["step"] / last >= rung - 1e-9 and metric in row]
    value = later[0][metric] if later else math.nan
    return value if math.isfinite(value) else None

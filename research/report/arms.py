"""One row of a report's table: a configuration with the trials that it was measured by."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from research.metrics import quantity
from research.report.markdown import code
from research.run.retold import retold
from research.stats.comparable import comparable, disturbed, energy_method, how_taken, sound
from research.stats.draws import Ground, of_arm, of_pair
from research.stats.intervals import Summary, summary
from research.store.store import Store
from research.types import Result, Trial

DECIDED = ("supported", "refuted", "open")


@final
@dataclass(frozen=True)
class Arm:
    """One configuration in one stage, with the trials behind its row, in the order of their seeds."""

    overrides: tuple[str, ...]
    proposer: str
    status: str
    results: tuple[Result, ...]
    trials: tuple[Trial, ...]
    stopped: bool = False
    """whether it is the control stopped at the goal's bound"""

    @property
    def control(self) -> bool:
        """Whether the others are compared with it."""
        return self.status == "control" and not self.stopped

    @property
    def name(self) -> str:
        """What its row is called."""
        own = code(" ".join(self.overrides)) if self.overrides else ""
        if self.stopped:
            return f"{own} (control, stopped at the bound)"
        if self.control:
            return f"{own} (control)" if own else "control"
        return own or "`defaults`"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its trials."""
        return tuple(trial.seed for trial in self.trials)

    def of(self, metric: str) -> Summary:
        """Mean and 95 % interval of a metric over the arm's trials, those that were disturbed left out."""
        return summary(figures[metric] for figures in self._sound if metric in figures)

    @cached_property
    def _sound(self) -> tuple[dict[str, float], ...]:
        return tuple(sound(result) for result in self.results)

    def disturbed(self, metric: str) -> list[str]:
        """Why trials have no part in a metric's figure: the reason of each that was disturbed."""
        return [
            why for result in self.results if metric in result.metrics and (why := disturbed(metric, result))
        ]

    def by_seed(self, metric: str) -> dict[int, float]:
        """Seed -> value; NaN where the trial did not measure it, or was disturbed."""
        pairs = zip(self.trials, self._sound, strict=True)
        return {trial.seed: figures.get(metric, math.nan) for trial, figures in pairs}

    def ground(self, metric: str, control: "Arm | None" = None) -> Ground:
        """What the mean of a metric rests on; with a control, its difference over the seeds of both."""
        if control is None:
            return of_arm(metric, self.trials, {one.trial_id: one for one in self.results})
        shared = set(self.seeds) & set(control.seeds)
        before, own = ([one for one in arm.trials if one.seed in shared] for arm in (control, self))
        return of_pair(metric, before, own, {one.trial_id: one for one in (*control.results, *self.results)})

    @property
    def means(self) -> dict[str, float]:
        """The mean of every metric."""
        keys = {key for figures in self._sound for key in figures}
        return {key: self.of(key).mean for key in keys}

    @property
    def method(self) -> str:
        """How its joules were taken."""
        return method([self])


def beside(arm: Arm, arms: Iterable[Arm]) -> Arm | None:
    """The control that an arm was run beside: of several the one of its seeds, and of those the latest."""
    controls = [one for one in arms if one.control]
    return max(reversed(controls), key=lambda one: len(set(one.seeds) & set(arm.seeds)), default=None)


def apart(pairs: Iterable[tuple[Iterable[Trial], Iterable[Trial]]]) -> str | None:
    """How far apart the two trials of a seed were begun, in words; None where no seed is shared."""
    begun = [({trial.seed: trial.started for trial in side} for side in pair) for pair in pairs]
    gaps = [abs(one[seed] - other[seed]) for one, other in begun for seed in one.keys() & other.keys()]
    if not gaps:
        return None
    least, most = (quantity("train/seconds", one) for one in (min(gaps), max(gaps)))
    return f"the two trainings of a pair were begun {least} to {most} apart"


def method(arms: Iterable[Arm]) -> str:
    """How the joules of several arms were taken, each way once: `nvml`, or `estimated / nvml`."""
    found = {energy_method(result) for arm in arms for result in arm.results}
    return " / ".join(sorted(str(one) for one in found if one)) or "not measured"


def basis(arms: Iterable[Arm]) -> str | None:
    """What the joules of several arms rest on, each basis once; None where no joules were taken."""
    found = {how_taken(result)["energy_basis"] for arm in arms for result in arm.results}
    return " / ".join(sorted(filter(None, found))) or None


def complaint(metric: str, arms: Sequence[Arm]) -> str | None:
    """Why the arms' figures of a metric must not stand side by side, None when they may."""
    trials = [trial for arm in arms for trial in arm.trials]
    results: Mapping[int, Result] = {result.trial_id: result for arm in arms for result in arm.results}
    having = [one for one in trials if metric in sound(results[one.id])]
    return comparable(metric, having, results)


def measured(store: Store, overrides: Sequence[str], proposer: str, status: str, ids: Iterable[int]) -> Arm:
    """An arm of the finished ones among the trials `ids`, in the order given; read from the store."""
    wanted = list(ids)
    return Read(store, wanted).arm(overrides, proposer, status, wanted)


@final
class Read:
    """Trials with their results, read at once: arms of a campaign are many, and each query costs.

    Joules and carbon are told by today's calibration and the grid of `meter`, else of each trial's own.
    """

    def __init__(self, store: Store, ids: Iterable[int], meter: Mapping[str, Any] | None = None) -> None:
        wanted = list(dict.fromkeys(ids))
        self._trials = {trial.id: trial for trial in store.trials(ids=wanted)}
        found = store.results(wanted)
        meters = {number: meter or trial.config.get("meter") for number, trial in self._trials.items()}
        self._results = {number: retold(one, meters.get(number)) for number, one in found.items()}

    def arm(
        self,
        overrides: Sequence[str],
        proposer: str,
        status: str,
        ids: Iterable[int],
        stopped: bool = False,
    ) -> Arm:
        """An arm of the finished ones among the trials `ids`, each once."""
        done = [one for one in dict.fromkeys(ids) if one in self._results and one in self._trials]
        return Arm(
            overrides=tuple(overrides),
            proposer=proposer,
            status=status,
            results=tuple(self._results[number] for number in done),
            trials=tuple(self._trials[number] for number in done),
            stopped=stopped,
        )


def joules(arms: Iterable[Arm]) -> float:
    """Joules of the training of the arms' trials, each trial once."""
    spent = {one.trial_id: one.metrics.get("train/energy_j", 0.0) for arm in arms for one in arm.results}
    return sum(spent.values())

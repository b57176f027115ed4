"""An arm, one configuration with its trials by seed: campaigns fill it in, reports and sweeps read it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

from research.metrics import quantity
from research.stats.alpha import Errors
from research.stats.claims import Part
from research.stats.comparable import comparable, disturbed, energy_method, how_taken, sound
from research.stats.draws import Ground, ground
from research.stats.intervals import Summary, summary
from research.stats.verdicts import PartVerdict, judged
from research.types import Result, Scale, Trial


@final
@dataclass(eq=False)
class Arm:
    """One configuration: its overrides, and for each seed the trial that ran it or why there is none."""

    overrides: tuple[str, ...]
    proposer: str = "person"
    proposal_id: int = 0
    trials: dict[int, int] = field(default_factory=dict)
    """seed -> the trial that answers it"""
    failures: dict[int, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    """wall seconds of the trials that this run of the campaign paid for"""
    facts: dict[str, Any] = field(default_factory=dict)
    """what its row in the experiment table says: signature, reasons, and trial ids of each stage"""
    status: str = "ran"
    rows: tuple[Trial, ...] = ()
    """the trials that its figures are of, in the order of their seeds; none before they are read"""
    results: tuple[Result, ...] = ()
    """what those measured, in the same order"""

    def failed(self, seeds: Sequence[int]) -> str | None:
        """Why one of these seeds has no result, None when all have."""
        missing = [seed for seed in seeds if seed not in self.trials]
        return self.failures.get(missing[0], "it was not run") if missing else None

    def cut(self, seeds: Sequence[int]) -> bool:
        """Whether a seed has neither a result nor a failure: its time was over before it ended."""
        return any(seed not in self.trials and seed not in self.failures for seed in seeds)

    @property
    def stopped(self) -> bool:
        """Whether it is the control stopped at the goal's bound."""
        return bool(self.facts.get("stopped"))

    @property
    def control(self) -> bool:
        """Whether the others are compared with it."""
        return self.status == "control" and not self.stopped

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the trials that were read."""
        return tuple(trial.seed for trial in self.rows)

    @cached_property
    def _sound(self) -> tuple[dict[str, float], ...]:
        return tuple(sound(result) for result in self.results)

    @cached_property
    def _summaries(self) -> dict[str, Summary]:
        return {}

    def of(self, metric: str) -> Summary:
        """Mean and 95 % interval of a metric over the arm's trials, those that were disturbed left out."""
        if metric not in self._summaries:
            own = (figures[metric] for figures in self._sound if metric in figures)
            self._summaries[metric] = summary(own)
        return self._summaries[metric]

    @property
    def measured(self) -> set[str]:
        """Every metric that a trial of it measured undisturbed."""
        return {key for figures in self._sound for key in figures}

    @property
    def means(self) -> dict[str, float]:
        """The mean of every metric."""
        return {key: self.of(key).mean for key in self.measured}

    def by_seed(self, metric: str, seeds: Iterable[int] | None = None) -> dict[int, float]:
        """Seed -> value; NaN where there is no trial, it did not measure it, or was disturbed.

        `seeds` are those of the trials unless some are named.
        """
        pairs = zip(self.rows, self._sound, strict=True)
        measured = {trial.seed: figures.get(metric, math.nan) for trial, figures in pairs}
        return {seed: measured.get(seed, math.nan) for seed in (measured if seeds is None else seeds)}

    def having(self, metric: str) -> set[int]:
        """The seeds whose trials measured it undisturbed."""
        pairs = zip(self.rows, self._sound, strict=True)
        return {trial.seed for trial, figures in pairs if metric in figures}

    def disturbed(self, metric: str) -> list[str]:
        """Why trials have no part in a metric's figure: the reason of each that was disturbed."""
        having = [result for result in self.results if metric in result.metrics]
        return [why for result in having if (why := disturbed(metric, result))]

    def ground(
        self,
        metric: str,
        control: "Arm | None" = None,
        seeds: Sequence[int] | None = None,
        scale: Scale = "absolute",
    ) -> Ground:
        """What the mean of a metric rests on; with a control its difference, over `seeds` or all of both."""
        if control is None:
            return ground(metric, [self.rows], _by_trial([self]))
        shared = set(self.seeds) & set(control.seeds) if seeds is None else set(seeds)
        before, own = ([trial for trial in arm.rows if trial.seed in shared] for arm in (control, self))
        return ground(metric, [before, own], _by_trial([control, self]), scale)


def sound_seeds(metric: str, control: Arm, arm: Arm) -> list[int]:
    """The seeds of which both arms have a figure that nobody disturbed."""
    return sorted(set.intersection(*(side.having(metric) for side in (control, arm))))


def between(
    part: Part, control: Arm, arm: Arm, rate: Errors, seeds: Sequence[int] | None = None
) -> PartVerdict:
    """One part of a claim by the trials of two arms; `open` where their figures must not be compared.

    Campaigns, recipes, sweeps and comparisons decide here. `seeds` are those that were asked for: one without
    a sound figure keeps the part open. None takes the pairs that are sound: nothing was promised of others.
    """
    wanted = sound_seeds(part.metric, control, arm) if seeds is None else seeds
    beside = None if part.bound else control  # a bound is about the arm alone
    before, after = (side.by_seed(part.metric, wanted) for side in (control, arm))
    verdict = judged(part, before, after, rate, arm.ground(part.metric, beside, wanted, part.size.scale))
    sides = [side for side in (beside, arm) if side is not None]
    rows = [trial for side in sides for trial in side.rows if trial.seed in wanted]
    why = comparable(part.metric, rows, _by_trial(sides))
    return PartVerdict(part, "open", why, verdict.comparison) if why else verdict


def beside(arm: Arm, arms: Iterable[Arm]) -> Arm | None:
    """The control that an arm was run beside: of several the one of its seeds, and of those the latest."""
    controls = [other for other in arms if other.control]
    return max(reversed(controls), key=lambda other: len(set(other.seeds) & set(arm.seeds)), default=None)


def apart(pairs: Iterable[tuple[Iterable[Trial], Iterable[Trial]]]) -> str | None:
    """How far apart the two trials of a seed were begun, in words; None where no seed is shared."""
    begun = [({trial.seed: trial.started for trial in side} for side in pair) for pair in pairs]
    gaps = [abs(one[seed] - other[seed]) for one, other in begun for seed in one.keys() & other.keys()]
    if not gaps:
        return None
    least, most = (quantity("train/seconds", gap) for gap in (min(gaps), max(gaps)))
    return f"the two trainings of a pair were begun {least} to {most} apart"


def method(arms: Iterable[Arm]) -> str:
    """How the joules of several arms were taken, each way once: `nvml`, or `estimated / nvml`."""
    methods = {energy_method(result) for arm in arms for result in arm.results}
    return " / ".join(sorted(filter(None, methods))) or "not measured"


def basis(arms: Iterable[Arm]) -> str | None:
    """What the joules of several arms rest on, each basis once; None where no joules were taken."""
    bases = {how_taken(result)["energy_basis"] for arm in arms for result in arm.results}
    return " / ".join(sorted(filter(None, bases))) or None


def complaint(metric: str, arms: Sequence[Arm]) -> str | None:
    """Why the arms' figures of a metric must not stand side by side, None when they may."""
    results = _by_trial(arms)
    rows = [trial for arm in arms for trial in arm.rows]
    return comparable(metric, [trial for trial in rows if metric in sound(results[trial.id])], results)


def joules(arms: Iterable[Arm]) -> float:
    """Joules of the training of the arms' trials, each trial once."""
    results = _by_trial(arms).values()
    return sum(result.metrics.get("train/energy_j", 0.0) for result in results)


def _by_trial(arms: Iterable[Arm]) -> Mapping[int, Result]:
    return {result.trial_id: result for arm in arms for result in arm.results}

"""The trials of a campaign: how they are typed, who may run them, and which of them a neighbour disturbed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, final

from research.metrics import is_carbon, is_energy, is_timed
from research.run import machine
from research.run.job import Job
from research.space.gate import Space
from research.stats.comparable import disturbed
from research.stats.draws import own_split
from research.types import Result


@final
class Typed:
    """Overrides and configs of trials; what is resolved once for all seeds of an arm is kept."""

    def __init__(
        self,
        space: Space,
        fixed: Sequence[str],
        quiet: Sequence[str],
        harness: Mapping[str, Any],
        fresh: float,
    ) -> None:
        """Seeds from `fresh` on draw their own split, where the data can; those below tune, and share one."""
        self._space, self._fresh, self._harness = space, fresh, harness
        self._fixed, self._quiet = tuple(fixed), tuple(quiet)
        self._splits: dict[tuple[str, ...], tuple[str, ...]] = {}

    def line(self, overrides: Sequence[str], seed: int) -> list[str]:
        """Every override of a trial but those that change no result."""
        split = self.split(overrides) if seed >= self._fresh else ()
        return [*self._fixed, *overrides, *split, f"seed={seed}"]

    def config(self, overrides: Sequence[str], seed: int) -> dict[str, Any]:
        """The resolved config of a trial. Raises `Refusal` for an unknown key or option."""
        return self._space.resolve([*self._quiet, *self.line(overrides, seed)]) | dict(self._harness)

    def split(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """The override by which each fresh seed of an arm draws its own split; none where data is fixed."""
        if math.isinf(self._fresh):
            return ()
        given = (*self._fixed, *overrides)
        if given not in self._splits:
            self._splits[given] = own_split(self._space.resolve(given), given)
        return self._splits[given]


def unshared(watched: Iterable[str], *, alone: bool = False) -> str | None:
    """Why nobody else may run any trial of who watches these metrics; None where some may be shared.

    `alone`: its trials run one at a time, because they are timed.
    """
    one = next((metric for metric in watched if is_energy(metric) or is_carbon(metric)), None)
    if one is not None:
        return f"another machine may take {one} by another counter, so all trials are run here"
    return "its trials are timed beside each other, so all of them are run here" if alone else None


@final
class Sharing:
    """Which trials other processes may run too, on machines of the same kind, and how they are to do it.

    Clocks that are held against each other are of one machine: those of a claim and of a race, which run
    alone, and what all others are held to, the controls. So is a training that the clock ends. Joules are of
    one machine throughout: another of the same kind may have other counters, or be calibrated otherwise.
    """

    def __init__(self, launcher: Mapping[str, Any] | None, watched: Iterable[str] = ()) -> None:
        """`launcher` is how the campaign runs them; None shares none."""
        metrics = tuple(watched)
        self._launcher, self._timed = launcher, any(map(is_timed, metrics))
        self._launcher = None if unshared(metrics) else self._launcher
        self._told: dict[str, Any] = {}

    def of(self, job: Job, *, alone: bool, held: bool) -> Job:
        """The job as it is asked for; `held` is one of a control."""
        budget = job.config.get("budget") or {}
        clocked = any(budget.get(name) is not None for name in ("seconds", "joules"))
        if self._launcher is None or alone or clocked or (held and self._timed):
            return replace(job, apart=True)
        if not self._told:
            width = len(machine.places([job.config], self._launcher["jobs"]))
            threads = self._launcher["threads"] or machine.threads(width)
            self._told = {**self._launcher, "threads": threads}
        return replace(job, config=job.config | {"launcher": self._told})


REPEATS = 2
"""how often a disturbed trial is run again, alone and as a replicate of its key"""
_PATIENCE = 4
"""repeats in a row that were disturbed as well, after which none is tried any more: the neighbour stays"""


@final
class Quiet:
    """Counts the trials whose watched windows somebody disturbed."""

    def __init__(self, watched: Iterable[str] = ()) -> None:
        """`watched` are the metrics that decide; those that no clock takes are never disturbed."""
        self.watched = tuple(dict.fromkeys(one for one in watched if is_timed(one)))
        self._looked = self._in_vain = 0
        self._reasons: list[str] = []

    @property
    def patient(self) -> bool:
        """Whether another repeat is worth its joules."""
        return bool(self.watched) and self._in_vain < _PATIENCE

    def reason(self, result: Result | None) -> str | None:
        """Why a trial's watched figures are used nowhere; None where they may be."""
        if result is None:
            return None
        return next(filter(None, (disturbed(metric, result) for metric in self.watched)), None)

    def look(self, result: Result | None, *, again: bool = False) -> bool:
        """Count a trial that was run, `again` a repeat; whether its watched windows were undisturbed."""
        why = self.reason(result)
        self._looked += 1
        self._reasons += [why] if why else []
        if again:
            self._in_vain = self._in_vain + 1 if why else 0
        return why is None

    def sentence(self, why: str) -> str:
        """That the machine is too busy for an answer, with the figures that show it."""
        counted = f"{len(self._reasons)} of {self._looked} trials were disturbed" if self._looked else ""
        return (
            f"the machine is too busy to settle {' and '.join(self.watched)}: "
            f"{f'{counted}, repeats included, ' if counted else 'what is known was disturbed '}for example "
            f"in the {why}; the same command goes on when the machine is quieter"
        )

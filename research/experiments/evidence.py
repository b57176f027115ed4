"""What the report of an experiment is written from, and whether its clocks may be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from research.campaigns.bench import Arm, Bench
from research.experiments.study import Study
from research.experiments.verdicts import Judged
from research.objective import is_timed
from research.types import Result, Trial


@final
@dataclass(frozen=True)
class Evidence:
    """The study, its arms with their trials, the control first, and the verdicts."""

    name: str
    study: Study
    fixed: tuple[str, ...]
    arms: tuple[Arm, ...]
    verdicts: tuple[Judged, ...]
    bench: Bench
    left_out: tuple[str, ...]
    """lines of arms that this machine cannot run"""

    def results(self, arm: Arm) -> list[Result]:
        """What the arm's trials measured, in the order of the seeds."""
        return list(self.bench.results(arm, self.study.seeds).values())

    def trials(self) -> list[Trial]:
        """The rows of all trials that the verdicts rest on."""
        return [trial for arm in self.arms for trial in self.bench.trials(arm, self.study.seeds)]


def disturbed(metric: str, trials: Sequence[Trial], results: Mapping[int, Result]) -> str | None:
    """Why the clocks of these trials tell different things, None when they do not.

    The same trial may have been run by a sweep with neighbours, or with other threads: its scores are the
    same, its seconds are not.
    """
    if not is_timed(metric):
        return None
    threads = {results[trial.id].facts.get("threads") for trial in trials if trial.id in results}
    if len(threads) > 1:
        told = ", ".join(sorted(map(str, threads)))
        return f"{metric} was taken with {told} threads: run all arms with the same launcher.threads."
    beside = {int((trial.config.get("meter") or {}).get("concurrent") or 1) for trial in trials}
    if len(beside) > 1:
        return f"{metric} was taken with and without neighbours: run all arms with launcher.jobs=1."
    return None

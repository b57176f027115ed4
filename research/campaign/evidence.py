"""What the report of an experiment is written from."""

from dataclasses import dataclass
from typing import final

from research.campaign.bench import Arm, Bench
from research.campaign.recipe import Study
from research.stats.verdicts import ClaimVerdict
from research.types import Result, Trial


@final
@dataclass(frozen=True)
class Evidence:
    """The study, its arms with their trials, the control first, and the verdicts."""

    name: str
    study: Study
    fixed: tuple[str, ...]
    arms: tuple[Arm, ...]
    verdicts: tuple[ClaimVerdict, ...]
    bench: Bench
    left_out: tuple[str, ...]
    """lines of arms that this machine cannot run"""

    def results(self, arm: Arm) -> list[Result]:
        """What the arm's trials measured, in the order of the seeds."""
        return list(self.bench.results(arm, self.study.seeds).values())

    def trials(self) -> list[Trial]:
        """The rows of all trials that the verdicts rest on."""
        return [trial for arm in self.arms for trial in self.bench.trials(arm, self.study.seeds)]

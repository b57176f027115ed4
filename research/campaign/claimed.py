"""What is claimed of a contender, and what came of it."""

import math
from dataclasses import dataclass, field
from typing import final

from research.campaign.bench import Arm
from research.campaign.question import Turn
from research.metrics import is_ratio, is_timed, screening, shortfall
from research.stats.effects import Gain
from research.types import Constraint, Direction, Objective, Verdict


@final
@dataclass(frozen=True)
class Claim:
    """What is claimed of a contender, settled before its fresh seeds are run."""

    metric: str
    direction: Direction
    smallest_effect: float
    """in percent of the control where arms are compared by their ratio, else in the metric's unit"""
    constraints: tuple[Constraint, ...]
    reason: str | None = None
    """why it is not the goal's own metric: the control breaks this bound"""

    @property
    def alone(self) -> bool:
        """Whether its figures would be distorted by a trial that runs beside it."""
        return any(is_timed(one) for one in (self.metric, *(bound.metric for bound in self.constraints)))


@final
@dataclass(frozen=True)
class Finding:
    """A contender's verdict, and the seeds and method that it rests on."""

    arm: Arm
    claim: Claim
    verdict: Verdict
    seeds: tuple[int, ...]
    energy_method: str
    turn: Turn | None = None
    """in the ledger of its question"""
    looks: int = 0
    """how often it was looked at; the verdict is the last look's"""
    alike: dict[str, Verdict] = field(default_factory=dict)
    """score -> whether an arm that was found cheaper is as good in it as the control"""
    split: Gain | None = None
    """the gain beside that of the control stopped at the bound; None where there is no such control"""
    estimated: tuple[int, ...] = ()
    """seeds that did not decide and tell its size"""
    unsettled: dict[str, float] = field(default_factory=dict)
    """bounds that were left open: metric -> how far inside the mean would have to be"""


def claim(
    objective: Objective, smallest_effect: float, control: dict[str, float], *, confirmed: bool = False
) -> Claim:
    """What will be claimed: the objective, or a bound of the goal that the control's screening misses.

    A `confirmed` control keeps every bound, whatever its screening says.
    """
    for bound in objective.constraints if not confirmed else ():
        value = control.get(screening(bound.metric), math.nan)
        if shortfall(bound, value) > 0:
            direction: Direction = "max" if bound.op == ">=" else "min"
            return Claim(bound.metric, direction, 0.0, objective.constraints, "the control breaks this bound")
    effect = 100 * smallest_effect if is_ratio(objective.metric) else smallest_effect
    return Claim(objective.metric, objective.direction, effect, objective.constraints)

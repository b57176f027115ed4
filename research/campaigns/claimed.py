"""What is claimed of a contender before its fresh seeds run, and how much tighter bounds are screened."""

import math
from dataclasses import dataclass
from typing import final

from research.objective import METRICS, is_ratio, is_timed, screening, shortfall
from research.types import Constraint, Direction, Objective


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


def tightened(objective: Objective, examples: float) -> Objective:
    """The screening objective with bounds on shares one standard error tighter.

    A search that goes to the bound of the validation split ends on the wrong side of it on the test split:
    their means differ by chance, by about sqrt(p (1 - p) / n) for a share p of n examples.
    """

    def tight(bound: Constraint) -> Constraint:
        known = METRICS.get(bound.metric)
        if bound.op != ">=" or not known or known.unit != "share" or examples <= 0:
            return bound
        margin = math.sqrt(bound.bound * (1 - bound.bound) / examples)
        return bound.model_copy(update={"bound": min(bound.bound + margin, (1 + bound.bound) / 2)})

    return objective.model_copy(update={"constraints": tuple(tight(one) for one in objective.constraints)})

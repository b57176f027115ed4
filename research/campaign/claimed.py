"""What is claimed of a contender, what came of it, and how much tighter than claimed bounds are screened."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from research.campaign.bench import Arm
from research.campaign.question import Turn
from research.metrics import METRICS, is_ratio, is_timed, screening, shortfall
from research.stats.split import Split
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
    split: Split | None = None
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


def tightened(
    objective: Objective, examples: float, unsettled: Mapping[str, float] | None = None
) -> Objective:
    """The screening objective with bounds on shares one standard error tighter.

    A search that goes to the bound of the validation split ends on the wrong side of it on the test split:
    their means differ by chance, by about sqrt(p (1 - p) / n) for a share p of n examples. A bound that the
    sprints before could not settle is tightened by what was missing too, whatever its unit: else the next one
    would go to the same bound again. `unsettled` is that distance by the bound's metric.
    """

    def tight(bound: Constraint) -> Constraint:
        known, more = METRICS.get(bound.metric), (unsettled or {}).get(bound.metric, 0.0)
        if bound.op == "<=":
            return bound.model_copy(update={"bound": bound.bound - more})
        if known is None or known.unit != "share":
            return bound.model_copy(update={"bound": bound.bound + more})
        margin = math.sqrt(bound.bound * (1 - bound.bound) / examples) if examples > 0 else 0.0
        most = max(bound.bound, (1 + bound.bound) / 2)
        return bound.model_copy(update={"bound": min(bound.bound + margin + more, most)})

    return objective.model_copy(update={"constraints": tuple(tight(one) for one in objective.constraints)})


def missed(sprints: Iterable[Iterable[Mapping[str, Any]]]) -> dict[str, float]:
    """By metric, by how much more the bounds must be kept that whole sprints left open; from their insights.

    A sprint counts by its narrowest interval, and not at all where a contender kept every bound or was
    refuted by something else.
    """
    found: dict[str, float] = {}
    for rows in sprints:
        told = [row["facts"].get("unsettled") or {} for row in rows]
        for metric in set.intersection(*map(set, told)) if told else ():
            found[metric] = found.get(metric, 0.0) + min(one[metric] for one in told)
    return found

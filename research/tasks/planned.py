"""`dry_run=true`: a goal as it was understood, what it may turn, and what it would cost; nothing is run."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

from research.campaign.campaign import Campaign
from research.compose.override import keys_of
from research.goal.saying import sentence
from research.metrics import quantity
from research.tasks.answer import Answer, pairs
from research.types import Objective

if TYPE_CHECKING:
    from research.campaign.charter import Charter


@final
class Planned(Answer):
    """What a campaign would do."""

    campaign: str
    goal: str
    asked: str
    """the goal as it was understood"""
    objective: Objective
    fixed: tuple[str, ...]
    """overrides of every trial"""
    groups: dict[str, tuple[str, ...]]
    """what may be chosen: group -> its options"""
    keys: dict[str, str]
    """what may be turned, and from where to where"""
    trials: dict[str, int]
    """stage -> trials of a sprint at most"""
    sprints: int
    seconds: float | None
    """of a trial like the control; None where no trial is known that tells it"""
    joules: float | None
    method: str | None
    """how those joules were taken"""
    how: str
    """what tells the cost"""
    budget: dict[str, float | None]

    def text(self) -> str:
        """The charter, the space, and the cost, which the budget ends."""
        most = self._most
        stages = ", ".join(f"{count} {stage}" for stage, count in self.trials.items())
        limits = (f"{name} {limit:g}" for name, limit in self.budget.items() if limit is not None)
        groups = [f"{name}: {', '.join(options)}" for name, options in self.groups.items()]
        fields = {
            "goal": self.goal,
            "objective": self.asked,
            "fixed": " ".join(self.fixed),
            "choices": "; ".join(groups),
            "turned": " ".join(self.keys),
            "trials": f"at most {most}: {self.sprints} sprints of {stages}, within the budget",
            "cost": self._cost(most),
            "budget": ", ".join(limits) or "no limit",
        }
        return "\n".join([*pairs(fields), "nothing was run and nothing was written"])

    @property
    def _most(self) -> int:
        """Trials at most, of all stages and sprints or of the budget."""
        return int(min(sum(self.trials.values()) * self.sprints, self.budget.get("trials") or math.inf))

    def _cost(self, most: int) -> str:
        if self.seconds is None:
            return self.how
        said = f"about {quantity('train/seconds', self.seconds)}"
        if self.joules is not None:
            said += f" and {quantity('train/energy_j', self.joules)} [{self.method}]"
        whole = quantity("train/seconds", self.seconds * most)
        return f"{said} a trial (mean of {self.how}), {whole} in all before the budget ends it"


def planned(campaign: Campaign) -> Planned:
    """The plan of a campaign; no database is made, and of one that is there only trials are read.

    Raises `Refusal` for all that the campaign would refuse before its first trial.
    """
    from research.campaign.run import settled
    from research.run.plan import Predictor

    campaign = settled(campaign)
    charter, vocabulary = campaign.charter, campaign.vocabulary
    held = keys_of(charter.fixed)
    config = campaign.space.resolve([*charter.quiet, *charter.fixed])
    cost = Predictor(campaign.store if campaign.exists else None).predict(config)
    return Planned(
        campaign=charter.name,
        goal=charter.goal.text,
        asked=sentence(charter.goal),
        objective=charter.goal.objective,
        fixed=charter.fixed,
        groups={
            name: tuple(entry["options"]) for name, entry in vocabulary["groups"].items() if name not in held
        },
        keys={key: _range(entry) for key, entry in vocabulary["keys"].items() if key not in held},
        trials=_trials(charter),
        sprints=charter.sprint.count,
        seconds=cost.seconds,
        joules=cost.joules,
        method=cost.method,
        how=cost.how,
        budget=_budget(campaign.config["budget"]),
    )


def _range(entry: Mapping[str, Any]) -> str:
    """From where to where a key may be turned, or what it may be."""
    if entry.get("low") is not None:
        return f"{entry['low']:g} to {entry['high']:g}"
    return ", ".join(map(str, entry.get("of") or ())) or str(entry["type"])


def _trials(charter: "Charter") -> dict[str, int]:
    """Trials of a sprint by stage, where each of its turns and looks is taken; each beside its control."""
    return {
        "screened": (charter.screen.turns + 1) * len(charter.screen.seeds),
        "promoted": charter.promote.most + len(charter.promote.seeds),
        "confirmed": 2 * charter.confirm.arms * charter.confirm.each,
    }


def _budget(limits: dict[str, Any]) -> dict[str, float | None]:
    return {name: limit if limit is None else float(limit) for name, limit in limits.items()}

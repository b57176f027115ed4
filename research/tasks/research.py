"""`task=research`: a goal to its verdict, or a recipe's experiment; told as it runs, then typed results.

With `dry_run=true` nothing is run: it tells the goal as understood, what it may turn, and what it would cost.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.compose.override import keys_of
from research.goal.saying import recalled, sentence
from research.metrics import quantity
from research.report.findings import Findings
from research.stats.arms import method
from research.stats.effects import Gain
from research.tasks.answer import Answer, pairs
from research.tasks.line import stoppable
from research.types import Comparison, Objective, Record

if TYPE_CHECKING:
    from research.campaign.charter import Charter
    from research.store.store import Store


@final
class SprintDone(Record):
    """One sprint of the campaign."""

    id: int
    number: int
    status: str
    folder: str | None
    notes: tuple[str, ...]


@final
class InsightLine(Record):
    """An insight: what was found, how sure it is, and the line that repeats it."""

    id: int
    word: str
    claim: str
    rating: float | None
    comparison: Comparison | None
    """what decided"""
    told: Comparison | None
    """the size as it is told: what decided is too large by having been chosen"""
    energy_method: str
    command: str
    split: Gain | None = None
    """the parts of its gain, where the control was stopped at the bound"""


@final
class Figures(Record):
    """Means of one arm over the seeds of its last stage, those left out that others disturbed."""

    arm: str
    stage: str
    n: int
    means: dict[str, float]
    fewer: dict[str, int] = {}
    """of means that not every seed is in: of how many they are"""
    energy_method: str | None = None
    """how its joules were taken"""


@final
class Researched(Answer):
    """What a campaign or an experiment came to, read from its rows."""

    told: ClassVar[bool] = True

    campaign: str
    asked: str
    """the goal as it was understood; empty for an experiment, which asks its own question"""
    sprints: tuple[SprintDone, ...]
    insights: tuple[InsightLine, ...]
    figures: tuple[Figures, ...]
    """the control first"""
    report: Path

    def text(self) -> str:
        """The findings, and where the report is."""
        said = [f"{insight.word}: {insight.claim}" for insight in self.insights] or ["nothing was confirmed"]
        asked = [f"objective  {self.asked}"] if self.asked else []
        return "\n".join([*asked, *said, f"report     {self.report}"])


def research(campaign: Campaign, recipe: str | None, goal: str | None, dry_run: bool) -> Answer:
    """Run the campaign, or the recipe's experiment, and read what it came to; `dry_run` only plans it.

    Raises `Refusal` for a goal not understood or beside a recipe, and for a control that cannot be run.
    """
    if dry_run:
        if recipe is not None:
            raise Refusal(
                f"experiment={recipe} asks its own question: its trials are told by python train.py -m "
                f"experiment={recipe} dry_run=true."
            )
        return planned(campaign)
    if recipe is not None:
        if goal != campaign.usual["goal"]:
            raise Refusal(f"experiment={recipe} asks its own question: leave goal out, or the experiment.")
        from research.campaign.study import conduct

        with stoppable():
            path = conduct(campaign, recipe)
    else:
        from research.campaign.run import research as run

        with stoppable():
            path = run(campaign)
    return outcome(campaign.store, path)


def outcome(store: "Store", report: Path) -> Researched:
    """The campaign whose report this is: its sprints, insights and figures."""
    own = report.parent.absolute()
    folders = [(row, Path(row["folder"]).absolute()) for row in store.sprints() if row["folder"]]
    rows = [row for row, folder in folders if own in (folder, *folder.parents)]
    campaign = str(rows[-1]["facts"]["campaign"]) if rows else report.parent.name
    rows = [row for row in store.sprints() if row["facts"].get("campaign") == campaign]
    ids = [row["id"] for row in rows]
    charter = rows[-1]["facts"].get("charter") if rows else None
    return Researched(
        campaign=campaign,
        asked=recalled(charter, Objective.model_validate(rows[-1]["objective"])) if charter else "",
        sprints=tuple(_sprint(row, number) for number, row in enumerate(rows, start=1)),
        insights=tuple(_finding(row) for number in ids for row in store.insights(sprint_id=number)),
        figures=tuple(figure for number in ids for figure in _figures(store, number)),
        report=report,
    )


def _sprint(row: dict[str, Any], number: int) -> SprintDone:
    facts = row["facts"]
    return SprintDone(
        id=row["id"],
        number=facts.get("number", number),
        status=row["status"],
        folder=row["folder"],
        notes=tuple(map(str, facts.get("notes", ()))),
    )


def _finding(row: dict[str, Any]) -> InsightLine:
    insight = row["insight"]
    return InsightLine(
        id=row["id"],
        word=insight.verdict.word,
        claim=insight.claim,
        rating=row["facts"].get("rating"),
        comparison=insight.verdict.comparison,
        told=insight.verdict.size,
        energy_method=insight.energy_method,
        command=insight.command,
        split=row["facts"].get("split"),
    )


def _figures(store: "Store", sprint_id: int) -> list[Figures]:
    """Confirmed arms, or the screened ones where nothing was confirmed."""
    findings = Findings(store, sprint_id)
    stage = next((name for name in ("confirmed", "promoted", "screened") if findings.arms(name)), "screened")
    return [
        Figures(
            arm=f"control {' '.join(arm.overrides)}".strip() if arm.control else " ".join(arm.overrides),
            stage=stage,
            n=len(arm.results),
            means={key: value for key, value in arm.means.items() if math.isfinite(value)},
            fewer={key: n for key in arm.means if 0 < (n := arm.of(key).n) < len(arm.results)},
            energy_method=method([arm]),
        )
        for arm in findings.arms(stage)
    ]


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
        most = int(min(sum(self.trials.values()) * self.sprints, self.budget.get("trials") or math.inf))
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

    def _cost(self, most: int) -> str:
        if self.seconds is None:
            return self.how
        said = f"about {quantity('train/seconds', self.seconds)}"
        if self.joules is not None:
            said += f" and {quantity('train/energy_j', self.joules)} [{self.method}]"
        whole = quantity("train/seconds", self.seconds * most)
        return f"{said} a trial (mean of {self.how}), {whole} in all before the budget ends it"


def planned(campaign: Campaign) -> Planned:
    """The plan of a campaign, which writes nothing. Raises `Refusal` for all that the campaign would."""
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
        budget=campaign.config["budget"],
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

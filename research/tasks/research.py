"""`task=research`: a goal to its verdict, or a recipe's experiment; told as it runs, then typed results."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.goal.saying import recalled
from research.report.findings import Findings
from research.stats.effects import Gain
from research.tasks.answer import Answer
from research.tasks.line import stoppable
from research.types import Comparison, Objective, Record

if TYPE_CHECKING:
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
    """Means of one arm over the seeds of its last stage."""

    arm: str
    stage: str
    n: int
    means: dict[str, float]


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

    Raises `Refusal` for a goal that is not understood, or that stands beside a recipe, and for a control that
    cannot be run.
    """
    if dry_run:
        from research.tasks.planned import planned

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
    rows = [row for row in store.sprints() if row["folder"] and _within(report, Path(row["folder"]))]
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


def _within(report: Path, folder: Path) -> bool:
    return (
        folder.absolute() == report.parent.absolute() or report.parent.absolute() in folder.absolute().parents
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
        )
        for arm in findings.arms(stage)
    ]

"""What a sprint and a whole campaign leave on disk: papers with the answer first, and files for programs."""

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.metrics import screening
from research.page import put
from research.report import analysis, pictures, summary
from research.report.answer import answer, asked, repeat
from research.report.arms import arms_table
from research.report.cost import cost
from research.report.findings import NO_CAMPAIGN, STAGES, Findings, Row, ids, of_campaign
from research.report.lanes import lanes
from research.report.markdown import plain, section
from research.report.pictures import fronts
from research.report.tried import memory, own_claims, proposers, read, reviews, sprints, team
from research.stats.arms import Arm
from research.stats.comparable import how_taken
from research.stats.draws import shared
from research.stats.sentences import command
from research.store.store import Store
from research.types import Trial

_SHOWN = 10
"""screened arms in the table; the database has them all"""


def papers(store: Store, name: str, folder: Path) -> list[Path]:
    """Write the three papers of the campaign `name` with the pictures; the paths, report.md first.

    Raises `Refusal` when the database has no such campaign, or the folder cannot be written.
    """
    try:
        found = of_campaign(store, name)
    except KeyError:
        raise Refusal(NO_CAMPAIGN.format(name[:80])) from None
    report, *drawn = _written(found, folder)
    more = {"research_summary.md": summary.text(found), "statistical_analysis.md": analysis.text(found)}
    return [report, *(put(paper, folder, file) for file, paper in more.items()), *drawn]


def leave(store: Store, sprint_id: int, folder: Path) -> Path:
    """Write the files of a sprint from its rows and return the report's path.

    `sprint_summary.json`, `proposals.json`, `commands.sh`, `results.json` and `report.md`, each written
    beside and renamed. Raises `Refusal` when the folder cannot be written.
    """
    found = Findings(store, sprint_id)
    put(_json(_summary(found)), folder, "sprint_summary.json")
    put(_json([_proposal(found, row) for row in found.experiments]), folder, "proposals.json")
    put(_commands(found), folder, "commands.sh")
    put(_json(_results(found)), folder, "results.json")
    return _written(found, folder)[0]


def write(store: Store, sprint_id: int, folder: Path) -> Path:
    """Write report.md of a sprint and its pictures, each whole or not at all; returns the report's path.

    Raises `Refusal` when the folder cannot be written, `KeyError` for an unknown sprint.
    """
    return _written(Findings(store, sprint_id), folder)[0]


def _written(found: Findings, folder: Path) -> list[Path]:
    """The report of these sprints, then its pictures."""
    drawn = pictures.of_campaign(found)
    paths = [put(one.svg, folder, one.file) for one in drawn]
    return [put(text(found, drawn), folder), *paths]


def text(found: Findings, drawn: Sequence[pictures.Picture] = ()) -> str:
    """The report as Markdown."""
    confirmed = found.arms("confirmed")
    several = [*sprints(found)] if len(found.sprints) > 1 else []
    notes = [f"- {plain(note)}" for note in found.notes()]
    rest = [
        *_table(found, "Confirmed on fresh seeds, test split", confirmed, "confirmed"),
        *section("Score against cost", fronts(confirmed, found.asked, found.names)),
        *pictures.shown(drawn),
        *_screened(found),
        *section("With and without the model", lanes(found)),
        *section("Who proposed", proposers(found)),
        *section("Reviews", reviews(found)),
        *section("The team", team(found)),
        *section("What proposals said of themselves", own_claims(found)),
        *section("Sprints", several),
        *section("What was remembered", memory(found)),
        *section("What was read", read(found)),
        *section("What the search cost", cost(found)),
        *section("Repeat it", repeat(found.fixed, [*confirmed, *_best(found)[0]])),
        *section("Notes", notes),
    ]
    head = [f"# {plain(found.sprint['goal'])}", *answer(found), *section("What was asked", asked(found))]
    return "\n".join([*head, *section("Arms", found.names.table()), *rest]) + "\n"


def _table(found: Findings, title: str, arms: Sequence[Arm], stage: str) -> list[str]:
    """The figures of a stage that more than one arm has, or that were asked for."""
    asked = {screening(one) for one in found.asked}
    columns = [
        one
        for one in found.columns(stage)
        if screening(one) in asked or len(arms) < 2 or sum(arm.of(one).n > 0 for arm in arms) > 1
    ]
    return section(title, arms_table(arms, columns, found.names)) if arms else []


def _screened(found: Findings) -> list[str]:
    """The best of the screening: a cheap look, nothing is claimed of it."""
    arms, left = _best(found)
    others = sum(not (arm.control or arm.stopped) for arm in arms)
    shown = f"control and the best {others} of {others + left}" if others else "the control alone"
    return _table(found, f"Screened, validation split ({shown})", arms, "screened")


def _best(found: Findings) -> tuple[list[Arm], int]:
    """The control and the best screened arms, and how many more there are."""
    held = sum(arm.control or arm.stopped for arm in found.best)
    shown = found.best[: held + _SHOWN]
    return shown, len(found.best) - len(shown)


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, sort_keys=True, default=str) + "\n"


def _summary(found: Findings) -> dict[str, Any]:
    facts = {key: value for key, value in found.facts.items() if key != "charter"}
    statuses = [row["status"] for row in found.experiments]
    return {
        "sprint": found.sprint["id"],
        "goal": found.sprint["goal"],
        "objective": found.objective.model_dump(mode="json"),
        "status": found.sprint["status"],
        **facts,
        "experiments": {status: statuses.count(status) for status in sorted(set(statuses))},
        "findings": [
            {
                "claim": row["insight"].claim,
                "verdict": row["insight"].verdict.model_dump(mode="json"),
                "command": row["insight"].command,
                **{key: row["facts"].get(key) for key in ("rating", "words", "next", "recipe")},
            }
            for row in found.found
        ],
    }


def _proposal(found: Findings, row: Row) -> dict[str, Any]:
    reviews = [
        {"role": one["role"], "score": one["score"], **one["content"]}
        for one in found.reviews
        if one["proposal_id"] == row["id"]
    ]
    return {
        "experiment": row["id"],
        "status": row["status"],
        **row["proposal"].model_dump(mode="json"),
        **row["facts"],
        "reviews": reviews,
    }


def _commands(found: Findings) -> str:
    """One line for each arm and stage that was run; what is known is looked up, so it trains nothing."""
    quiet = [str(one) for one in found.told.charter.get("quiet", ())]
    lines = [
        "#!/bin/sh",
        "# The trials of this sprint; `force=true` behind a line trains it again.",
        "set -e",
    ]
    for row, stage, trials in _ran(found):
        typed = [*quiet, *found.fixed, *row["proposal"].overrides, *shared(trials)]
        lines.append(f"# experiment {row['id']}, {stage}, {row['status']}")
        lines.append(command(typed, [trial.seed for trial in sorted(trials, key=lambda trial: trial.id)]))
    return "\n".join(lines) + "\n"


def _ran(found: Findings) -> Iterator[tuple[Row, str, list[Trial]]]:
    """Each proposal with the trials of each stage that it has come to."""
    for row in found.experiments:
        for stage in STAGES:
            numbers = ids(row, stage)
            trials = {trial.id: trial for trial in found.store.trials(ids=numbers)} if numbers else {}
            if trials:
                yield row, stage, [trials[number] for number in numbers if number in trials]


def _results(found: Findings) -> list[dict[str, Any]]:
    """Every trial of the sprint: experiment, stage, seed, metrics, how its joules were taken."""
    rows = []
    for row, stage, trials in _ran(found):
        results = found.store.results([trial.id for trial in trials])
        rows += [
            {
                "experiment": row["id"],
                "stage": stage,
                "trial": trial.id,
                "seed": trial.seed,
                "overrides": shlex.join(row["proposal"].overrides),
                "metrics": results[trial.id].metrics if trial.id in results else {},
                **how_taken(results.get(trial.id)),
            }
            for trial in trials
        ]
    return rows

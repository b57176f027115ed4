"""What a sprint leaves on disk: summary, proposals, commands, results, report; each whole or not at all."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from research.page import put
from research.report.campaign import write
from research.report.findings import Findings
from research.stats.comparable import how_taken
from research.stats.draws import shared
from research.stats.sentences import command
from research.store.store import Store

STAGES = ("screened", "promoted", "confirmed")
Row = Mapping[str, Any]


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
    return write(store, sprint_id, folder)


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


def _trials(found: Findings, row: Row) -> dict[str, list[int]]:
    return {stage: list(row["facts"].get(stage) or []) for stage in STAGES}


def _commands(found: Findings) -> str:
    """One line for each arm and stage that was run; what is known is looked up, so it trains nothing."""
    quiet = [str(one) for one in found.told.charter.get("quiet", ())]
    lines = [
        "#!/bin/sh",
        "# The trials of this sprint; `force=true` behind a line trains it again.",
        "set -e",
    ]
    for row in found.experiments:
        for stage, ids in _trials(found, row).items():
            trials = found.store.trials(ids=ids) if ids else []
            if trials:
                typed = [*quiet, *found.fixed, *row["proposal"].overrides, *shared(trials)]
                lines.append(f"# experiment {row['id']}, {stage}, {row['status']}")
                lines.append(command(typed, [trial.seed for trial in trials]))
    return "\n".join(lines) + "\n"


def _results(found: Findings) -> list[dict[str, Any]]:
    """Every trial of the sprint: experiment, stage, seed, metrics, how its joules were taken."""
    rows = []
    for row in found.experiments:
        for stage, ids in _trials(found, row).items():
            trials = {trial.id: trial for trial in found.store.trials(ids=ids)} if ids else {}
            results = found.store.results(ids)
            rows += [
                {
                    "experiment": row["id"],
                    "stage": stage,
                    "trial": number,
                    "seed": trials[number].seed,
                    "overrides": shlex.join(row["proposal"].overrides),
                    "metrics": results[number].metrics if number in results else {},
                    **how_taken(results.get(number)),
                }
                for number in ids
                if number in trials
            ]
    return rows

"""`task=list`: recipes of conf/experiment, and proposals, trials and insights of the database."""

from collections.abc import Callable
from typing import Any, final, get_args

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.campaign.recipe import names, recipe
from research.stats.sentences import stopped
from research.tasks.answer import Answer, short, table
from research.types import Result, Trial, TrialStatus, VerdictWord

PROPOSAL_STATUSES = (
    *("proposed", "queued", "running", "screened", "promoted", "supported", "refuted", "open"),
    *("failed", "repeat", "refused", "dropped", "stopped", "control"),
)
_USUAL = 10
"""rows of a table, where nobody says how many"""
STATUSES: dict[str, tuple[str, ...]] = {
    "proposals": PROPOSAL_STATUSES,
    "trials": (*get_args(TrialStatus), "lost"),
    "insights": get_args(VerdictWord),
    "recipes": (),
}


@final
class Listing(Answer):
    """Rows of one kind as plain mappings with equal keys."""

    what: str
    rows: tuple[dict[str, Any], ...]
    recipes: tuple[dict[str, Any], ...] = ()
    """what may be run by name; listed with the proposals, unless one status is asked for"""

    def text(self) -> str:
        """Recipes as blocks, for their sentences are long, and rows as a table below."""
        blocks = []
        for row in self.rows if self.what == "recipes" else self.recipes:
            lines = [f"  {key:<9} {value}" for key, value in row.items() if key != "name"]
            blocks.append("\n".join([str(row["name"]), *lines]))
        return "\n\n".join([*blocks, *([] if self.what == "recipes" else [self._table()])])

    def _table(self) -> str:
        if not self.rows:
            return f"no {self.what} in the database" if self.recipes else f"no {self.what}"
        heads = list(self.rows[0])
        return "\n".join(table(heads, [[_cell(row[head]) for head in heads] for row in self.rows]))


def listing(campaign: Campaign, what: str | None, status: str | None, limit: int | None) -> Listing:
    """The rows asked for. Raises `Refusal` for another `what`, or a status that it does not have."""
    what = "proposals" if what == "experiments" else what  # its former name
    if what not in STATUSES:
        shown = "what is missing" if what in (None, "") else f"what={what} cannot be listed"
        raise Refusal(f"{shown}: choose what={'|'.join(STATUSES)}.")
    if status is not None and status not in STATUSES[what]:
        known = f"choose status={'|'.join(STATUSES[what])}" if STATUSES[what] else "leave status out"
        raise Refusal(f"No {what} have status={status}: {known}.")
    if limit is not None and limit < 1:
        raise Refusal(f"limit={limit} lists nothing: give a whole number of rows above 0.")
    find: dict[str, Callable[[Campaign, Any, int], list[dict[str, Any]]]] = {
        "proposals": _proposals,
        "trials": _trials,
        "insights": _insights,
    }
    recipes = _recipes(campaign)[:limit] if what == "recipes" or (what, status) == ("proposals", None) else []
    if what == "recipes":
        return Listing(what=what, rows=tuple(recipes))
    # What can be run by name is there before anything was run.
    rows = (
        find[what](campaign, status, _USUAL if limit is None else limit)
        if campaign.exists or not recipes
        else []
    )
    return Listing(what=what, rows=tuple(rows), recipes=tuple(recipes))


def _newest(campaign: Campaign, table: str, limit: int, **where: str | None) -> list[dict[str, Any]]:
    from research.store import queries

    with campaign.known.read() as connection:
        return queries.rows(connection, table, limit, **where)


def _proposals(campaign: Campaign, status: str | None, limit: int) -> list[dict[str, Any]]:
    return [
        {
            "id": row["id"],
            "status": row["status"],
            "score": (row["facts"].get("review") or {}).get("score"),
            **{key: row["proposal"].get(key) for key in ("proposer", "overrides", "hypothesis")},
        }
        for row in _newest(campaign, "proposal", limit, status=status)
    ]


def _trials(campaign: Campaign, status: str | None, limit: int) -> list[dict[str, Any]]:
    rows = campaign.known.trials(word=status, limit=limit)
    results = campaign.known.results([row.id for row in rows])
    return [_trial_line(row, results.get(row.id)) for row in rows]


def _trial_line(row: Trial, result: Result | None) -> dict[str, Any]:
    metrics, facts = (result.metrics, result.facts) if result else ({}, {})
    return {
        "id": row.id,
        "status": row.word,
        "score": metrics.get(str(row.config.get("score"))),
        "joules": metrics.get("train/energy_j"),
        "method": facts.get("energy_method"),
        "disturbed": ", ".join(facts.get("disturbed") or ()) or None,
        "seed": row.seed,
        "overrides": row.overrides,
        "reason": stopped(row.reason) or row.reason,
    }


def _insights(campaign: Campaign, word: str | None, limit: int) -> list[dict[str, Any]]:
    return [
        {
            "id": row["id"],
            "verdict": row["word"],
            "rating": row["facts"].get("rating"),
            "sprint": row["sprint_id"],
            "claim": row["insight"]["claim"],
            "command": row["insight"]["command"],
        }
        for row in _newest(campaign, "insight", limit, word=word)
    ]


def _recipes(campaign: Campaign) -> list[dict[str, Any]]:
    """Every recipe with its question, claim, expected result and cost."""
    recipes = ((name, recipe(campaign.conf, name)) for name in names(campaign.conf))
    return [
        {
            "name": name,
            "question": read.study.question,
            "claim": read.study.claim,
            "expected": read.header.get("Expected", "not measured yet"),
            "cost": read.header.get("Cost", "unknown"),
            "run": f"python agent.py experiment={name}",
        }
        for name, read in recipes
        if read.study is not None
    ]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return short(" ".join(value) if isinstance(value, tuple | list) else str(value))

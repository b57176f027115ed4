"""`task=list`: proposals, with the recipes that are at hand by name, trials and insights."""

from collections.abc import Callable
from typing import Any, final, get_args

from refusal import Refusal
from research.campaign.recipe import names, recipe
from research.stats.sentences import stopped
from research.tasks.answer import Answer, short, table
from research.tasks.desk import Desk
from research.types import Proposal, TrialStatus, VerdictWord

PROPOSAL_STATUSES = (
    *("proposed", "queued", "running", "screened", "promoted", "supported", "refuted", "open"),
    *("failed", "repeat", "refused", "dropped", "stopped", "control"),
)
STATUSES: dict[str, tuple[str, ...]] = {
    "proposals": PROPOSAL_STATUSES,
    "trials": (*get_args(TrialStatus), "stopped"),
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
        blocks = [_block(row) for row in (self.rows if self.what == "recipes" else self.recipes)]
        return "\n\n".join([*blocks, *([] if self.what == "recipes" else [self._table()])])

    def _table(self) -> str:
        if not self.rows:
            return f"no {self.what} in the database" if self.recipes else f"no {self.what}"
        heads = list(self.rows[0])
        return "\n".join(table(heads, [[_cell(row[head]) for head in heads] for row in self.rows]))


def listing(desk: Desk, what: str | None, status: str | None, limit: int) -> Listing:
    """The rows asked for. Raises `Refusal` for another `what`, or a status that it does not have."""
    what = "proposals" if what == "experiments" else what  # its former name
    if what not in STATUSES:
        shown = "what is missing" if what in (None, "") else f"what={what} cannot be listed"
        raise Refusal(f"{shown}: choose what={'|'.join(STATUSES)}.")
    if status is not None and status not in STATUSES[what]:
        known = f"choose status={'|'.join(STATUSES[what])}" if STATUSES[what] else "leave status out"
        raise Refusal(f"No {what} have status={status}: {known}.")
    if limit < 1:
        raise Refusal(f"limit={limit} lists nothing: give a whole number of rows above 0.")
    find: dict[str, Callable[[Desk, Any, int], list[dict[str, Any]]]] = {
        "proposals": _proposals,
        "trials": _trials,
        "insights": _insights,
        "recipes": _recipes,
    }
    recipes = _recipes(desk, None, limit) if what == "proposals" and status is None else []
    # What can be run by name is there before anything was run.
    rows = find[what](desk, status, limit) if desk.exists or not recipes else []
    return Listing(what=what, rows=tuple(rows), recipes=tuple(recipes))


def _newest(desk: Desk, table: str, limit: int, **where: str | None) -> list[dict[str, Any]]:
    from research.store import queries

    with desk.known.read() as connection:
        return queries.rows(connection, table, limit, **where)


def _proposals(desk: Desk, status: str | None, limit: int) -> list[dict[str, Any]]:
    found = []
    for row in _newest(desk, "proposal", limit, status=status):
        proposal = Proposal.model_validate(row["proposal"])
        found.append(
            {
                "id": row["id"],
                "status": row["status"],
                "score": (row["facts"].get("review") or {}).get("score"),
                "proposer": proposal.proposer,
                "overrides": proposal.overrides,
                "hypothesis": proposal.hypothesis,
            }
        )
    return found


def _trials(desk: Desk, status: str | None, limit: int) -> list[dict[str, Any]]:
    rows = desk.known.trials(word=status, limit=limit)
    results = desk.known.results([row.id for row in rows])
    found = []
    for row in rows:
        metrics = results[row.id].metrics if row.id in results else {}
        facts = results[row.id].facts if row.id in results else {}
        found.append(
            {
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
        )
    return found


def _insights(desk: Desk, word: str | None, limit: int) -> list[dict[str, Any]]:
    return [
        {
            "id": row["id"],
            "verdict": row["word"],
            "rating": row["facts"].get("rating"),
            "sprint": row["sprint_id"],
            "claim": row["insight"]["claim"],
            "command": row["insight"]["command"],
        }
        for row in _newest(desk, "insight", limit, word=word)
    ]


def _recipes(desk: Desk, status: str | None, limit: int) -> list[dict[str, Any]]:
    """Every recipe with its question, claim, expected result and cost, whatever the limit: there are few."""
    found = []
    for name in names(desk.conf):
        one = recipe(desk.conf, name)
        if one.study is not None:
            told = {"question": one.study.question, "claim": one.study.claim}
            told["expected"] = one.header.get("Expected", "not measured yet")
            told["cost"] = one.header.get("Cost", "unknown")
            found.append({"name": name, **told, "run": f"python agent.py experiment={name}"})
    return found


def _block(row: dict[str, Any]) -> str:
    lines = [f"  {key:<9} {value}" for key, value in row.items() if key != "name"]
    return "\n".join([str(row["name"]), *lines])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return short(" ".join(value) if isinstance(value, tuple | list) else str(value))

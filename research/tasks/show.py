"""`task=show id=12`: all that the database knows of one trial, proposal, insight or sprint."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, final

from research.campaign.campaign import Campaign
from research.goal.saying import recalled
from research.metrics import quantity
from research.stats.comparable import how_taken
from research.stats.sentences import command
from research.tasks.answer import Answer, Reference, absent, pairs, reference
from research.types import Objective

if TYPE_CHECKING:
    from research.store.store import Store

STAGES = ("screened", "promoted", "confirmed")
_MOMENTS = ("started", "finished", "created")
"""columns in seconds since 1970, which a document keeps and a person cannot read"""


@final
class Shown(Answer):
    """One row with what belongs to it."""

    kind: str
    id: int
    about: dict[str, Any]
    """columns of the row"""
    figures: dict[str, float] = {}
    """of a trial: metric -> value"""
    related: dict[str, Any] = {}
    """rows that belong to it: trials of each stage, reviews, proposals, insights"""
    command: str | None = None
    """the line that repeats it"""

    def text(self) -> str:
        """Fields in lines, figures with their units, the command last."""
        about = {key: _moment(value) if key in _MOMENTS else value for key, value in self.about.items()}
        lines = [f"{self.kind} {self.id}", *pairs(about, "  ")]
        lines += pairs({key: quantity(key, value) for key, value in self.figures.items()}, "  ")
        for name, own in self.related.items():
            rows = [_line(row) for row in (own if isinstance(own, list) else [own])]
            lines += [f"  {name}", *(f"    {row}" for row in rows)] if any(rows) else []
        return "\n".join([*lines, *([f"  repeat  {self.command}"] if self.command else [])])


def show(campaign: Campaign, id: int | str | None) -> Shown:
    """Look up the row that `id` names. Raises `Refusal` when there is none."""
    wanted = reference(id, "id")
    find: dict[str, Callable[[Store, Reference], Shown]] = {
        "trial": _trial,
        "proposal": _proposal,
        "insight": _insight,
        "sprint": _sprint,
    }
    return find[wanted.kind](campaign.known, wanted)


def row_of(store: "Store", wanted: Reference) -> dict[str, Any]:
    """The row of a table with an id. Raises `Refusal` when there is none."""
    from research.store import queries

    with store.read() as connection:
        row = queries.row(connection, wanted.kind, wanted.number)
    if row is None:
        raise absent(wanted)
    return row


def _trial(store: "Store", wanted: Reference) -> Shown:
    rows = store.trials(ids=[wanted.number])
    if not rows:
        raise absent(wanted)
    trial, results = rows[0], store.results([wanted.number])
    about = trial.model_dump(exclude={"id", "key", "config", "lost"}) | trial.key._asdict()
    about["seconds"] = None if trial.finished is None else trial.finished - trial.started
    about["status"] = trial.word
    facts = results[trial.id].facts if results else {}
    about |= how_taken(results.get(trial.id))
    seeds = () if any(text.startswith("seed=") for text in trial.overrides) else (trial.seed,)
    return Shown(
        kind="trial",
        id=trial.id,
        about=about,
        figures=results[trial.id].metrics if results else {},
        related={"facts": facts, "points of its learning curve": len(store.curve(trial.id))},
        command=command(trial.overrides, seeds),
    )


def _proposal(store: "Store", wanted: Reference) -> Shown:
    row = row_of(store, wanted)
    reviews = [
        {key: review[key] for key in ("role", "score", "content")}
        for review in store.reviews(proposal_id=wanted.number)
    ]
    insights = [insight["id"] for insight in store.insights() if insight["proposal_id"] == wanted.number]
    related = {"trials": {stage: row["facts"].get(stage, []) for stage in STAGES}}
    return Shown(
        kind="proposal",
        id=wanted.number,
        about={"status": row["status"], "sprint": row["sprint_id"], **row["proposal"]},
        related={
            **related,
            "facts": _but(row["facts"], *STAGES, "charter", "lease"),
            "reviews": reviews,
            "insights": insights,
        },
    )


def _insight(store: "Store", wanted: Reference) -> Shown:
    row = row_of(store, wanted)
    insight = row["insight"]
    verdict = insight["verdict"]
    about = {"verdict": row["word"], "claim": insight["claim"], "energy_method": insight["energy_method"]}
    about |= {"rating": row["facts"].get("rating"), "reason": verdict["reason"]}
    about |= {
        "comparison": verdict["comparison"],
        "told": verdict.get("told"),
        "trials": verdict["trial_ids"],
    }
    about |= {"sprint": row["sprint_id"], "proposal": row["proposal_id"]}
    related = {"facts": _but(row["facts"], "rating")}
    return Shown(kind="insight", id=wanted.number, about=about, related=related, command=insight["command"])


def _sprint(store: "Store", wanted: Reference) -> Shown:
    from research.store import leases

    row = row_of(store, wanted)
    proposals = store.proposals(sprint_id=wanted.number)
    counts = Counter(proposal["status"] for proposal in proposals)
    own = store.insights(sprint_id=wanted.number)
    insights = [f"{insight['word']}: {insight['insight'].claim}" for insight in own]
    about = {key: row[key] for key in ("goal", "status", "objective", "folder", "created")}
    with store.read() as connection:
        about["status"] = leases.word(connection, row)
    return Shown(
        kind="sprint",
        id=wanted.number,
        about={"asked": asked_of(row), **about, "proposals": dict(counts)},
        related={"insights": insights, "facts": _but(row["facts"], "charter")},
    )


def asked_of(row: Mapping[str, Any]) -> str | None:
    """The goal of a campaign's sprint as it was understood; an experiment asks its own question."""
    charter = row["facts"].get("charter") or {}
    return recalled(charter, Objective.model_validate(row["objective"])) if "goal" in charter else None


def _moment(seconds: Any) -> Any:
    told = isinstance(seconds, float | int)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC" if told else seconds


def _but(facts: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key not in names}


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return "; ".join(f"{key}: {item}" for key, item in value.items() if item not in (None, "", [], {}, ()))

"""What the finished sprints of a campaign leave to the next one, read from their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from research.campaign.bench import Arm, Bench
from research.propose.proposer import Seen, SeenStatus
from research.store.store import Store
from research.types import Proposal

Row = Mapping[str, Any]
_FIGURES = ("screened", "promoted", "supported", "refuted", "open")
_TOLD: dict[str, SeenStatus] = {
    "failed": "failed",
    "stopped": "failed",
    "refused": "refused",
    "repeat": "repeat",
    "dropped": "refused",
}


@final
@dataclass(frozen=True)
class Past:
    """Arms with figures, everything that was tried, what waits, and what is settled."""

    arms: list[Arm] = field(default_factory=list)
    proposals: dict[int, Proposal] = field(default_factory=dict)
    """experiment -> its proposal"""
    seen: list[tuple[Proposal, Seen]] = field(default_factory=list)
    queued: list[Row] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    """signatures of arms that have their verdict: they are not judged again"""


def rows_of(store: Store, campaign: str) -> dict[int, Row]:
    """Number -> the row of each sprint of a campaign; of several rows of one number the newest."""
    found = [row for row in store.sprints() if row["facts"].get("campaign") == campaign]
    return {int(row["facts"].get("number", 1)): row for row in found}


def past(store: Store, sprints: Sequence[Row], bench: Bench, seeds: Sequence[int], looks: int) -> Past:
    """What `sprints`, in their order, have left; figures are means over the screening's `seeds`."""
    found = Past()
    for row in (one for sprint in sprints for one in store.proposals(sprint_id=sprint["id"])):
        if row["status"] == "queued":
            found.queued.append(row)
        elif row["facts"].get("stopped"):
            continue  # the control stopped at the bound is taken over as such, and may be judged again
        elif row["status"] in _FIGURES and "carried" not in row["facts"]:
            _figured(found, row, bench, seeds)
        elif row["status"] in _TOLD:
            _ended(found, row)
        if row["status"] in ("supported", "refuted") or row["facts"].get("looks", 0) >= looks:
            found.settled.add(str(row["facts"].get("signature")))
    return found


def _figured(found: Past, row: Row, bench: Bench, seeds: Sequence[int]) -> None:
    proposal: Proposal = row["proposal"]
    arm = Arm(proposal.overrides, proposal.proposer, row["id"], facts=dict(row["facts"]))
    ids = [number for stage in ("screened", "promoted") for number in row["facts"].get(stage, [])]
    arm.trials |= {trial.seed: trial.id for trial in bench.store.trials(ids=ids)}
    means = {key: value for key, value in bench.means(arm, seeds).items() if not key.startswith("test/")}
    if means:
        found.arms.append(arm)
        found.proposals[arm.proposal_id] = proposal
        found.seen.append((proposal, _seen(proposal, "done", means, None)))


def _ended(found: Past, row: Row) -> None:
    reasons = row["facts"].get("reasons") or [None]
    seen = _seen(row["proposal"], _TOLD[row["status"]], {}, reasons[0])
    found.seen.append((row["proposal"], seen))


def _seen(proposal: Proposal, status: SeenStatus, metrics: dict[str, float], reason: str | None) -> Seen:
    return Seen(
        overrides=proposal.overrides,
        proposer=proposal.proposer,
        status=status,
        metrics=metrics,
        reason=reason,
    )

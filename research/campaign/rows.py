"""The experiment rows of a sprint: a new proposal opens one, a continued sprint finds its own again."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from research.campaign.bench import Arm, Bench
from research.campaign.budget import paid
from research.metrics import untested
from research.propose.bandit import Asked
from research.propose.proposer import Seen, SeenStatus
from research.store.store import Store
from research.team.review import Opinion
from research.types import Proposal

Row = Mapping[str, Any]
_ALIVE = ("queued", "running", "screened", "promoted", "supported", "refuted", "open", "failed", "stopped")
"""statuses of a proposal that was accepted: a continued sprint need not ask for it again"""


@final
class Rows:
    """Opens rows, and hands out those that an interrupted run of the same sprint has left.

    A sprint that continues takes the same way again, because what its trials measured is in the store. So a
    proposal of equal proposer and overrides is the row that was written for it before, in the order of rows.
    """

    def __init__(self, store: Store, sprint_id: int) -> None:
        self._store, self._sprint_id = store, sprint_id
        self.before: list[Row] = list(store.proposals(sprint_id=sprint_id))
        """what an interrupted run of this sprint has left"""
        self._left: dict[tuple[str, tuple[str, ...]], deque[Row]] = defaultdict(deque)
        for row in self.before:
            self._left[_key(row["proposal"])].append(row)

    def accepted(self, proposer: str) -> list[Row]:
        """The rows of a proposer that were accepted before, in their order."""
        return [
            row for row in self.before if row["proposal"].proposer == proposer and row["status"] in _ALIVE
        ]

    def before_of(self, proposal: Proposal) -> Row | None:
        """The row that an earlier run of this sprint has written for a proposal, None for a new one."""
        left = self._left.get(_key(proposal))
        return left[0] if left else None

    def paid(self, number: int) -> Asked | None:
        """What an earlier run of this sprint has paid the model for a proposal; None for a new one."""
        return next((paid(row["facts"]) for row in self.before if row["id"] == number), None)

    def open(
        self, proposal: Proposal, status: str, facts: Mapping[str, Any], opinions: Sequence[Opinion] = ()
    ) -> int:
        """The id of a proposal's row, written with its reviews unless it is there."""
        left = self._left[_key(proposal)]
        if left:
            return int(left.popleft()["id"])
        number = self._store.add_proposal(
            proposal, sprint_id=self._sprint_id, status=status, facts=dict(facts)
        )
        add_reviews(self._store, number, opinions, (facts.get("review") or {}).get("round", 0))
        return number


def add_reviews(store: Store, number: int, opinions: Sequence[Opinion], round_: int) -> None:
    """Write down what reviewers said of an experiment."""
    for one in opinions:
        facts = {"round": round_}
        store.add_review(number, role=one.role, score=one.score, content=one.content(), facts=facts)


def _key(proposal: Proposal) -> tuple[str, tuple[str, ...]]:
    return proposal.proposer, tuple(proposal.overrides)


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
class Earlier:
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


def earlier(store: Store, sprints: Sequence[Row], bench: Bench, seeds: Sequence[int], looks: int) -> Earlier:
    """What `sprints`, in their order, have left; figures are means over the screening's `seeds`."""
    found = Earlier()
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


def _figured(found: Earlier, row: Row, bench: Bench, seeds: Sequence[int]) -> None:
    proposal: Proposal = row["proposal"]
    arm = Arm(proposal.overrides, proposal.proposer, row["id"], facts=dict(row["facts"]))
    ids = [number for stage in ("screened", "promoted") for number in row["facts"].get(stage, [])]
    arm.trials |= {trial.seed: trial.id for trial in bench.store.trials(ids=ids)}
    means = untested(bench.means(arm, seeds))
    if means:
        found.arms.append(arm)
        found.proposals[arm.proposal_id] = proposal
        found.seen.append((proposal, _seen(proposal, "done", means, None)))


def _ended(found: Earlier, row: Row) -> None:
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

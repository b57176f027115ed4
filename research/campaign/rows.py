"""Proposals as rows: those that a sprint opens or finds again, what earlier sprints left, what was tried."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

from research.campaign.bench import Arm, Bench
from research.campaign.budget import paid
from research.metrics import rank, untested
from research.propose.bandit import Asked
from research.propose.proposer import Seen, SeenStatus, State
from research.store.store import Store
from research.team.review import Opinion
from research.types import Objective, Proposal, ProposalFacts, SprintFacts

if TYPE_CHECKING:
    from research.campaign.admission import Admission
    from research.campaign.campaign import Campaign

Row = Mapping[str, Any]
_SETTLED = ("queued", "proposed", "dropped", "failed", "screened", "promoted", "supported", "refuted", "open")
"""statuses of proposals that nobody need make again"""
_ALIVE = ("queued", "running", "screened", "promoted", "supported", "refuted", "open", "failed", "stopped")
"""statuses of a proposal that was accepted: a continued sprint need not ask for it again"""


@final
class Rows:
    """Opens rows, and hands out those that an interrupted run of the same sprint has left.

    A sprint that continues takes the same way again, so a proposal of equal proposer and overrides is the row
    that was written for it before, in the order of rows.
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
        alive = (row for row in self.before if row["status"] in _ALIVE)
        return [row for row in alive if row["proposal"].proposer == proposer]

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
    for opinion in opinions:
        content, facts = opinion.content(), {"round": round_}
        store.add_review(number, role=opinion.role, score=opinion.score, content=content, facts=facts)


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
    told = ((SprintFacts.of(row), row) for row in store.sprints())
    return {facts.number: row for facts, row in told if facts.campaign == campaign}


def earlier(store: Store, sprints: Sequence[Row], bench: Bench, seeds: Sequence[int], looks: int) -> Earlier:
    """What `sprints`, in their order, have left; figures are means over the screening's `seeds`."""
    found = Earlier()
    for row in (one for sprint in sprints for one in store.proposals(sprint_id=sprint["id"])):
        facts = ProposalFacts.of(row)
        if row["status"] == "queued":
            found.queued.append(row)
        elif facts.stopped:
            continue  # the control stopped at the bound is taken over as such, and may be judged again
        elif row["status"] in _FIGURES and facts.carried is None:
            _figured(found, row, bench, seeds)
        elif row["status"] in _TOLD:
            _ended(found, row)
        if row["status"] in ("supported", "refuted") or facts.looks >= looks:
            found.settled.add(str(facts.signature))
    return found


def carried(best: Sequence[Arm], left: Earlier, rows: Rows) -> list[Arm]:
    """The best arms, those of earlier sprints in `rows` of this one."""
    own = []
    for arm in best:
        proposal = left.proposals.get(arm.proposal_id)
        if proposal is not None:
            facts = {**arm.facts, "carried": arm.proposal_id}
            facts.pop("asked", None)  # its own sprint has paid the model for it
            number = rows.open(proposal, "promoted", facts)
            arm = Arm(arm.overrides, arm.proposer, number, dict(arm.trials), facts=dict(facts))
        own.append(arm)
    return own


def _figured(found: Earlier, row: Row, bench: Bench, seeds: Sequence[int]) -> None:
    proposal: Proposal = row["proposal"]
    arm = Arm(proposal.overrides, proposal.proposer, row["id"], facts=dict(row["facts"]))
    facts = ProposalFacts.of(row)
    ids = [number for number in (*facts.screened, *facts.promoted) if number is not None]
    arm.trials |= {trial.seed: trial.id for trial in bench.store.trials(ids=ids)}
    means = bench.means(arm, seeds)
    if means:
        found.arms.append(arm)
        found.proposals[arm.proposal_id] = proposal
        found.seen.append((proposal, seen_of(proposal, "done", means, None)))


def _ended(found: Earlier, row: Row) -> None:
    reason = next(iter(ProposalFacts.of(row).reasons), None)
    found.seen.append((row["proposal"], seen_of(row["proposal"], _TOLD[row["status"]], {}, reason)))


def _nothing_runs(jobs: Sequence[Any]) -> Iterator[Any]:
    raise AssertionError("proposing runs no trial")


@final
class Tried:
    """What the database knows of a campaign's question before anything is proposed; nothing is run here."""

    def __init__(self, campaign: "Campaign") -> None:
        self._campaign, self.bench = campaign, campaign.bench(_nothing_runs)
        self._rows: list[Row] = list(campaign.store.proposals()) if campaign.exists else []
        sprints = campaign.store.sprints() if self._rows else []
        self._charters = {row["id"]: SprintFacts.of(row).charter for row in sprints}

    @cached_property
    def seen(self) -> list[tuple[Proposal, Seen]]:
        """Proposals to the same question, oldest first, with their screened means."""
        alike = (row for row in self._rows if row["status"] in _SETTLED and self._alike(row))
        return [(row["proposal"], self._seen(row)) for row in alike]

    @cached_property
    def admission(self) -> "Admission":
        """Lets proposals in: what passes the gate, lies in the field, and was never proposed before."""
        from research.campaign.admission import Admission

        campaign = self._campaign
        doubted, outside = campaign.recall.doubted, campaign.scope.outside
        admission = Admission(self.bench, None, campaign.thresholds, doubted=doubted, outside=outside)
        admission.objective = self._objective
        admission.seen = [seen for _, seen in self.seen]
        known = {str(facts.signature) for facts in map(ProposalFacts.of, self._rows) if facts.signature}
        for signature in known | {self.bench.signature(())}:
            admission.tried(signature, "")
        return admission

    def state(self) -> State:
        """The search as proposers see it: validation figures only."""
        charter, seen, objective = self._campaign.charter, self.admission.seen, self._objective
        done = [one for one in seen if one.metrics]
        return State(
            goal=charter.goal.text,
            objective=objective,
            asked=self._campaign.objective,
            fixed=charter.fixed,
            control=None,
            incumbent=min(done, key=lambda one: rank(objective, one.metrics), default=None),
            seen=tuple(seen),
        )

    def _alike(self, row: Row) -> bool:
        """Whether a proposal was made for the same metric under the same fixed overrides."""
        charter = self._campaign.charter
        kept = ProposalFacts.of(row).charter or self._charters.get(row["sprint_id"])
        if not kept or sorted(kept["fixed"]) != sorted(charter.fixed):
            return False
        return bool(kept["goal"]["objective"]["metric"] == charter.goal.objective.metric)

    @cached_property
    def _objective(self) -> Objective:
        """As it is screened; a bound relative to the control by the newest one of the same question.

        Before there is one, nothing is known to keep such a bound.
        """
        rows = (row for row in reversed(self._rows) if row["status"] == "control" and self._alike(row))
        own = next((row for row in rows if not ProposalFacts.of(row).stopped), None)
        return self._campaign.objective.resolved(self._seen(own).metrics if own else {})

    def _seen(self, row: Row) -> Seen:
        facts = ProposalFacts.of(row)
        results = self._campaign.store.results(number for number in facts.screened if number is not None)
        figures = [result.metrics for result in results.values()]
        keys = set[str].intersection(*map(set, figures)) if figures else ()
        means = {key: sum(each[key] for each in figures) / len(figures) for key in sorted(keys)}
        status: SeenStatus = "done" if means else "failed" if row["status"] == "failed" else "refused"
        return seen_of(row["proposal"], status, means, next(iter(facts.reasons), None))


def seen_of(proposal: Proposal, status: SeenStatus, metrics: Mapping[str, float], reason: str | None) -> Seen:
    """A proposal as proposers see it, without figures of the test split."""
    return Seen(
        overrides=proposal.overrides,
        proposer=proposal.proposer,
        status=status,
        metrics=untested(metrics),
        reason=reason,
    )


def _key(proposal: Proposal) -> tuple[str, tuple[str, ...]]:
    return proposal.proposer, tuple(proposal.overrides)

"""The experiment rows of a sprint: a new proposal opens one, a continued sprint finds its own again."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any, final

from research.campaign.bill import paid
from research.propose.account import Asked
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
        for one in opinions:
            told = {"round": (facts.get("review") or {}).get("round", 0)}
            self._store.add_review(number, role=one.role, score=one.score, content=one.content(), facts=told)
        return number


def _key(proposal: Proposal) -> tuple[str, tuple[str, ...]]:
    return proposal.proposer, tuple(proposal.overrides)

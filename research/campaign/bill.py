"""What the model's questions cost in a sprint, put on the account of the proposals that came of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

from research.llm.ledger import Spent, tally
from research.propose.bandit import NOTHING, Asked
from research.store.store import Store

_FREE = Spent(dollars=0.0, joules=0.0)


@final
class Bill:
    """Hands out what is due since it was last asked; without a model nothing ever is.

    A discussion is paid in equal parts with each proposal that it has queued, so that the first of them does
    not pay for all. A part stands in its proposal's row: a sprint that continues pays the same again.
    """

    def __init__(
        self,
        spent: Callable[[], Spent] = lambda: _FREE,
        waiting: Callable[[], int] = lambda: 0,
        owed: Asked = NOTHING,
    ) -> None:
        """`spent` is the ledger's, `waiting` counts queued proposals, `owed` is what an earlier run left."""
        self._spent, self._waiting = spent, waiting
        at = spent()
        self._joules, self._unknown = at.known_joules - owed.joules, at.unknown_calls - owed.unknown

    def part(self) -> Asked:
        """What is due with one proposal; what still waits in the queue keeps its share."""
        return self._take(1 + self._waiting())

    def rest(self) -> Asked:
        """All that is due: questions of which no proposal has come."""
        return self._take(1)

    def _take(self, among: int) -> Asked:
        now = self._spent()
        due = Asked(
            joules=(now.known_joules - self._joules) / among, unknown=now.unknown_calls - self._unknown
        )
        self._joules, self._unknown = self._joules + due.joules, now.unknown_calls
        return due


def paid(facts: Mapping[str, Any]) -> Asked | None:
    """What a proposal's row says that it has paid; None where it says nothing."""
    return Asked.model_validate(facts["asked"]) if facts.get("asked") else None


def owed(store: Store, sprint_id: int, rows: Iterable[Mapping[str, Any]]) -> Asked:
    """What an interrupted run of a sprint has asked the model without paying it with the sprint's `rows`."""
    used = tally(store.interactions(sprint_id=sprint_id))
    parts = [part for row in rows if (part := paid(row["facts"]))]
    joules = used.known_joules - sum(part.joules for part in parts)
    return Asked(joules=max(0.0, joules), unknown=max(0, used.unknown_calls - sum(p.unknown for p in parts)))

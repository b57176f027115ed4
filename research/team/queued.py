"""The team's proposals in the turns of the language model: the queue first, then its own ones."""

from collections import deque
from collections.abc import Iterable
from typing import Any, final

from research.propose.proposer import Proposer, Seen, State
from research.types import Proposal


@final
class Queued(Proposer):
    """Hands out what the discussion has queued, and asks the proposer that it stands before after that."""

    def __init__(self, inner: Proposer) -> None:
        self.name, self.first = inner.name, inner.first
        self._inner = inner
        self._waiting: deque[Proposal] = deque()

    def put(self, proposals: Iterable[Proposal]) -> None:
        """Queue proposals behind those that wait."""
        self._waiting.extend(proposals)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def ask(self, state: State) -> Proposal | None:
        """The oldest that waits, else the inner proposer's next; raises what that raises."""
        return self._waiting.popleft() if self._waiting else self._inner.ask(state)

    def tell(self, proposal: Proposal, seen: Seen) -> None:
        """Pass it on."""
        self._inner.tell(proposal, seen)

    def spent(self) -> dict[str, Any]:
        """What the inner proposer's model has used, the team's questions included."""
        return self._inner.spent()

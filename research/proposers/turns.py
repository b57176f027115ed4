"""Who proposes next: every proposer gets its share of the turns, whoever is most behind it comes first."""

from collections.abc import Mapping, Sequence
from typing import final

from refusal import Refusal
from research.proposers.proposer import Proposer


@final
class Turns:
    """Deterministic sharing: after n turns each proposer has had its share of n, within one turn.

    A share of 0 leaves a proposer out. One that has nothing more to say leaves its turns to the others.
    """

    def __init__(self, proposers: Sequence[Proposer], shares: Mapping[str, float]) -> None:
        self._shares = {one.name: float(shares.get(one.name, 0.0)) for one in proposers}
        self._proposers = {one.name: one for one in proposers if self._shares[one.name] > 0}
        self.taken = dict.fromkeys(self._proposers, 0)
        if any(share < 0 for share in self._shares.values()) or not self._proposers:
            raise Refusal(f"proposer.shares={dict(shares)} gives nobody a turn: set one of them above 0.")

    def next(self) -> Proposer | None:
        """The proposer whose turn it is, counted as taken; None when all have left."""
        if not self._proposers:
            return None
        name = max(self._proposers, key=lambda one: (self._behind(one), self._shares[one]))
        self.taken[name] += 1
        return self._proposers[name]

    def leave(self, proposer: Proposer) -> None:
        """A proposer has nothing more to say; the turn it just took is not counted."""
        self._proposers.pop(proposer.name, None)
        self.taken[proposer.name] -= 1

    def _behind(self, name: str) -> float:
        total = sum(self._shares[one] for one in self._proposers)
        taken = sum(self.taken[one] for one in self._proposers)
        return self._shares[name] / total * (taken + 1) - self.taken[name]

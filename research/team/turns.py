"""Who proposes in a sprint: a bandit over the sources, and beside a model a control lane that has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

from research.propose.bandit import Asked, Bandit
from research.propose.lanes import Lane, Lanes
from research.propose.proposer import Proposer
from research.team.discussion import PROPOSER, Queued


class TurnOrder(Protocol):
    """Whose turn it is, and what each turn has brought."""

    def leave(self, proposer: Proposer) -> None:
        """A proposer has nothing more to say."""

    def rest(self, proposer: Proposer) -> None:
        """A proposer has nothing new until something better is found."""

    def learn(self, name: str, gain: float, joules: float) -> None:
        """What a turn brought and cost."""

    def pay(self, name: str, asked: Asked) -> None:
        """What questions to the model cost beside the trials of its turns."""

    def facts(self) -> Mapping[str, Any]:
        """What a report says of it."""


@final
@dataclass(frozen=True)
class Proposers:
    """The proposers of one sprint in their turns."""

    turns: TurnOrder
    bandits: Mapping[Lane, Bandit]
    """lane -> who is next in it; the team's alone where none runs beside it"""
    all: Sequence[Proposer]
    queue: "Queued | None"
    """the team's proposals, in the turns of the model; None where no model proposes"""

    @property
    def lanes(self) -> bool:
        """Whether a lane without the model runs beside the team's."""
        return len(self.bandits) > 1

    def waiting(self, lane: Lane) -> int:
        """Proposals that were accepted for a lane and have been promised a turn."""
        return self.queue.waiting if self.queue is not None and lane == "team" else 0

    def next(self, lane: Lane, promised: int = 0) -> Proposer | None:
        """Whose turn it is in a lane, what was accepted first; None when all have left.

        Where the team has agreed on fewer than were `promised`, the model is asked for the rest.
        """
        return self.bandits[lane].next(self._certain(lane, promised))

    def due(self, lane: Lane, promised: int = 0) -> Proposer | None:
        """Whose turn it would be, which is not taken."""
        return self.bandits[lane].due(self._certain(lane, promised))

    def _certain(self, lane: Lane, promised: int) -> str | None:
        """Whose turn it is whatever others are owed."""
        bandit, queue = self.bandits[lane], self.queue if lane == "team" else None
        left = queue is not None and queue.accepted > 0 and bandit.taken[queue.name] < promised
        return PROPOSER if left or self.waiting(lane) else None


def in_turn(
    proposers: Sequence[Proposer], control: Sequence[Proposer], shares: Mapping[str, float], seed: int
) -> Proposers:
    """The turns of `proposers`; with a model among them also of `control`, the same sources without it.

    Raises `Refusal` when nobody has a share of the turns.
    """
    wrapped = [Queued(one) if one.name == PROPOSER else one for one in proposers]
    queue = next((one for one in wrapped if isinstance(one, Queued) and shares.get(one.name, 0) > 0), None)
    other = [one for one in control if one.name != PROPOSER and shares.get(one.name, 0) > 0]
    if queue is None or not other:
        bandit = Bandit(wrapped, shares, seed=seed)
        return Proposers(bandit, {"team": bandit}, wrapped, queue)
    both = Lanes(wrapped, other, dict(shares), seed=seed)
    return Proposers(both, both.bandits, both.proposers, queue)

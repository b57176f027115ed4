"""A campaign with a model has two lanes: the team's, and a control that never has the model.

Both have the same default, the same number of turns and proposers of their own, and neither sees what the
other found: the difference between them is what the model brought. So neither depends on which of them is
quicker, and the control's trainings fill the time that the team talks.
"""

from collections.abc import Sequence
from typing import Any, Literal, final

from research.metrics import rank
from research.propose.bandit import Asked, Bandit
from research.propose.proposer import Proposer, Seen, State
from research.stats.arms import Arm
from research.types import Proposal

Lane = Literal["team", "control"]
_CONTROL = "control/"


def lane_of(proposer: str) -> Lane:
    """The lane of a proposer by its name, as it stands in a proposal, an arm or a `Seen`."""
    return "control" if proposer.startswith(_CONTROL) else "team"


def represented(arms: Sequence[Arm], count: int) -> list[Arm]:
    """Arms, the best first, so that the best of each lane is among the first `count`, where that is two.

    Else one lane alone might be promoted, and the two could not be compared.
    """
    first, rest = list(arms[:count]), list(arms[count:])
    lanes = {lane_of(arm.proposer) for arm in first}
    other = next((arm for arm in rest if lane_of(arm.proposer) not in lanes), None)
    if other is None or count < 2:
        return list(arms)
    return [*first[:-1], other, first[-1], *(arm for arm in rest if arm is not other)]


def view(state: State, proposer: str) -> State:
    """The state as the lane of `proposer` may see it: its own proposals, and the best of those."""
    lane = lane_of(proposer)
    seen = tuple(result for result in state.seen if lane_of(result.proposer) == lane)
    if len(seen) == len(state.seen):
        return state
    ran = [
        result
        for result in (state.control, state.stopped, *seen)
        if result is not None and result.status == "done"
    ]
    best = min(ran, key=lambda result: rank(state.objective, result.metrics), default=None)
    return state.model_copy(update={"seen": seen, "incumbent": best})


@final
class InLane(Proposer):
    """A proposer that sees its own lane only; in the control lane its name begins with `control/`."""

    def __init__(self, proposer: Proposer, lane: Lane) -> None:
        self._proposer = proposer
        self.first = proposer.first
        self.name = _CONTROL + proposer.name if lane == "control" else proposer.name

    def ask(self, state: State) -> Proposal | None:
        """What the proposer makes of its lane."""
        proposal = self._proposer.ask(view(state, self.name))
        return proposal.model_copy(update={"proposer": self.name}) if proposal else None

    def tell(self, proposal: Proposal, seen: Seen) -> None:
        """Pass on what its own lane found."""
        if lane_of(seen.proposer) == lane_of(self.name):
            self._proposer.tell(proposal, seen)

    def spent(self) -> dict[str, Any]:
        """What the proposer spent."""
        return self._proposer.spent()


@final
class Lanes:
    """Two bandits, one for each lane, behind the verbs of one that learns and is paid."""

    def __init__(
        self,
        team: Sequence[Proposer],
        control: Sequence[Proposer],
        shares: dict[str, float],
        *,
        seed: int = 0,
    ) -> None:
        """`team` may hold the model, `control` not; both are plain proposers, `shares` go by their names.

        No proposer may be in both. Raises what `Bandit` raises.
        """
        self.team = [InLane(proposer, "team") for proposer in team]
        self.control = [InLane(proposer, "control") for proposer in control]
        control_shares = {_CONTROL + name: share for name, share in shares.items()}
        self.bandits: dict[Lane, Bandit] = {
            "team": Bandit(self.team, shares, seed=seed),
            "control": Bandit(self.control, control_shares, seed=seed),
        }

    @property
    def proposers(self) -> list[Proposer]:
        """All that must be told what came of a proposal; each keeps what is its lane's."""
        return [*self.team, *self.control]

    def leave(self, proposer: Proposer) -> None:
        """A proposer has nothing more to say in its lane; the turn it just took is not counted."""
        self.bandits[lane_of(proposer.name)].leave(proposer)

    def rest(self, proposer: Proposer) -> None:
        """A proposer has nothing new in its lane until something better is found there."""
        self.bandits[lane_of(proposer.name)].rest(proposer)

    def learn(self, name: str, gain: float, joules: float) -> None:
        """What a turn brought and cost; a gain is over the incumbent of its lane, see `view`."""
        self.bandits[lane_of(name)].learn(name, gain, joules)

    def pay(self, name: str, asked: Asked) -> None:
        """What questions to the model cost beside the trials of its turns."""
        self.bandits[lane_of(name)].pay(name, asked)

    def facts(self) -> dict[str, dict[str, float]]:
        """Per source and lane: turns, gain, joules and its part of its lane's turns to come."""
        return {name: told for bandit in self.bandits.values() for name, told in bandit.facts().items()}

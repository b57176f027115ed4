"""Asking: proposers take turns, and each proposal is admitted or its proposer is told why it is not."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from research.campaign.admission import REPEAT, Admission, Admitted
from research.campaign.bench import Arm, Bench
from research.campaign.model import Talk
from research.campaign.rows import seen_of
from research.llm.client import LlmUnavailable
from research.llm.ledger import CapReached
from research.propose.bandit import Bandit
from research.propose.proposer import CONTROL, InLane, Lane, Proposer, Seen, SeenStatus, State, lane_of, view
from research.stats.intervals import summary
from research.team.discussion import PROPOSER, Queued
from research.team.judges import Judges
from research.types import Objective, Proposal

_TRIES = 12
"""proposals that may be refused or repeated in one turn before the turn passes to the next proposer"""
_SILENT = 3
"""turns without a proposal after which a proposer is no longer asked, until something better was found"""


@final
@dataclass(frozen=True)
class Proposers:
    """The proposers of one sprint in their turns."""

    bandits: Mapping[Lane, Bandit]
    """lane -> who is next in it; the team's alone where none runs beside it"""
    all: Sequence[Proposer]
    queue: Queued | None
    """the team's proposals, in the turns of the model; None where no model proposes"""

    @property
    def lanes(self) -> bool:
        """Whether a lane without the model runs beside the team's."""
        return len(self.bandits) > 1

    def of(self, name: str) -> Bandit:
        """The turns of a proposer's lane."""
        return self.bandits[lane_of(name)]

    def facts(self) -> dict[str, dict[str, float]]:
        """Per source and lane: turns, gain, joules and its part of its lane's turns to come."""
        return {name: told for bandit in self.bandits.values() for name, told in bandit.facts().items()}

    def waiting(self, lane: Lane) -> int:
        """Proposals that were accepted for a lane and have been promised a turn."""
        return self.queue.waiting if self.queue is not None and lane == "team" else 0

    def next(self, lane: Lane, promised: int = 0) -> Proposer | None:
        """Whose turn it is in a lane, what was accepted first; None when all have left.

        Where the team has agreed on fewer than were `promised`, the model is asked for the rest.
        """
        return self.bandits[lane].next(self._certain(lane, promised))

    def due(self, lane: Lane, promised: int) -> Proposer | None:
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

    Raises what `Bandit` raises.
    """
    wrapped = [Queued(one) if one.name == PROPOSER else one for one in proposers]
    queue = next((one for one in wrapped if isinstance(one, Queued) and shares.get(one.name, 0) > 0), None)
    other = [one for one in control if one.name != PROPOSER and shares.get(one.name, 0) > 0]
    if queue is None or not other:
        return Proposers({"team": Bandit(wrapped, shares, seed=seed)}, wrapped, queue)
    team = [InLane(one, "team") for one in wrapped]
    beside = [InLane(one, "control") for one in other]
    control_shares = {CONTROL + name: share for name, share in shares.items()}
    bandits: dict[Lane, Bandit] = {
        "team": Bandit(team, shares, seed=seed),
        "control": Bandit(beside, control_shares, seed=seed),
    }
    return Proposers(bandits, [*team, *beside], queue)


@final
class Early:
    """The team's next question, put while the other lane trains.

    The team sees nothing of that lane, so the question is the same as after its round; the answer is taken in
    then. A second question of one round must know what came of the first: it is put where nothing trains.
    """

    def __init__(self, who: Proposers, talk: Talk) -> None:
        self._who, self._talk, self._put = who, talk, False
        self.allowed = False
        """whether the model may be asked beside trainings, as it does not compute where they do"""

    @property
    def discussing(self) -> bool:
        """Whether the team is discussing, and not only asked for one more proposal."""
        return self._talk.on and not self._put

    def put(self, promised: int, state: State) -> None:
        """Put it if it is the model's turn and nothing of the team's waits; the turn itself is not taken."""
        queue = self._who.queue
        if not self.allowed or queue is None or queue.waiting or self._talk.on or self._put:
            return
        due = self._who.due("team", promised)
        if due is not None and due.name == queue.name:
            self._put, told = True, view(state, queue.name)
            self._talk.begin(lambda: queue.ask_early(told))

    def answered(self) -> None:
        """Wait for the answer, which the proposer gives when it is asked."""
        if self._put:
            self._talk.over()
            self._put = False


@final
class Asking:
    """The turns of a sprint, or of one task; what was tried is kept by the admission."""

    def __init__(
        self,
        turns_of: Callable[[str], Bandit],
        proposers: Sequence[Proposer],
        admission: Admission,
        judges: Judges | None,
        state: Callable[[], State],
        notes: list[str],
    ) -> None:
        """`turns_of` gives the turns of a proposer by its name; `state` is what proposers may know now.

        To `notes` is added who stopped proposing, and why.
        """
        self._turns_of, self._proposers, self._admission = turns_of, tuple(proposers), admission
        self._judges, self._state, self._notes = judges, state, notes
        self._silent: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """why proposals were not admitted, and how often"""

    def admitted(self, whose: Callable[[], Proposer | None]) -> Iterator[Admitted]:
        """Proposals that were admitted, until nobody has another; `whose` says whose turn is next."""
        while proposer := whose():
            admitted = self._turn(proposer)
            if admitted is not None:
                yield admitted

    def told(self) -> list[str]:
        """That proposals were refused, with the commonest reason; repeats are no fault of theirs."""
        faults = {reason: count for reason, count in self.refused.items() if reason != REPEAT}
        if not faults:
            return []
        reason, count = max(faults.items(), key=lambda item: item[1])
        total = sum(faults.values())
        often = f"{count} of {total}" if count < total else str(total)
        return [f"refused    {often} proposals: {reason}"]

    def _turn(self, proposer: Proposer) -> Admitted | None:
        """One new, accepted proposal of a proposer; None when it has none, which may end its turns."""
        try:
            for _ in range(_TRIES):
                proposal = proposer.ask(self._state())
                if proposal is None:
                    break
                admitted = self._admission.admit(proposal, self._judges)
                if admitted.arm:
                    self._silent[proposer.name] = 0
                    return admitted
                self.refused[admitted.reason] += 1
                self.tell(proposal, admitted.status, {}, admitted.reason, (proposer,))
        except (LlmUnavailable, CapReached) as reason:
            self._turns_of(proposer.name).leave(proposer)
            self._noted(proposer, str(reason))
            return None
        self._silent[proposer.name] += 1
        if self._silent[proposer.name] >= _SILENT:
            self._turns_of(proposer.name).rest(proposer)
            self._noted(proposer, "it has nothing new")
        return None

    def tell(
        self,
        proposal: Proposal,
        status: SeenStatus,
        metrics: Mapping[str, float],
        reason: str | None,
        proposers: Sequence[Proposer] | None = None,
    ) -> Seen:
        """Tell proposers, all unless some are named, what came of a proposal."""
        seen = seen_of(proposal, status, metrics, reason)
        self.remember(proposal, seen, proposers)
        return seen

    def remember(self, proposal: Proposal, seen: Seen, proposers: Sequence[Proposer] | None = None) -> None:
        """Take in what came of a proposal, here or in an earlier sprint."""
        self._admission.seen.append(seen)
        for proposer in self._proposers if proposers is None else proposers:
            proposer.tell(proposal, seen)

    def _noted(self, proposer: Proposer, reason: str) -> None:
        self._notes.append(f"{proposer.name} stopped proposing: {reason}")


def spread(bench: Bench, control: Arm, objective: Objective) -> dict[str, float]:
    """Of the control's figures over every seed that it was run with: what a difference must exceed."""
    if len(control.trials) < 2:
        return {}
    seeds = sorted(control.trials)
    found = {key: summary(bench.values(control, key, seeds).values()).std for key in objective.metrics}
    return {key: std for key, std in found.items() if std}

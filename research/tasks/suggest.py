"""`task=suggest`: proposals within a field's part of the space that pass the gate and repeat nothing."""

from collections import Counter
from typing import Any, final

from refusal import Refusal
from research.campaign.rows import Tried
from research.llm.client import LlmUnavailable
from research.llm.ledger import CapReached
from research.metrics import sentence
from research.propose.bandit import Bandit
from research.propose.proposer import Proposer, Seen
from research.propose.sources import made
from research.tasks.answer import Answer
from research.tasks.desk import Desk
from research.types import Objective, Proposal, Record

_TRIES = 12
"""proposals of one turn that may be refused or repeated before the next proposer has its turn"""
_SILENT = 3
_MOST = 200


@final
class Suggestion(Record):
    """One proposal; `id` is its experiment when it was queued."""

    id: int | None
    proposer: str
    overrides: tuple[str, ...]
    hypothesis: str
    refuted_by: str
    signature: str


@final
class Suggested(Answer):
    """What is worth trying, and what was not taken."""

    goal: str
    objective: Objective
    fixed: tuple[str, ...]
    domain: str | None
    suggestions: tuple[Suggestion, ...]
    refused: dict[str, int]
    """why others were not taken, and how often"""
    notes: tuple[str, ...]

    def text(self) -> str:
        """The objective, then each proposal with the line that tries it."""
        lines = [f"objective  {sentence(self.objective)}", f"fixed      {' '.join(self.fixed)}"]
        for one in self.suggestions:
            queued = f" [experiment {one.id}]" if one.id else ""
            lines += [f"{one.proposer:<10} {' '.join(one.overrides)}{queued}", f"           {one.hypothesis}"]
        lines += [f"not taken  {count} x {reason}" for reason, count in self.refused.items()]
        return "\n".join([*lines, *(f"note       {note}" for note in self.notes)])


def suggest(desk: Desk) -> Suggested:
    """Ask the proposers in turn; with `queue` each becomes an experiment that waits.

    Raises `Refusal` for a goal that is not understood, a field without options, and a count of none.
    """
    count, queue = desk.config["count"], bool(desk.config["queue"])
    if not isinstance(count, int) or not 1 <= count <= _MOST:
        raise Refusal(f"count={count} suggests nothing: give a whole number from 1 to {_MOST}.")
    desk.spend  # noqa: B018  a budget of zero is refused before anything is proposed
    tried = Tried(desk)
    drawn = _Draw(desk, tried)
    kept = drawn.run(count)
    ids = [_queued(desk, tried, one) if queue else None for one in kept]
    return Suggested(
        goal=desk.charter.goal.text,
        objective=desk.charter.goal.objective,
        fixed=desk.charter.fixed,
        domain=desk.domain.name if desk.domain else None,
        suggestions=tuple(_told(tried, one, number) for one, number in zip(kept, ids, strict=True)),
        refused=dict(drawn.refused.most_common()),
        notes=tuple(drawn.notes),
    )


@final
class _Draw:
    """Turns of the proposers until enough is found or nobody has anything new."""

    def __init__(self, desk: Desk, tried: Tried) -> None:
        self._tried, given = tried, desk.config["proposer"]
        found = made(given["sources"], desk.at_hand(tried.complaints))
        self._turns = Bandit(found, given["shares"], seed=desk.charter.seed)
        self.refused: Counter[str] = Counter()
        self.notes: list[str] = []
        self._silent: Counter[str] = Counter()
        for proposal, seen in tried.seen:
            for one in found:
                one.tell(proposal, seen)

    def run(self, count: int) -> list[Proposal]:
        kept: list[Proposal] = []
        while len(kept) < count and (proposer := self._turns.next()):
            found = self._turn(proposer)
            kept += [found] if found else []
        if len(kept) < count:
            self.notes.append(f"{len(kept)} of {count} were found: nobody has another new one")
        return kept

    def _turn(self, proposer: Proposer) -> Proposal | None:
        try:
            for _ in range(_TRIES):
                proposal = proposer.ask(self._tried.state)
                if proposal is None:
                    break
                if self._taken(proposal, proposer):
                    return proposal
        except (LlmUnavailable, CapReached) as reason:
            self._turns.leave(proposer)
            self.notes.append(f"{proposer.name} stopped proposing: {reason}")
            return None
        self._silent[proposer.name] += 1
        if self._silent[proposer.name] >= _SILENT:
            self._turns.leave(proposer)
        return None

    def _taken(self, proposal: Proposal, proposer: Proposer) -> bool:
        said = self._tried.complaints(proposal.overrides)
        if not said:
            self._tried.signatures.add(self._tried.bench.signature(proposal.overrides))
            return True
        self.refused[said[0]] += 1
        told: dict[str, Any] = {"overrides": proposal.overrides, "proposer": proposal.proposer}
        proposer.tell(proposal, Seen(**told, status="refused", reason=said[0]))
        return False


def _queued(desk: Desk, tried: Tried, proposal: Proposal) -> int:
    facts = {
        "signature": tried.bench.signature(proposal.overrides),
        "reasons": [],
        "charter": desk.charter.model_dump(mode="json"),
    }
    name = desk.domain.name if desk.domain else proposal.domain
    return desk.store.add_experiment(
        proposal.model_copy(update={"domain": name}), status="queued", facts=facts
    )


def _told(tried: Tried, proposal: Proposal, number: int | None) -> Suggestion:
    return Suggestion(
        id=number,
        proposer=proposal.proposer,
        overrides=proposal.overrides,
        hypothesis=proposal.hypothesis,
        refuted_by=proposal.refuted_by,
        signature=tried.bench.signature(proposal.overrides),
    )

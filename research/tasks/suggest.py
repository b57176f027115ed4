"""`task=suggest`: proposals within a field's part of the space that pass the gate and repeat nothing."""

from collections import Counter
from typing import Any, final

from refusal import Refusal
from research.campaign.campaign import Scene, proposers, scene
from research.llm.client import LlmUnavailable
from research.llm.ledger import CapReached
from research.metrics import sentence
from research.propose.bandit import Bandit
from research.propose.proposer import Proposer, Seen
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
    with scene(desk) as here:
        drawn = _Draw(here)
        kept = drawn.run(count)
        ids = [_queued(here, one) if queue else None for one in kept]
    return Suggested(
        goal=here.charter.goal.text,
        objective=here.charter.goal.objective,
        fixed=here.charter.fixed,
        domain=desk.domain.name if desk.domain else None,
        suggestions=tuple(_told(here, one, number) for one, number in zip(kept, ids, strict=True)),
        refused=dict(drawn.refused.most_common()),
        notes=tuple(drawn.notes),
    )


@final
class _Draw:
    """Turns of the proposers until enough is found or nobody has anything new."""

    def __init__(self, here: Scene) -> None:
        found = proposers(here)
        self._here = here
        self._turns = Bandit(found, here.desk.config["proposer"]["shares"], seed=here.charter.seed)
        self.refused: Counter[str] = Counter()
        self.notes: list[str] = []
        self._silent: Counter[str] = Counter()
        for proposal, seen in here.tried:
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
                proposal = proposer.ask(self._here.state)
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
        said = self._here.complaints(proposal.overrides)
        if not said:
            self._here.signatures.add(self._here.bench.signature(proposal.overrides))
            return True
        self.refused[said[0]] += 1
        told: dict[str, Any] = {"overrides": proposal.overrides, "proposer": proposal.proposer}
        proposer.tell(proposal, Seen(**told, status="refused", reason=said[0]))
        return False


def _in_field(here: Scene, proposal: Proposal) -> Proposal:
    name = here.desk.domain.name if here.desk.domain else proposal.domain
    return proposal.model_copy(update={"domain": name})


def _queued(here: Scene, proposal: Proposal) -> int:
    facts = {
        "signature": here.bench.signature(proposal.overrides),
        "reasons": [],
        "charter": here.charter.model_dump(mode="json"),
    }
    return here.desk.store.add_proposal(_in_field(here, proposal), status="queued", facts=facts)


def _told(here: Scene, proposal: Proposal, number: int | None) -> Suggestion:
    return Suggestion(
        id=number,
        proposer=proposal.proposer,
        overrides=proposal.overrides,
        hypothesis=proposal.hypothesis,
        refuted_by=proposal.refuted_by,
        signature=here.bench.signature(proposal.overrides),
    )

"""`task=suggest`: proposals within a field's part of the space that pass the gate and repeat nothing."""

import itertools
from typing import final

from refusal import Refusal
from research.campaign.asking import Asking
from research.campaign.campaign import Campaign
from research.campaign.rows import Tried
from research.goal.saying import sentence
from research.propose.bandit import Bandit
from research.propose.proposer import made
from research.tasks.answer import Answer
from research.types import Objective, Proposal, Record

_MOST = 200


@final
class Suggestion(Record):
    """One proposal; `id` is its row when it was queued."""

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
    asked: str
    """the goal as it was understood"""
    objective: Objective
    fixed: tuple[str, ...]
    domain: str | None
    suggestions: tuple[Suggestion, ...]
    refused: dict[str, int]
    """why others were not taken, and how often"""
    notes: tuple[str, ...]

    def text(self) -> str:
        """The objective, then each proposal with the line that tries it."""
        lines = [f"objective  {self.asked}", f"fixed      {' '.join(self.fixed)}"]
        for proposal in self.suggestions:
            queued = f" [proposal {proposal.id}]" if proposal.id else ""
            lines.append(f"{proposal.proposer:<10} {' '.join(proposal.overrides)}{queued}")
            lines.append(f"           {proposal.hypothesis}")
        lines += [f"not taken  {count} x {reason}" for reason, count in self.refused.items()]
        return "\n".join([*lines, *(f"note       {note}" for note in self.notes)])


def suggest(campaign: Campaign, count: int, queue: bool) -> Suggested:
    """Ask the proposers in turn; with `queue` each becomes an experiment that waits.

    Raises `Refusal` for a goal that is not understood, a field without options, and a count of none.
    """
    if not 1 <= count <= _MOST:
        raise Refusal(f"count={count} suggests nothing: give a whole number from 1 to {_MOST}.")
    campaign.spend  # noqa: B018  a budget of zero is refused before anything is proposed
    tried = Tried(campaign)
    asking, turns, notes = _asking(campaign, tried)
    kept = [admitted.proposal for admitted in itertools.islice(asking.admitted(turns.next), count)]
    ids = [_queued(campaign, tried, proposal) if queue else None for proposal in kept]
    if len(kept) < count:
        notes.insert(0, f"{len(kept)} of {count} were found: nobody has another new one")
    return Suggested(
        goal=campaign.charter.goal.text,
        asked=sentence(campaign.charter.goal),
        objective=campaign.charter.goal.objective,
        fixed=campaign.charter.fixed,
        domain=campaign.domain.name if campaign.domain else None,
        suggestions=tuple(
            Suggestion(
                id=number,
                proposer=proposal.proposer,
                overrides=proposal.overrides,
                hypothesis=proposal.hypothesis,
                refuted_by=proposal.refuted_by,
                signature=tried.bench.signature(proposal.overrides),
            )
            for proposal, number in zip(kept, ids, strict=True)
        ),
        refused=dict(asking.refused.most_common()),
        notes=tuple(notes),
    )


def _asking(campaign: Campaign, tried: Tried) -> tuple[Asking, Bandit, list[str]]:
    """The proposers, who know what was tried, in turns; and what there is to note of them."""
    sources, notes = made(campaign.sources, campaign.at_hand(tried.admission.complaints)), list[str]()
    for proposal, seen in tried.seen:
        for source in sources if seen.status in ("done", "failed") else ():  # what waits is not refused
            source.tell(proposal, seen)
    turns = Bandit(sources, campaign.charter.shares, seed=campaign.charter.seed)
    return Asking(lambda name: turns, sources, tried.admission, None, tried.state, notes), turns, notes


def _queued(campaign: Campaign, tried: Tried, proposal: Proposal) -> int:
    facts = {
        "signature": tried.bench.signature(proposal.overrides),
        "reasons": [],
        "charter": campaign.charter.model_dump(mode="json"),
    }
    name = campaign.domain.name if campaign.domain else proposal.domain
    named = proposal.model_copy(update={"domain": name})
    return campaign.store.add_proposal(named, status="queued", facts=facts)

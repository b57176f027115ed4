"""`task=review` and `task=improve`: what waits is scored by the team, and rewritten where it falls short.

Code checks the facts first and gives them to the reviewer; without a model a stand-in scores by them alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

from refusal import Refusal
from research.campaign.admission import Judgement
from research.campaign.briefing import brief
from research.campaign.campaign import Campaign
from research.campaign.rows import Tried, add_reviews
from research.goal.saying import sentence
from research.store.store import Store
from research.tasks.answer import Answer, table
from research.team.judges import Judges
from research.team.review import Opinion, Revised
from research.types import Proposal, Record

_WAIT = ("queued", "proposed")


@final
class Reviewed(Record):
    """One proposal after its review; `parent` is the one that it improves upon."""

    id: int
    status: str
    """queued at `review.accept` and above, proposed below, refused by the gate"""
    score: float | None
    by: str
    overrides: tuple[str, ...]
    reasons: tuple[str, ...]
    risks: tuple[str, ...]
    parent: int | None = None
    changed: str | None = None


@final
class Reviews(Answer):
    """All that was reviewed."""

    asked: tuple[str, ...]
    """the goals that they were proposed for, as they were understood"""
    reviewed: tuple[Reviewed, ...]
    notes: tuple[str, ...]
    """who did not answer, and why"""

    def text(self) -> str:
        """A line for each, with its first reason."""
        if not self.reviewed:
            return "nothing waits for it: task=suggest queue=true proposes"
        rows = [
            (
                str(row.id),
                row.status,
                "-" if row.score is None else f"{row.score:.1f}",
                row.by,
                " ".join(row.overrides),
                row.changed or next(iter(row.reasons), ""),
            )
            for row in self.reviewed
        ]
        lines = table(("proposal", "status", "score", "by", "overrides", "why"), rows)
        asked = [f"objective  {goal}" for goal in self.asked]
        return "\n".join([*asked, *lines, *(f"note: {note}" for note in self.notes)])


def review(campaign: Campaign, limit: int) -> Reviews:
    """Score what waits without a score; below `review.accept` it waits for task=improve."""
    _check(limit)
    rows = [row for row in _waiting(campaign) if not row["facts"].get("review")]
    panels = _Panels(campaign)
    done = [panels.of(row).review(row) for row in rows[:limit]]
    return Reviews(asked=panels.asked, reviewed=tuple(done), notes=panels.notes())


def improve(campaign: Campaign, limit: int) -> Reviews:
    """Rewrite what was reviewed below `review.accept`, and review that; its parent is kept, dropped.

    What nobody can improve, or was improved as often as the first score allows, is dropped with its reason.
    """
    _check(limit)
    panels = _Panels(campaign)
    accepted = campaign.thresholds.accepted
    reviewed = [(row, row["facts"].get("review")) for row in _waiting(campaign)]
    short = [row for row, review in reviewed if review and not accepted(review.get("score"))]
    done = [panels.of(row).improve(row) for row in short[:limit]]
    return Reviews(asked=panels.asked, reviewed=tuple(done), notes=panels.notes())


def _check(limit: int) -> None:
    if limit < 1:
        raise Refusal(f"limit={limit} reviews nothing: give a whole number above 0.")


def _waiting(campaign: Campaign) -> list[dict[str, Any]]:
    """Experiments that wait, oldest first."""
    rows = [row for status in _WAIT for row in campaign.known.proposals(status=status)]
    return sorted(rows, key=lambda row: int(row["id"]))


@final
class _Panels:
    """A panel for each charter: what waits is judged by what it was proposed for, whatever is asked now."""

    def __init__(self, campaign: Campaign) -> None:
        campaign.spend, campaign.charter  # noqa: B018  what they refuse is said before anybody is asked
        self._desk, self._team = campaign, campaign.team
        self._made: dict[str, _Panel] = {}
        self.asked: tuple[str, ...] = ()
        """the goals that were judged by, as they were understood"""

    def of(self, row: Mapping[str, Any]) -> "_Panel":
        """The panel of a proposal. Raises `Refusal` for one that another version has queued."""
        own = self._desk.of(row)
        if own.charter.name not in self._made:
            self.asked += (sentence(own.charter.goal),)
            self._made[own.charter.name] = _Panel(own)
        return self._made[own.charter.name]

    def notes(self) -> tuple[str, ...]:
        """Roles that did not answer."""
        silent = self._team.silence if self._team else {}
        return tuple(f"{role}: {reason}" for role, reason in silent.items())


@final
class _Panel:
    """The reviewers of one charter, and what they write."""

    def __init__(self, campaign: Campaign) -> None:
        self._tried = tried = Tried(campaign)
        self._store, self._admission = campaign.store, tried.admission
        told = brief(campaign, tried.state())
        self._judges = Judges(campaign.team, told, campaign.recall.lessons, self._admission.complaints)

    def review(self, row: Mapping[str, Any]) -> Reviewed:
        """Score one proposal; one that the gate refuses by now is not scored."""
        proposal: Proposal = row["proposal"]
        complaints = self._admission.gate(proposal.overrides)
        if complaints:
            self._store.set_proposal(row["id"], "refused", {**row["facts"], "reasons": complaints[:1]})
            return _reviewed(row, "refused", None, (), complaints[:1])
        judgement = self._judged(proposal)
        status = self._status(judgement)
        add_reviews(self._store, row["id"], judgement.opinions, judgement.round)
        self._store.set_proposal(row["id"], status, {**row["facts"], "review": judgement.facts()})
        return _reviewed(row, status, judgement.score, judgement.opinions, ())

    def improve(self, row: Mapping[str, Any]) -> Reviewed:
        """The child that an improvement made, reviewed; or the parent, dropped."""
        judgement, facts = _judgement(self._store, row), row["facts"]
        better = self._admission.improve(row["proposal"], self._judges, judgement)
        why = self._admission.dropped(judgement, better)
        child = None if better is None else self._child(row, better, judgement)
        self._store.set_proposal(row["id"], "dropped", {**facts, "reasons": [why]})
        return child or _reviewed(row, "dropped", judgement.score, (), [why])

    def _child(self, row: Mapping[str, Any], better: Revised, before: Judgement) -> Reviewed:
        child = better.proposal.model_copy(update={"parent": row["id"]})
        judgement = self._judged(child, before)
        signature, status = self._tried.bench.signature(child.overrides), self._status(judgement)
        facts = {name: row["facts"][name] for name in ("charter",) if name in row["facts"]}
        facts |= {"signature": signature, "reasons": [], "changed": better.changed}
        facts |= {"review": judgement.facts()}
        number = self._store.add_proposal(child, sprint_id=row["sprint_id"], status=status, facts=facts)
        add_reviews(self._store, number, judgement.opinions, judgement.round)
        self._admission.tried(signature, child.proposer)
        made = {"id": number, "proposal": child, "facts": facts}
        return _reviewed(made, status, judgement.score, judgement.opinions, ())

    def _judged(self, proposal: Proposal, before: Judgement | None = None) -> Judgement:
        """The reviewers' judgement, for which the proposal's own row is no neighbour."""
        tried = self._tried.seen
        self._admission.seen = [seen for own, seen in tried if own.overrides != proposal.overrides]
        return self._admission.review(proposal, self._judges, before)[1]

    def _status(self, judgement: Judgement) -> str:
        return "queued" if self._admission.accepted(judgement) else "proposed"


def _judgement(store: Store, row: Mapping[str, Any]) -> Judgement:
    """What the reviewers of a proposal have said."""
    review = row["facts"]["review"]
    said = [{"role": each["role"], **each["content"]} for each in store.reviews(proposal_id=row["id"])]
    opinions = tuple(map(Opinion.model_validate, said))
    return Judgement(opinions, int(review["round"]), review.get("first", review["score"]))


def _reviewed(
    row: Mapping[str, Any],
    status: str,
    score: float | None,
    opinions: Sequence[Opinion],
    reasons: Sequence[str],
) -> Reviewed:
    by = {opinion.by for opinion in opinions}
    said = [reason for opinion in opinions for reason in opinion.reasons]
    return Reviewed(
        id=row["id"],
        status=status,
        score=score,
        by="model" if "model" in by else "stand-in" if by else "code",
        overrides=row["proposal"].overrides,
        reasons=(*reasons, *said),
        risks=tuple(risk for opinion in opinions for risk in opinion.risks),
        parent=row["proposal"].parent,
        changed=row["facts"].get("changed"),
    )

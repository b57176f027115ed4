"""`task=review` and `task=improve`: what waits is scored by the team, and rewritten where it falls short.

Facts come first: the gate, repeats, predicted cost and what neighbours came to are checked by code and given
to the reviewer. Without a model a stand-in scores from these facts alone and says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

from refusal import Refusal
from research.campaign.admission import predicted
from research.campaign.campaign import Scene, charter_of, scene
from research.tasks.answer import Answer, table
from research.tasks.desk import Desk
from research.team.brief import Brief
from research.team.judges import Judges
from research.team.review import Facts, Opinion, Thresholds, neighbourhood, panel
from research.team.roles import Team, roles
from research.types import Proposal, Record

_WAIT = ("queued", "proposed")


@final
class Reviewed(Record):
    """One experiment after its review; `parent` is the one that it improves upon."""

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

    reviewed: tuple[Reviewed, ...]
    notes: tuple[str, ...]
    """who did not answer, and why"""

    def text(self) -> str:
        """A line for each, with its first reason."""
        if not self.reviewed:
            return "nothing waits for it: task=suggest queue=true proposes"
        rows = [
            (
                str(one.id),
                one.status,
                "-" if one.score is None else f"{one.score:.1f}",
                one.by,
                " ".join(one.overrides),
                one.changed or next(iter(one.reasons), ""),
            )
            for one in self.reviewed
        ]
        lines = table(("experiment", "status", "score", "by", "overrides", "why"), rows)
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def review(desk: Desk) -> Reviews:
    """Score what waits without a score; below `review.accept` it waits for task=improve.

    Raises `Refusal` for a limit of none.
    """
    limit = _limit(desk)
    rows = [row for row in _waiting(desk) if not row["facts"].get("review")]
    with scene(desk) as here:
        panels = _Panels(here)
        done = [panels.of(row).review(row) for row in rows[:limit]]
    return Reviews(reviewed=tuple(done), notes=panels.notes())


def improve(desk: Desk) -> Reviews:
    """Rewrite what was reviewed below `review.accept`, and review that; its parent is kept, dropped.

    What nobody can improve, or was improved as often as the first score allows, is dropped with its reason.
    """
    limit = _limit(desk)
    with scene(desk) as here:
        panels = _Panels(here)
        short = [row for row in _waiting(desk) if panels.short(row)]
        done = [one for row in short[:limit] for one in panels.of(row).improve(row)]
    return Reviews(reviewed=tuple(done), notes=panels.notes())


def _limit(desk: Desk) -> int:
    limit = desk.config["limit"]
    if not isinstance(limit, int) or limit < 1:
        raise Refusal(f"limit={limit} reviews nothing: give a whole number above 0.")
    return limit


def _waiting(desk: Desk) -> list[dict[str, Any]]:
    """Experiments that wait, oldest first."""
    rows = [row for status in _WAIT for row in desk.known.proposals(status=status)]
    return sorted(rows, key=lambda row: int(row["id"]))


@final
class _Panels:
    """A panel for each charter: what waits is judged by what it was proposed for, whatever is asked now."""

    def __init__(self, here: Scene) -> None:
        self._here = here
        self._thresholds = Thresholds.model_validate(here.desk.config["review"])
        self._team = Team(roles(here.desk.conf), here.client) if here.client else None
        self._made: dict[str, _Panel] = {}

    def of(self, row: Mapping[str, Any]) -> "_Panel":
        """The panel of an experiment. Raises `Refusal` for one that another version has queued."""
        charter = charter_of(self._here.desk, row)
        if charter.name not in self._made:
            self._made[charter.name] = _Panel(self._here.under(charter), self._thresholds, self._team)
        return self._made[charter.name]

    def notes(self) -> tuple[str, ...]:
        """Roles that did not answer."""
        silent = self._team.silence if self._team else {}
        return tuple(f"{role}: {reason}" for role, reason in silent.items())

    def short(self, row: Mapping[str, Any]) -> bool:
        """Whether an experiment was reviewed and fell short."""
        found = row["facts"].get("review")
        return bool(found) and not self._thresholds.accepted(found.get("score"))


@final
class _Panel:
    """The reviewers of one scene, and what they write."""

    def __init__(self, here: Scene, thresholds: Thresholds, team: Team | None) -> None:
        self._here, self._store, self._thresholds = here, here.desk.store, thresholds
        brief = Brief(
            state=here.state,
            vocabulary=here.vocabulary,
            domain=here.field.name if here.field else "optimization",
            focus=here.charter.team.get("focus", ""),
        )
        self._judges = Judges(team, brief, here.lessons, here.complaints)

    def review(self, row: Mapping[str, Any]) -> Reviewed:
        """Score one experiment; one that the gate refuses by now is not scored."""
        proposal: Proposal = row["proposal"]
        said = self._gate(proposal)
        if said:
            self._store.set_proposal(row["id"], "refused", {**row["facts"], "reasons": said[:1]})
            return _reviewed(row, "refused", None, [], said[:1])
        opinions = self._judges.review(proposal, self._facts(proposal))
        return self._written(row, opinions, round_=int((row["facts"].get("review") or {}).get("round", 0)))

    def improve(self, row: Mapping[str, Any]) -> list[Reviewed]:
        """The child that an improvement made, reviewed; or the parent, dropped."""
        proposal: Proposal = row["proposal"]
        facts = row["facts"]
        first, round_ = facts["review"].get("first", facts["review"]["score"]), int(facts["review"]["round"])
        opinions = [_opinion(one) for one in self._store.reviews(proposal_id=row["id"])]
        last = round_ >= self._thresholds.improvements(first) or not opinions
        better = None if last else self._judges.improve(proposal, opinions, self._known)
        why = f"reviewed {facts['review']['score']}, below {self._thresholds.accept:g}"
        why += f"; improved: {better.changed}" if better else ": nobody improved it"
        self._store.set_proposal(row["id"], "dropped", {**facts, "reasons": [why]})
        if better is None:
            return [_reviewed(row, "dropped", facts["review"]["score"], [], [why])]
        return [self._child(row, better.proposal, better.changed, first, round_ + 1)]

    def _child(
        self, row: Mapping[str, Any], proposal: Proposal, changed: str, first: float | None, round_: int
    ) -> Reviewed:
        child = proposal.model_copy(update={"parent": row["id"]})
        signature = self._here.bench.signature(child.overrides)
        kept = {"charter": row["facts"]["charter"]} if "charter" in row["facts"] else {}
        facts = {
            **kept,
            "signature": signature,
            "reasons": [],
            "changed": changed,
            "review": {"first": first},
        }
        number = self._store.add_proposal(child, sprint_id=row["sprint_id"], status="proposed", facts=facts)
        self._here.signatures.add(signature)
        opinions = self._judges.review(child, self._facts(child))
        made = {"id": number, "proposal": child, "facts": facts}
        return self._written(made, opinions, round_)

    def _written(self, row: Mapping[str, Any], opinions: Sequence[Opinion], round_: int) -> Reviewed:
        score = panel(opinions)
        for one in opinions:
            self._store.add_review(
                row["id"], role=one.role, score=one.score, content=one.content(), facts={"round": round_}
            )
        status = "queued" if self._thresholds.accepted(score) else "proposed"
        by = "model" if any(one.by == "model" for one in opinions) else "stand-in"
        first = (row["facts"].get("review") or {}).get("first", score)
        review = {"score": score, "round": round_, "by": by, "first": first}
        self._store.set_proposal(row["id"], status, {**row["facts"], "review": review})
        return _reviewed(row, status, score, opinions, [])

    def _gate(self, proposal: Proposal) -> list[str]:
        """The gate's complaints; that it repeats itself is none."""
        fixed = self._here.charter.fixed
        return self._here.desk.space.check(list(proposal.overrides), lambda configs: None, given=fixed)

    def _known(self, proposal: Proposal) -> Facts | None:
        return None if self._here.complaints(proposal.overrides) else self._facts(proposal)

    def _facts(self, proposal: Proposal) -> Facts:
        seen = [one for own, one in self._here.tried if own.overrides != proposal.overrides]
        near = neighbourhood(proposal, seen, self._here.objective)
        idle = self._here.bench.idle(proposal.overrides)
        cost = predicted(self._here.bench, proposal.overrides)
        return Facts.model_validate({"idle": idle, **cost, **near})


def _opinion(row: Mapping[str, Any]) -> Opinion:
    return Opinion.model_validate({"role": row["role"], **row["content"]})


def _reviewed(
    row: Mapping[str, Any],
    status: str,
    score: float | None,
    opinions: Sequence[Opinion],
    reasons: Sequence[str],
) -> Reviewed:
    said = [reason for one in opinions for reason in one.reasons]
    return Reviewed(
        id=row["id"],
        status=status,
        score=score,
        by="model" if any(one.by == "model" for one in opinions) else "stand-in" if opinions else "code",
        overrides=row["proposal"].overrides,
        reasons=(*reasons, *said),
        risks=tuple(risk for one in opinions for risk in one.risks),
        parent=row["proposal"].parent,
        changed=row["facts"].get("changed"),
    )

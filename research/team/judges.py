"""Who reviews and improves: the model's roles where it speaks, else their stand-ins, and which it was."""

from collections.abc import Callable, Sequence
from typing import Any, final

from research.llm.prompt import data_json
from research.team.brief import Brief, Lessons
from research.team.discussion import Check
from research.team.forms import Review, Revision, refuting
from research.team.review import WEIGHTS, Facts, Opinion, Revised, by_facts, scored, shortened
from research.team.roles import Role, Team
from research.types import Proposal

Known = Callable[[Proposal], Facts | None]
"""what code knows of a proposal; None for one that the gate refuses or that was tried before"""


@final
class Judges:
    """Reviews and improves one proposal at a time; `team=None` has stand-ins for all of it."""

    def __init__(self, team: Team | None, brief: Brief | None, lessons: Lessons, check: Check) -> None:
        self._team, self._brief, self._lessons, self._check = team, brief, lessons, check

    def review(self, proposal: Proposal, facts: Facts) -> list[Opinion]:
        """One opinion of each reviewer that answers; the stand-in's alone where none does."""
        opinions: list[Opinion] = []
        if self._team is not None and self._brief is not None:
            for role in self._team.of(Review):
                parts = [*self._told(role), *_case(proposal), _facts(facts)]
                told = self._team.ask(role, Review, [*parts, "Review the proposal."])
                opinions += [_opinion(role.name, told, proposal, facts)] if told else []
        return opinions or [by_facts(proposal, facts)]

    def improve(self, proposal: Proposal, opinions: Sequence[Opinion], known: Known) -> Revised | None:
        """The rewritten proposal with what changed, its parent kept by the caller; None when nobody can."""
        if self._team is not None and self._brief is not None:
            for role in self._team.of(Revision):
                parts = [*self._told(role, proposal.overrides), *_case(proposal), _reviews(opinions)]
                parts.append("Rewrite the proposal.")
                told = self._team.ask(role, Revision, parts, lambda answer: self._wrong(answer, proposal))
                if told:
                    return Revised(proposal=_revised(proposal, told), changed=told.changed, by="model")
        return shortened(proposal, opinions[0], known)

    def _told(self, role: Role, about: Sequence[str] | None = None) -> list[str]:
        return [] if self._brief is None else self._brief.told(role.parts, role.phase, self._lessons, about)

    def _wrong(self, answer: Revision, before: Proposal) -> list[str]:
        if set(answer.overrides) != set(before.overrides):
            return list(self._check(list(answer.overrides)))
        if _revised(before, answer) == before:
            return ["nothing is changed: mend hypothesis, refuted_by or overrides by a reason of the review."]
        return []


def _revised(before: Proposal, told: Revision) -> Proposal:
    """The proposal as it is rewritten; a claim that is none leaves the one that it had."""
    refuted_by = refuting(told.refuted_by)[0] or before.refuted_by
    more = {"hypothesis": told.hypothesis, "overrides": told.overrides, "refuted_by": refuted_by}
    if set(told.overrides) == set(before.overrides):
        more["overrides"] = before.overrides
    return before.model_copy(update=more)


def _case(proposal: Proposal) -> list[str]:
    shown = {
        "hypothesis": proposal.hypothesis,
        "overrides": list(proposal.overrides),
        "refuted_by": proposal.refuted_by,
        "cites": list(proposal.cites),
    }
    return [data_json(shown, "the proposal")]


def _facts(facts: Facts) -> str:
    return data_json(
        facts.told(),
        "what code has checked; cost_ratio is of the control's, within cost_error times",
    )


def _reviews(opinions: Sequence[Opinion]) -> str:
    shown: list[dict[str, Any]] = [
        {"score": opinion.score, "scores": opinion.scores, "reasons": opinion.reasons, "risks": opinion.risks}
        for opinion in opinions
    ]
    return data_json(shown, "its reviews")


def _opinion(role: str, told: Review, proposal: Proposal, facts: Facts) -> Opinion:
    given = {facet: getattr(told, facet) for facet in WEIGHTS if facet in Review.model_fields}
    return Opinion(
        role=role,
        scores=scored(given, proposal, facts),
        reasons=told.reasons,
        risks=told.risks,
        chance=told.chance,
        by="model",
        facts=facts.told(),
    )

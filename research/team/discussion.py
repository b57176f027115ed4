"""The discussion of a sprint: hypotheses, a plan, its overrides, and the queue that hands them out."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, final

from research.llm.prompt import data_json
from research.propose.proposer import Proposer, Seen, State
from research.team.forms import Build, Builds, Hypotheses, Hypothesis, Plan, PlannedArm, Remarks
from research.team.roles import Brief, Lessons, Team
from research.types import Proposal

PROPOSER = "llm"
"""who the team's proposals are booked under: the turns, shares and costs of the language model"""
Check = Callable[[list[str]], Sequence[str]]
"""overrides -> what is wrong with them: the gate, and what was tried before"""
Now = Callable[[], Brief]
"""what the roles may know now: trials go on while they talk"""


@final
@dataclass(frozen=True)
class Discussion:
    """What came of it; `notes` say which step had no answer and what stood in for it."""

    proposals: tuple[Proposal, ...] = ()
    plan: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def discuss(team: Team, now: Now, lessons: Lessons, check: Check) -> Discussion:
    """Ask researchers, whoever remarks, architects and engineers, in this order; raises nothing of theirs."""
    hypotheses = _hypotheses(team, now(), lessons)
    if not hypotheses:
        return Discussion(notes=(_silent(team, Hypotheses, "no hypothesis was stated: samplers propose"),))
    remarks = _remarks(team, now(), lessons, hypotheses)
    plan, notes = _plan(team, now(), lessons, hypotheses, remarks)
    builds = _builds(team, now(), lessons, plan, check)
    if not builds:
        notes = (*notes, _silent(team, Builds, "nothing of the plan was built: samplers propose"))
    brief = now()
    proposals = tuple(_proposal(brief, hypotheses, plan.arms[build.arm - 1], build) for build in builds)
    return Discussion(proposals[: brief.count], plan.model_dump(mode="json"), remarks, notes)


def _silent(team: Team, kind: type[Any], otherwise: str) -> str:
    """Why nobody answered with a form, and what happens instead."""
    names = [role.name for role in team.of(kind)]
    if not names:
        return f"no role answers with {kind.__name__}: {otherwise}"
    why = team.silence.get(names[0], "no answer").rstrip(".")
    return f"{', '.join(names)}: {why}; {otherwise}"


def _hypotheses(team: Team, brief: Brief, lessons: Lessons) -> tuple[Hypothesis, ...]:
    stated: list[Hypothesis] = []
    for role in team.of(Hypotheses):
        parts = [
            *brief.task(lessons(role.phase)),
            brief.words(),
            f"{_promise(brief)}: state {brief.count} hypotheses, the most promising first.",
        ]
        told = team.ask(role, Hypotheses, parts, lambda answer: _cited(brief, answer))
        stated += told.hypotheses if told else ()
    return tuple(stated)


def _promise(brief: Brief) -> str:
    trials = "1 trial" if brief.count == 1 else f"{brief.count} trials"
    return f"The team has {trials} of this sprint, which are run before all others"


def _cited(brief: Brief, answer: Hypotheses) -> list[str]:
    return brief.unknown([cited for hypothesis in answer.hypotheses for cited in hypothesis.cites])


def _listed(hypotheses: Sequence[Hypothesis]) -> str:
    rows = [{"number": n, **hypothesis.model_dump()} for n, hypothesis in enumerate(hypotheses, 1)]
    return data_json(rows, "hypotheses of the researchers")


def _remarks(team: Team, brief: Brief, lessons: Lessons, hypotheses: Sequence[Hypothesis]) -> tuple[str, ...]:
    remarks: list[str] = []
    for role in team.of(Remarks):
        parts = [*brief.task(lessons(role.phase)), _listed(hypotheses), "Say what matters to the plan."]
        told = team.ask(role, Remarks, parts)
        remarks += [f"{role.name}: {remark}" for remark in told.remarks] if told else []
    return tuple(remarks)


def _plan(
    team: Team, brief: Brief, lessons: Lessons, hypotheses: Sequence[Hypothesis], remarks: Sequence[str]
) -> tuple[Plan, tuple[str, ...]]:
    """The first plan that an architect gives; without one each hypothesis is an arm of its own."""
    for role in team.of(Plan):
        parts = [*brief.task(lessons(role.phase)), _listed(hypotheses)]
        parts += [data_json(remarks, "remarks of other roles")] if remarks else []
        parts.append(f"{_promise(brief)}: plan {brief.count} arms, each of which is one of them.")
        told = team.ask(role, Plan, parts, lambda plan: _unplanned(hypotheses, plan))
        if told:
            return told, ()
    arms = tuple(
        PlannedArm(
            hypothesis=n,
            change=hypothesis.claim,
            refuted_by=f"an interval that excludes: {hypothesis.claim}"[:600],
        )
        for n, hypothesis in enumerate(hypotheses[:8], 1)
    )
    return Plan(arms=arms), (_silent(team, Plan, "stand-in: each hypothesis is an arm"),)


def _unplanned(hypotheses: Sequence[Hypothesis], plan: Plan) -> list[str]:
    wrong = [arm.hypothesis for arm in plan.arms if arm.hypothesis > len(hypotheses)]
    return [f"arms name hypothesis {n}: there are {len(hypotheses)}." for n in wrong[:1]]


def _builds(team: Team, brief: Brief, lessons: Lessons, plan: Plan, check: Check) -> list[Build]:
    """The arms as overrides; an arm that several engineers build is taken from the first."""
    arms = [{"number": n, **arm.model_dump()} for n, arm in enumerate(plan.arms, 1)]
    built: dict[int, Build] = {}
    for role in team.of(Builds):
        parts = [*brief.task(lessons(role.phase)), brief.words(), data_json(arms, "arms of the plan")]
        parts.append("Write each arm as overrides.")
        told = team.ask(role, Builds, parts, lambda answer: _unbuilt(plan, answer, check))
        for build in told.builds if told else ():
            built.setdefault(build.arm, build)
    return list(built.values())


def _unbuilt(plan: Plan, answer: Builds, check: Check) -> list[str]:
    """What is wrong with the builds, arm by arm, as the gate says it."""
    complaints = []
    for build in answer.builds:
        if build.arm > len(plan.arms):
            complaints.append(f"builds name arm {build.arm}: there are {len(plan.arms)}.")
        else:
            complaints += [f"arm {build.arm}: {fault}" for fault in check(list(build.overrides))[:2]]
    return complaints


def _proposal(brief: Brief, hypotheses: Sequence[Hypothesis], arm: PlannedArm, build: Build) -> Proposal:
    hypothesis = hypotheses[arm.hypothesis - 1]
    return Proposal(
        hypothesis=hypothesis.claim,
        overrides=build.overrides,
        metric=brief.state.objective.metric,
        direction=brief.state.objective.direction,
        refuted_by=arm.refuted_by,
        domain=brief.domain,
        proposer=PROPOSER,
        cites=hypothesis.cites,
    )


@final
class Queued(Proposer):
    """Hands out what the discussion has queued, and asks the proposer that it stands before after that."""

    def __init__(self, inner: Proposer) -> None:
        self.name, self.first = inner.name, inner.first
        self._inner = inner
        self._waiting: deque[Proposal] = deque()
        self.accepted = self.expected = 0
        """how many were queued in all, and how many are still to be reviewed"""
        self.asking: Callable[[], AbstractContextManager[None] | None] = nullcontext
        """what the inner proposer is asked in; None while it cannot be asked"""

    def put(self, proposals: Iterable[Proposal]) -> None:
        """Queue proposals behind those that wait."""
        before = len(self._waiting)
        self._waiting.extend(proposals)
        self.accepted += len(self._waiting) - before

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def ask(self, state: State) -> Proposal | None:
        """The oldest that waits, else the inner proposer's next; raises what that raises."""
        if self._waiting:
            return self._waiting.popleft()
        asking = self.asking()
        if asking is None:
            return None
        with asking:
            return self._inner.ask(state)

    def tell(self, proposal: Proposal, seen: Seen) -> None:
        """Pass it on."""
        self._inner.tell(proposal, seen)

    def spent(self) -> dict[str, Any]:
        """What the inner proposer's model has used, the team's questions included."""
        return self._inner.spent()

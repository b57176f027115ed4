"""The discussion of a sprint: hypotheses, a plan, its overrides, and the queue that hands them out."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeVar, final

from research.compose.override import Assignment
from research.llm.prompt import data_json
from research.propose.proposer import Proposer, Seen, State
from research.space.complaints import parsed, points
from research.stats.claims import refutation
from research.team.brief import Brief, Lessons
from research.team.forms import Build, Builds, Hypotheses, Hypothesis, Plan, PlannedArm, Remarks, refuting
from research.team.roles import Role, Team
from research.types import Proposal, Record

T = TypeVar("T", bound=Record)

PROPOSER = "llm"
"""who the team's proposals are booked under: the turns, shares and costs of the language model"""
_SWEPT = 8
"""configurations that one build may sweep over"""
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
    proposals, dropped = _proposals(brief, hypotheses, plan, builds)
    kept = tuple(proposals[: brief.count])
    return Discussion(kept, plan.model_dump(mode="json"), remarks, (*notes, *dropped))


def _silent(team: Team, kind: type[Any], otherwise: str) -> str:
    """Why nobody answered with a form, and what happens instead."""
    names = [role.name for role in team.of(kind)]
    if not names:
        return f"no role answers with {kind.__name__}: {otherwise}"
    why = team.silence.get(names[0], "no answer").rstrip(".")
    return f"{', '.join(names)}: {why}; {otherwise}"


def _answers(
    team: Team,
    kind: type[T],
    told: tuple[Brief, Lessons],
    asked: Sequence[str],
    check: Callable[[T], Sequence[str]] = lambda answer: (),
    spare: Callable[[T], T | None] = lambda answer: None,
) -> Iterator[tuple[Role, T]]:
    """What the roles of a kind answer, one after another, each told its parts and then what is `asked`."""
    brief, lessons = told
    for role in team.of(kind):
        parts = [*brief.told(role.parts, role.phase, lessons), *asked]
        answer = team.ask(role, kind, parts, check, spare)
        if answer is not None:
            yield role, answer


def _hypotheses(team: Team, brief: Brief, lessons: Lessons) -> tuple[Hypothesis, ...]:
    answers = _answers(
        team,
        Hypotheses,
        (brief, lessons),
        [f"{_promise(brief)}: state {brief.count} hypotheses, the most promising first."],
        lambda answer: brief.unknown([cited for one in answer.hypotheses for cited in one.cites]),
        lambda answer: _kept_hypotheses(brief, answer),
    )
    return tuple(stated for _, answer in answers for stated in answer.hypotheses)


def _promise(brief: Brief) -> str:
    trials = "1 trial" if brief.count == 1 else f"{brief.count} trials"
    return f"The team has {trials} of this sprint, which are run before all others"


def _kept_hypotheses(brief: Brief, answer: Hypotheses) -> Hypotheses | None:
    """Those that cite only what they were given."""
    kept = tuple(one for one in answer.hypotheses if not brief.unknown(one.cites))
    return Hypotheses(hypotheses=kept) if kept else None


def _listed(hypotheses: Sequence[Hypothesis]) -> str:
    rows = [{"number": n, **hypothesis.model_dump()} for n, hypothesis in enumerate(hypotheses, 1)]
    return data_json(rows, "hypotheses of the researchers")


def _remarks(team: Team, brief: Brief, lessons: Lessons, hypotheses: Sequence[Hypothesis]) -> tuple[str, ...]:
    asked = [_listed(hypotheses), "Say what matters to the plan."]
    answers = _answers(team, Remarks, (brief, lessons), asked)
    return tuple(f"{role.name}: {remark}" for role, answer in answers for remark in answer.remarks)


def _plan(
    team: Team, brief: Brief, lessons: Lessons, hypotheses: Sequence[Hypothesis], remarks: Sequence[str]
) -> tuple[Plan, tuple[str, ...]]:
    """The first plan that an architect gives; without one each hypothesis is an arm of its own."""
    asked = [_listed(hypotheses)]
    asked += [data_json(remarks, "remarks of other roles")] if remarks else []
    asked.append(f"{_promise(brief)}: plan {brief.count} arms, each of which is one of them.")
    answers = _answers(
        team,
        Plan,
        (brief, lessons),
        asked,
        lambda plan: _unplanned(hypotheses, plan),
        lambda plan: _kept_arms(hypotheses, plan),
    )
    for _, plan in answers:
        return plan, ()
    arms = tuple(PlannedArm(hypothesis=n, change=one.claim) for n, one in enumerate(hypotheses[:8], 1))
    return Plan(arms=arms), (_silent(team, Plan, "stand-in: each hypothesis is an arm"),)


def _unplanned(hypotheses: Sequence[Hypothesis], plan: Plan) -> list[str]:
    wrong = [arm.hypothesis for arm in plan.arms if arm.hypothesis > len(hypotheses)]
    complaints = [f"arms name hypothesis {n}: there are {len(hypotheses)}." for n in wrong[:1]]
    for number, arm in enumerate(plan.arms, 1):
        if arm.against > len(plan.arms) or arm.against == number:
            complaints.append(f"arm {number} is against arm {arm.against}: name another arm, or 0.")
    return complaints


def _kept_arms(hypotheses: Sequence[Hypothesis], plan: Plan) -> Plan | None:
    """The plan without the arms of unknown hypotheses; None where an arm names others by their numbers."""
    arms = tuple(arm for arm in plan.arms if arm.hypothesis <= len(hypotheses))
    numbered = any(arm.against for arm in plan.arms)
    return None if numbered or not arms else Plan(arms=arms)


def _builds(team: Team, brief: Brief, lessons: Lessons, plan: Plan, check: Check) -> list[Build]:
    """The arms as overrides; an arm that several engineers build is taken from the first."""
    arms = [{"number": n, **arm.model_dump()} for n, arm in enumerate(plan.arms, 1)]
    answers = _answers(
        team,
        Builds,
        (brief, lessons),
        [data_json(arms, "arms of the plan"), "Write each arm as overrides."],
        lambda answer: [fault for build in answer.builds for fault in _unbuilt(plan, build, check)],
        lambda answer: _kept_builds(plan, answer, check),
    )
    built: dict[int, Build] = {}
    for build in (build for _, answer in answers for build in answer.builds):
        built.setdefault(build.arm, build)
    return list(built.values())


def _unbuilt(plan: Plan, build: Build, check: Check) -> list[str]:
    """What is wrong with a build, as the gate says it of each value that it sweeps over."""
    if build.arm > len(plan.arms):
        return [f"builds name arm {build.arm}: there are {len(plan.arms)}."]
    faults = dict.fromkeys(fault for point in _points(build) for fault in check(point))
    return [f"arm {build.arm}: {fault}" for fault in faults][:2]


def _kept_builds(plan: Plan, answer: Builds, check: Check) -> Builds | None:
    """The arms that can be run; a bad one is left out and costs no other."""
    kept = tuple(build for build in answer.builds if not _unbuilt(plan, build, check))
    return Builds(builds=kept) if kept else None


def _points(build: Build) -> list[list[str]]:
    """The configurations of a build: one, or one for each value that it sweeps over where those are few."""
    read = [parsed(text) for text in build.overrides]
    swept = [one for one in read if isinstance(one, Assignment)]
    if len(swept) < len(read) or not 1 < prod(one.count() for one in swept) <= _SWEPT:
        return [list(build.overrides)]  # what is wrong with it the gate says better
    return [[f"{key}={value.text}" for key, value in point] for point in points(swept)]


def _proposals(
    brief: Brief, hypotheses: Sequence[Hypothesis], plan: Plan, builds: Sequence[Build]
) -> tuple[list[Proposal], list[str]]:
    """The builds as proposals, further values of sweeps last, and a note for each claim that was dropped."""
    first = {build.arm: tuple(_points(build)[0]) for build in builds}
    proposals, notes = list[tuple[int, Proposal]](), list[str]()
    for build in builds:
        arm = plan.arms[build.arm - 1]
        hypothesis = hypotheses[arm.hypothesis - 1]
        refuted_by, dropped = refuting(arm.refuted_by)
        notes += [f"arm {build.arm}: {dropped}"] if dropped else []
        if arm.against and arm.against not in first:
            notes.append(f"arm {build.arm} is compared with the control: arm {arm.against} was not built")
        made = Proposal(
            hypothesis=hypothesis.claim,
            overrides=(),
            control=first.get(arm.against, ()),
            metric=brief.state.objective.metric,
            direction=brief.state.objective.direction,
            refuted_by=refuted_by or refutation(brief.state.objective),
            domain=brief.domain,
            proposer=PROPOSER,
            cites=hypothesis.cites,
        )
        swept = (made.model_copy(update={"overrides": tuple(point)}) for point in _points(build))
        proposals += list(enumerate(swept))
    return [proposal for _, proposal in sorted(proposals, key=lambda numbered: numbered[0])], notes


@final
class Queued(Proposer):
    """Hands out what the discussion has queued, and after that what the proposer behind it proposes."""

    def __init__(self, inner: Proposer) -> None:
        self.name, self.first = inner.name, inner.first
        self._inner = inner
        self._waiting: deque[Proposal] = deque()
        self.accepted = self.expected = 0
        """how many were queued in all, and how many are still to be reviewed"""
        self.asking: Callable[[], AbstractContextManager[None] | None] = nullcontext
        """the context within which the inner proposer is asked; it gives None while nobody can be asked"""
        self._early: Future[Proposal | None] | None = None

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
        early, self._early = self._early, None
        return self._asked(state) if early is None else early.result()

    def ask_early(self, state: State) -> None:
        """Ask the inner proposer now; the next `ask` returns what it proposes, or raises what it raised."""
        self._early = Future[Proposal | None]()
        try:
            self._early.set_result(self._asked(state))
        except Exception as error:
            self._early.set_exception(error)

    def _asked(self, state: State) -> Proposal | None:
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

"""From a proposal to an arm that may be run: gate, repeats, predicted failure, review, improvement."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from research.campaign.bench import Arm, Bench
from research.campaign.rows import Rows
from research.propose.proposer import Lane, Seen, SeenStatus, lane_of
from research.team.judges import Judges
from research.team.review import Facts, Opinion, Revised, Thresholds, neighbourhood, panel
from research.types import Objective, Proposal

Doubted = Callable[[Mapping[str, Any]], str | None]
"""a resolved config -> why memory says that it need not be run; None where memory knows nothing against it"""
Outside = Callable[[Sequence[str]], Sequence[str]]
"""complaints about overrides that belong to another field than the campaign's"""


REPEAT = "exactly this configuration was proposed before: propose something else."


@final
@dataclass(frozen=True)
class Judgement:
    """What the reviewers say of one version of a proposal."""

    opinions: tuple[Opinion, ...]
    round: int
    """0 is the proposal as it came, 1 its first improvement"""
    first: float | None
    """the score of the proposal as it came: it decides how often it may be improved"""

    @property
    def score(self) -> float | None:
        """The mean total of the reviewers."""
        return panel(self.opinions)

    def facts(self) -> dict[str, Any]:
        """What the proposal's row says of it."""
        by = "model" if any(one.by == "model" for one in self.opinions) else "stand-in"
        return {"score": self.score, "round": self.round, "by": by, "first": self.first}


@final
@dataclass(frozen=True)
class Admitted:
    """What became of a proposal: an arm, or how and why it ended."""

    proposal: Proposal
    arm: Arm | None = None
    status: SeenStatus = "refused"
    reason: str = ""


@final
class Admission:
    """Lets proposals in, for a sprint or for one task; facts come before opinions."""

    def __init__(
        self,
        bench: Bench,
        rows: Rows | None,
        thresholds: Thresholds,
        left_s: Callable[[], float] = lambda: math.inf,
        doubted: Doubted = lambda config: None,
        outside: Outside = lambda overrides: (),
    ) -> None:
        """Each version of a proposal leaves a row in `rows`; None writes none.

        `left_s` is the time that is left, of which one trial may take a quarter.
        """
        self._bench, self._rows, self._thresholds = bench, rows, thresholds
        self._left_s, self._doubted, self._outside = left_s, doubted, outside
        self._reserved: dict[str, Arm] = {}
        self._proposals: dict[int, Proposal] = {}
        self.lanes = False
        """whether a control lane runs beside the team's: neither knows what the other has tried"""
        self._signatures: dict[Lane, set[str]] = {"team": set(), "control": set()}
        self.seen: list[Seen] = []
        """what was tried in the whole campaign, for the facts of what comes next"""
        self.objective: Objective | None = None

    @property
    def rows(self) -> Rows:
        """The sprint's rows."""
        assert self._rows is not None
        return self._rows

    def admit(self, proposal: Proposal, judges: Judges | None, status: str = "running") -> Admitted:
        """Let a proposal in, improved where its review asks for it; without `judges` nothing is reviewed."""
        waiting = self._waiting(proposal)
        if waiting is not None:
            return waiting
        facts: dict[str, Any] = {"lane": lane_of(proposal.proposer)} if self.lanes else {}
        judgement: Judgement | None = None
        while True:
            fault, reason, signature = self._fault(proposal)
            facts = facts | {"signature": signature, "reasons": [reason] if fault else []}
            if fault is not None:
                self._open(proposal, fault, facts)
                return Admitted(proposal, status=fault, reason=reason)
            if judges is None:
                return self._opened(proposal, status, facts, ())
            proposal, judgement = self.review(proposal, judges, judgement)
            facts["review"] = judgement.facts()
            if self.accepted(judgement):
                return self._opened(proposal, status, facts, judgement.opinions)
            better = self.improve(proposal, judges, judgement)
            why = self.dropped(judgement, better)
            number = self._open(proposal, "dropped", facts | {"reasons": [why]}, judgement.opinions)
            if better is None:
                return Admitted(proposal, reason=why)
            proposal = better.proposal.model_copy(update={"parent": number})
            facts["changed"] = better.changed

    def review(
        self, proposal: Proposal, judges: Judges, before: Judgement | None = None
    ) -> tuple[Proposal, Judgement]:
        """The proposal with its predicted cost, and what reviewers say of it.

        `before` is the judgement of the version that it improves upon.
        """
        known = self._facts(proposal)
        proposal = proposal.model_copy(update={"cost": _cost(known)})
        opinions = tuple(judges.review(proposal, known))
        if before is None:
            return proposal, Judgement(opinions, 0, panel(opinions))
        return proposal, Judgement(opinions, before.round + 1, before.first)

    def accepted(self, judgement: Judgement) -> bool:
        """Whether a version is good enough to be run."""
        return self._thresholds.accepted(judgement.score)

    def improve(self, proposal: Proposal, judges: Judges, judgement: Judgement) -> Revised | None:
        """The proposal rewritten; None when nobody can, or it was as often as its first score allows."""
        last = judgement.round >= self._thresholds.improvements(judgement.first) or not judgement.opinions
        return None if last else judges.improve(proposal, judgement.opinions, self.known)

    def dropped(self, judgement: Judgement, better: Revised | None) -> str:
        """Why a version did not pass: its score and first reason, and what was made of it."""
        # Cut off, not rounded: 6.96 is below 7.
        score, accept = judgement.score, self._thresholds.accept
        said = "it could not be scored"
        if score is not None:
            said = f"reviewed {int(10 * score) / 10}, below {accept:g}"
        reasons, facet = ["no reason was given"], None
        if judgement.opinions:
            first = judgement.opinions[0]
            reasons, facet = [*first.reasons] or reasons, first.worst
        worst = next((why for why in reasons if facet and why.startswith(facet)), reasons[0])
        return f"{said}: {worst}; improved: {better.changed}" if better else f"{said}: {worst}"

    def reserve(self, number: int, proposal: Proposal, facts: Mapping[str, Any]) -> None:
        """Keep a queued row's place: it is run when its proposer comes with it, and nobody repeats it."""
        arm = Arm(proposal.overrides, proposal.proposer, number, facts=dict(facts))
        self._reserved[self._bench.signature(proposal.overrides)] = arm
        self._proposals[number] = proposal

    def tried(self, signature: str, proposer: str) -> None:
        """Count a configuration as tried in the lane of a proposer: it is a repeat there from now on."""
        self._signatures[self._lane(proposer)].add(signature)

    def _lane(self, proposer: str) -> Lane:
        return lane_of(proposer) if self.lanes else "team"

    def known(self, proposal: Proposal) -> Facts | None:
        """What code knows of a proposal; None where it would not be let in."""
        return None if self._fault(proposal)[0] else self._facts(proposal)

    def complaints(self, overrides: Sequence[str]) -> list[str]:
        """What is wrong with overrides: the gate's complaints, else that they were tried before."""
        if complaints := self.gate(overrides):
            return complaints
        known = self._bench.signature(overrides) in self._signatures["team"] | self._reserved.keys()
        return [REPEAT] if known else []

    def _waiting(self, proposal: Proposal) -> Admitted | None:
        """A proposal that was queued before: only the gate is asked, and what it refuses now waits on."""
        if not self._reserved:
            return None
        if complaints := self.gate(proposal.overrides):
            kept = (arm.overrides for arm in self._reserved.values() if arm.proposer == proposal.proposer)
            waits = proposal.overrides in kept
            return Admitted(proposal, reason=f"it waits on: {complaints[0]}") if waits else None
        signature = self._bench.signature(proposal.overrides)
        arm = self._reserved.get(signature)
        if arm is None or arm.proposer != proposal.proposer:
            return None
        del self._reserved[signature]
        self.tried(signature, arm.proposer)
        return Admitted(self._proposals[arm.proposal_id], arm)

    def _fault(self, proposal: Proposal) -> tuple[SeenStatus | None, str, str | None]:
        """Why a proposal is not even reviewed: status, reason, and its signature where it has one."""
        if complaints := self.gate(proposal.overrides):
            return "refused", complaints[0], None
        signature = self._bench.signature(proposal.overrides)
        lane = self._lane(proposal.proposer)
        if signature in self._signatures[lane] or (lane == "team" and signature in self._reserved):
            return "repeat", REPEAT, signature
        doubt = self._doubt(proposal)
        return ("refused", doubt, signature) if doubt else (None, "", signature)

    def _doubt(self, proposal: Proposal) -> str | None:
        """What memory has against it; of a sprint that continues, what it had then."""
        row = self._rows.before_of(proposal) if self._rows else None
        if row is None:
            return self._doubted(self._bench.config(proposal.overrides, 0))
        reasons = row["facts"].get("reasons") or []
        return str(reasons[0]) if row["status"] == "refused" and reasons else None

    def _opened(
        self, proposal: Proposal, status: str, facts: dict[str, Any], opinions: Sequence[Opinion]
    ) -> Admitted:
        number = self._open(proposal, status, facts, opinions)
        arm = Arm(proposal.overrides, proposal.proposer, number, facts=dict(facts))
        if status == "queued":
            self.reserve(number, proposal, facts)
        else:
            self.tried(str(facts["signature"]), proposal.proposer)
        return Admitted(proposal, arm)

    def _open(
        self, proposal: Proposal, status: str, facts: dict[str, Any], opinions: Sequence[Opinion] = ()
    ) -> int:
        return self._rows.open(proposal, status, facts, opinions) if self._rows else 0

    def _facts(self, proposal: Proposal) -> Facts:
        lane = self._lane(proposal.proposer)
        seen = [one for one in self.seen if self._lane(one.proposer) == lane]
        near = neighbourhood(proposal, seen, self.objective) if self.objective else {}
        idle = self._bench.idle(proposal.overrides)
        return Facts.model_validate({"idle": idle, **predicted(self._bench, proposal.overrides), **near})

    def gate(self, overrides: Sequence[str]) -> list[str]:
        """What is wrong with overrides by the space, the time that is left and the field."""
        space = self._bench.space
        complaints = space.check(list(overrides), self._too_dear, given=self._bench.fixed)
        return complaints or space.swept(overrides) or list(self._outside(overrides))

    def _too_dear(self, configs: Sequence[Mapping[str, Any]]) -> str | None:
        """The gate's last question: a trial as long as this one must fit into what is left of the time."""
        left = self._left_s()
        if math.isinf(left):
            return None
        longest = max((self._seconds(config) for config in configs), default=0.0)
        if longest <= left / 4:
            return None
        return f"This would take about {longest:.0f} s and {left:.0f} s are left: lower budget.steps."

    def _seconds(self, config: Mapping[str, Any]) -> float:
        expected = self._bench.expected.cost(config)
        if expected is not None and expected.seconds is not None:
            return expected.seconds
        usual, own = _steps(self._bench.config((), 0)), _steps(config)
        return self._bench.spend.each_s * max(1.0, own / usual if usual else 1.0)


def predicted(bench: Bench, overrides: Sequence[str]) -> dict[str, float | None]:
    """What `Facts` tells of a trial's cost: by the fit, else by steps and what a trial usually costs."""
    configs = [bench.config(one, 0) for one in (overrides, ())]
    own, control = map(bench.expected.cost, configs)
    if own is None or control is None:
        steps, usual = map(_steps, configs)
        ratio, spend = steps / usual if usual and steps else 1.0, bench.spend
        seconds, joules = spend.each_s * ratio or None, spend.each_j * ratio or None
        return {"cost_ratio": ratio, "seconds": seconds, "joules": joules}
    return {
        "cost_ratio": own.cpu_seconds / control.cpu_seconds,
        "cost_error": own.error,
        "seconds": own.seconds,
        "cpu_seconds": own.cpu_seconds,
        "joules": own.joules,
    }


def _cost(facts: Facts) -> dict[str, float]:
    told = {"seconds": facts.seconds, "cpu_seconds": facts.cpu_seconds, "joules": facts.joules}
    return {name: float(f"{value:.4g}") for name, value in told.items() if value is not None}


def _steps(config: Mapping[str, Any]) -> float:
    budget = config.get("budget")
    return float(budget.get("steps") or 0) if isinstance(budget, Mapping) else 0.0

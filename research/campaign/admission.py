"""From a proposal to an arm that may be run: gate, repeats, predicted failure, review, improvement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from research.campaign.bench import Arm, Bench
from research.campaign.rows import Rows
from research.propose.lanes import Lane, lane_of
from research.propose.proposer import Seen, SeenStatus
from research.team.judges import Judges
from research.team.review import Facts, Opinion, Thresholds, neighbourhood, panel
from research.types import Objective, Proposal

Doubted = Callable[[Mapping[str, Any]], str | None]
"""a resolved config -> why memory says that it need not be run; None where memory knows nothing against it"""
Outside = Callable[[Sequence[str]], Sequence[str]]
"""complaints about overrides that belong to another field than the campaign's"""


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
    """One sprint's door; facts come before opinions, and each step writes the rows that it leaves."""

    def __init__(
        self,
        bench: Bench,
        rows: Rows,
        thresholds: Thresholds,
        left_s: Callable[[], float],
        doubted: Doubted = lambda config: None,
        outside: Outside = lambda overrides: (),
    ) -> None:
        self._bench, self.rows, self._thresholds = bench, rows, thresholds
        self._left_s, self._doubted, self._outside = left_s, doubted, outside
        self._reserved: dict[str, Arm] = {}
        self._proposals: dict[int, Proposal] = {}
        self.lanes = False
        """whether a control lane runs beside the team's: neither knows what the other has tried"""
        self._signatures: dict[Lane, set[str]] = {"team": set(), "control": set()}
        self.seen: list[Seen] = []
        """what was tried in the whole campaign, for the facts of what comes next"""
        self.objective: Objective | None = None

    def admit(self, proposal: Proposal, judges: Judges, status: str = "running") -> Admitted:
        """Let a proposal in, improved where its review asks for it; what is not let in has its reason."""
        waiting = self._waiting(proposal)
        if waiting is not None:
            return waiting
        first: float | None = None
        facts: dict[str, Any] = {"lane": lane_of(proposal.proposer)} if self.lanes else {}
        for round_ in range(1 + 2):
            fault, reason, signature = self._fault(proposal)
            if fault is not None:
                self.rows.open(proposal, fault, facts | {"signature": signature, "reasons": [reason]})
                return Admitted(proposal, status=fault, reason=reason)
            known = self._facts(proposal)
            proposal = proposal.model_copy(update={"cost": self._cost(known)})
            opinions = judges.review(proposal, known)
            score = panel(opinions)
            first = score if round_ == 0 else first
            facts |= {"signature": signature, "reasons": [], "review": _review(score, round_, opinions)}
            if self._thresholds.accepted(score):
                return self._opened(proposal, status, facts, opinions, signature)
            last = round_ >= self._thresholds.improvements(first)
            better = None if last else judges.improve(proposal, opinions, self.known)
            why = _dropped(
                score, self._thresholds.accept, opinions, None if better is None else better.changed
            )
            number = self.rows.open(proposal, "dropped", facts | {"reasons": [why]}, opinions)
            if better is None:
                return Admitted(proposal, reason=why)
            proposal = better.proposal.model_copy(update={"parent": number})
            facts = facts | {"changed": better.changed}
        raise AssertionError("a proposal is improved twice at most")

    def reserve(self, number: int, proposal: Proposal, facts: Mapping[str, Any]) -> None:
        """Keep a queued row's place: it is run when its proposer comes with it, and nobody repeats it."""
        arm = Arm(proposal.overrides, proposal.proposer, number, facts=dict(facts))
        self._reserved[self._bench.signature(proposal.overrides)] = arm
        self._proposals[number] = proposal

    def tried(self, signature: str, proposer: str) -> None:
        """Count a configuration as tried in the lane of a proposer: it is a repeat there from now on."""
        self._signatures[lane_of(proposer)].add(signature)

    def known(self, proposal: Proposal) -> Facts | None:
        """What code knows of a proposal; None where it would not be let in."""
        return None if self._fault(proposal)[0] else self._facts(proposal)

    def complaints(self, overrides: Sequence[str]) -> list[str]:
        """What is wrong with overrides: the gate's complaints, else that they were tried before."""
        found = self._gate(overrides)
        if not found and self._bench.signature(overrides) in self._signatures["team"] | self._reserved.keys():
            return ["exactly this configuration was proposed before: propose something else."]
        return found

    def _waiting(self, proposal: Proposal) -> Admitted | None:
        """A proposal that was reviewed and queued before: only the gate is asked again."""
        if not self._reserved or self._gate(proposal.overrides):
            return None
        signature = self._bench.signature(proposal.overrides)
        arm = self._reserved.get(signature)
        if arm is None or arm.proposer != proposal.proposer:
            return None
        del self._reserved[signature]
        self.tried(signature, arm.proposer)
        return Admitted(self._proposals[arm.proposal_id], arm)

    def _fault(self, proposal: Proposal) -> tuple[SeenStatus | None, str, str | None]:
        """Why a proposal is not even reviewed: status, reason, and its signature where it has one."""
        complaints = self._gate(proposal.overrides)
        if complaints:
            return "refused", complaints[0], None
        signature = self._bench.signature(proposal.overrides)
        lane = lane_of(proposal.proposer)
        if signature in self._signatures[lane] or (lane == "team" and signature in self._reserved):
            return "repeat", "it resolves to a configuration that was proposed before", signature
        doubt = self._doubt(proposal)
        return ("refused", doubt, signature) if doubt else (None, "", signature)

    def _doubt(self, proposal: Proposal) -> str | None:
        """What memory has against it; of a sprint that continues, what it had then."""
        row = self.rows.before_of(proposal)
        if row is None:
            return self._doubted(self._bench.config(proposal.overrides, 0))
        reasons = row["facts"].get("reasons") or []
        return str(reasons[0]) if row["status"] == "refused" and reasons else None

    def _opened(
        self,
        proposal: Proposal,
        status: str,
        facts: dict[str, Any],
        opinions: Sequence[Opinion],
        signature: str | None,
    ) -> Admitted:
        number = self.rows.open(proposal, status, facts, opinions)
        arm = Arm(proposal.overrides, proposal.proposer, number, facts=dict(facts))
        if status == "queued":
            self.reserve(number, proposal, facts)
        elif signature:
            self.tried(signature, proposal.proposer)
        return Admitted(proposal, arm)

    def _facts(self, proposal: Proposal) -> Facts:
        lane = lane_of(proposal.proposer)
        seen = [one for one in self.seen if lane_of(one.proposer) == lane]
        near = neighbourhood(proposal, seen, self.objective) if self.objective else {}
        idle = self._bench.idle(proposal.overrides)
        return Facts.model_validate({"idle": idle, **predicted(self._bench, proposal.overrides), **near})

    def _cost(self, facts: Facts) -> dict[str, float]:
        told = {"seconds": facts.seconds, "cpu_seconds": facts.cpu_seconds, "joules": facts.joules}
        return {name: float(f"{value:.4g}") for name, value in told.items() if value is not None}

    def _gate(self, overrides: Sequence[str]) -> list[str]:
        found = self._bench.space.check(list(overrides), self._too_dear, given=self._bench.fixed)
        return found or list(self._outside(overrides))

    def _too_dear(self, configs: Sequence[Mapping[str, Any]]) -> str | None:
        """The gate's last question: a trial as long as this one must fit into what is left of the time."""
        longest = max((self._seconds(config) for config in configs), default=0.0)
        left = self._left_s()
        if longest <= left / 4:
            return None
        return f"This would take about {longest:.0f} s and {left:.0f} s are left: lower budget.steps."

    def _seconds(self, config: Mapping[str, Any]) -> float:
        found = self._bench.expected.cost(config)
        if found is not None and found.seconds is not None:
            return found.seconds
        usual, own = _steps(self._bench.config((), 0)), _steps(config)
        return self._bench.spend.each_s * max(1.0, own / usual if usual else 1.0)


def predicted(bench: Bench, overrides: Sequence[str]) -> dict[str, float | None]:
    """What `Facts` tells of a trial's cost: by the fit, else by steps and what a trial usually costs."""
    own, control = (bench.expected.cost(bench.config(one, 0)) for one in (overrides, ()))
    if own is None or control is None:
        usual, steps = (_steps(bench.config(one, 0)) for one in ((), overrides))
        ratio, spend = steps / usual if usual and steps else 1.0, bench.spend
        return {
            "cost_ratio": ratio,
            "seconds": spend.each_s * ratio or None,
            "joules": spend.each_j * ratio or None,
        }
    return {
        "cost_ratio": own.cpu_seconds / control.cpu_seconds,
        "cost_error": own.error,
        "seconds": own.seconds,
        "cpu_seconds": own.cpu_seconds,
        "joules": own.joules,
    }


def _review(score: float | None, round_: int, opinions: Sequence[Opinion]) -> dict[str, Any]:
    by = "model" if any(one.by == "model" for one in opinions) else "stand-in"
    return {"score": score, "round": round_, "by": by}


def _dropped(score: float | None, accept: float, opinions: Sequence[Opinion], changed: str | None) -> str:
    """Why a version did not pass: its score and first reason, and what was made of it."""
    # Cut off, not rounded: 6.96 is below 7.
    said = "it could not be scored" if score is None else f"reviewed {int(10 * score) / 10}, below {accept:g}"
    worst = opinions[0].worst
    reason = next((one for one in opinions[0].reasons if worst and one.startswith(worst)), None)
    why = f"{said}: {reason or (opinions[0].reasons or ('no reason was given',))[0]}"
    return f"{why}; improved: {changed}" if changed else why


def _steps(config: Mapping[str, Any]) -> float:
    budget = config.get("budget")
    return float(budget.get("steps") or 0) if isinstance(budget, Mapping) else 0.0

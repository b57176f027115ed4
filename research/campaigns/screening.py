"""Screening: proposers take turns, gate and hash sort out, the rest is run cheaply and told to all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from research.campaigns.bench import Arm, Bench
from research.campaigns.spend import Price
from research.language.ledger import CapReached
from research.llm import LlmUnavailable
from research.objective import rank
from research.proposers.proposer import Proposer, Seen, SeenStatus, State
from research.proposers.turns import Turns
from research.store import Store
from research.types import Objective, Proposal, Record

_TRIES = 12
"""proposals that may be refused or repeated in one turn before the turn passes to the next proposer"""
_SILENT = 3
"""turns without a proposal after which a proposer is no longer asked"""


@final
class Screen(Record):
    """How screening is done."""

    turns: int = 24
    """proposals that are run"""
    at_once: int = 2
    """proposals asked for before their results are told: the same on every machine, so that it repeats"""
    seeds: tuple[int, ...] = (0,)


@final
class Screening:
    """One campaign's screening; `arms` are the proposals that have figures, the control first."""

    def __init__(
        self, bench: Bench, turns: Turns, settings: Screen, goal: str, objective: Objective, sprint_id: int
    ) -> None:
        self._bench, self._turns, self._settings = bench, turns, settings
        self._goal, self.objective, self._sprint_id = goal, objective, sprint_id
        self._store: Store = bench.store
        self._signatures: set[str] = set()
        self._silent: dict[str, int] = {}
        self._seen: list[Seen] = []
        self.arms: list[Arm] = []
        self.notes: list[str] = []
        """what a reader must know: who stopped proposing and why, and what ended the screening"""

    def start(self, control: Arm) -> None:
        """Take the control, whose trials are done, as the first arm."""
        self.arms = [control]
        self._signatures = {self._bench.signature(control.overrides)}

    def run(self, proposers: Sequence[Proposer], reserve: Callable[[], Price]) -> None:
        """Screen until the turns or the budget are used up; `reserve` is kept back for what follows."""
        done = 0
        while done < self._settings.turns:
            size = min(self._settings.at_once, self._settings.turns - done)
            trials = size * len(self._settings.seeds)
            spend = self._bench.spend
            short = spend.short(spend.usual(trials, size), reserve())
            if short:
                self.notes.append(f"screening ended after {done} proposals: {short}")
                return
            asked = self._ask(size)
            if not asked:
                self.notes.append(f"screening ended after {done} proposals: nobody has a new one")
                return
            self._bench.run([(arm, seed) for arm, _ in asked for seed in self._settings.seeds])
            for arm, proposal in asked:
                self._settle(arm, proposal, proposers)
            done += len(asked)

    def best(self, count: int) -> list[Arm]:
        """The best arms by their screened means, the control left out."""
        scored = [(rank(self.objective, self._means(arm)), place) for place, arm in enumerate(self.arms)]
        order = [self.arms[place] for _, place in sorted(scored)]
        return [arm for arm in order if arm is not self.arms[0]][:count]

    def state(self) -> State:
        """What proposers may know now: validation figures only."""
        control = self._shown(self.arms[0]) if self.arms else None
        best = min(self.arms, key=lambda arm: rank(self.objective, self._means(arm)), default=None)
        return State(
            goal=self._goal,
            objective=self.objective,
            fixed=self._bench.fixed,
            control=control,
            incumbent=self._shown(best) if best else None,
            seen=tuple(self._seen),
        )

    def _ask(self, size: int) -> list[tuple[Arm, Proposal]]:
        asked: list[tuple[Arm, Proposal]] = []
        while len(asked) < size:
            proposer = self._turns.next()
            if proposer is None:
                break
            found = self._turn(proposer)
            if found:
                asked.append(found)
        return asked

    def _turn(self, proposer: Proposer) -> tuple[Arm, Proposal] | None:
        """One new, accepted proposal of one proposer; None when it has none, which may end its turns."""
        try:
            for _ in range(_TRIES):
                proposal = proposer.ask(self.state())
                if proposal is None:
                    break
                arm = self._accepted(proposal, proposer)
                if arm:
                    self._silent[proposer.name] = 0
                    return arm, proposal
        except (LlmUnavailable, CapReached) as reason:
            self._leave(proposer, str(reason))
            return None
        self._silent[proposer.name] = self._silent.get(proposer.name, 0) + 1
        if self._silent[proposer.name] >= _SILENT:
            self._leave(proposer, "it has nothing new")
        return None

    def _leave(self, proposer: Proposer, reason: str) -> None:
        self._turns.leave(proposer)
        self.notes.append(f"{proposer.name} stopped proposing: {reason}")

    def _accepted(self, proposal: Proposal, proposer: Proposer) -> Arm | None:
        """The proposal as an arm, unless the gate refuses it or its signature is known in this campaign."""
        complaints = self._complaints(list(proposal.overrides))
        signature = None if complaints else self._bench.signature(proposal.overrides)
        status: SeenStatus | None = "refused" if complaints else None
        if signature in self._signatures:
            status, complaints = "repeat", ["it resolves to a configuration that was proposed before"]
        number = self._store.add_experiment(
            proposal,
            sprint_id=self._sprint_id,
            status=status or "running",
            facts={"signature": signature, "reasons": complaints},
        )
        if status is None and signature:
            self._signatures.add(signature)
            return Arm(proposal.overrides, proposer.name, number, facts={"signature": signature})
        self._tell(proposal, status or "refused", {}, complaints[0], (proposer,))
        return None

    def _complaints(self, overrides: list[str]) -> list[str]:
        return self._bench.space.check(overrides, self._too_dear, given=self._bench.fixed)

    def _too_dear(self, configs: Sequence[Mapping[str, Any]]) -> str | None:
        """The gate's last question: a trial as long as this one must fit into what is left of the time."""
        usual = _steps(self._bench.config((), 0))
        steps = max((_steps(config) for config in configs), default=0.0)
        predicted = self._bench.spend.each_s * max(1.0, steps / usual if usual else 1.0)
        left = self._bench.spend.left_s()
        if predicted <= left / 4:
            return None
        return f"This would take about {predicted:.0f} s and {left:.0f} s are left: lower budget.steps."

    def _settle(self, arm: Arm, proposal: Proposal, proposers: Sequence[Proposer]) -> None:
        reason = arm.failed(self._settings.seeds)
        status: SeenStatus = "failed" if reason else "done"
        ids = [arm.trials[seed] for seed in self._settings.seeds if seed in arm.trials]
        self._bench.note(
            arm, "failed" if reason else "screened", reasons=[reason] if reason else [], screened=ids
        )
        if not reason:
            self.arms.append(arm)
        self._tell(proposal, status, self._means(arm) if not reason else {}, reason, proposers)

    def _tell(
        self,
        proposal: Proposal,
        status: SeenStatus,
        metrics: dict[str, float],
        reason: str | None,
        proposers: Sequence[Proposer],
    ) -> None:
        told = {key: value for key, value in metrics.items() if not key.startswith("test/")}
        seen = Seen(
            overrides=proposal.overrides,
            proposer=proposal.proposer,
            status=status,
            metrics=told,
            reason=reason,
        )
        self._seen.append(seen)
        for proposer in proposers:
            proposer.tell(proposal, seen)

    def _means(self, arm: Arm) -> dict[str, float]:
        return self._bench.means(arm, self._settings.seeds)

    def _shown(self, arm: Arm) -> Seen:
        told = {key: value for key, value in self._means(arm).items() if not key.startswith("test/")}
        return Seen(overrides=arm.overrides, proposer=arm.proposer, status="done", metrics=told)


def _steps(config: Mapping[str, Any]) -> float:
    budget = config.get("budget")
    return float(budget.get("steps") or 0) if isinstance(budget, Mapping) else 0.0

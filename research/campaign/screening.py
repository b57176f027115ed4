"""Screening: proposers take turns, the admission sorts out, the rest is run cheaply and told to all."""

import itertools
from collections.abc import Callable, Sequence
from typing import final

from research.campaign.admission import Admission
from research.campaign.asking import Asking
from research.campaign.bench import Arm, Bench
from research.campaign.budget import ModelAccount, Price, paid
from research.campaign.charter import Screen
from research.campaign.rows import Earlier
from research.campaign.stopping import Stopping
from research.metrics import rank, untested
from research.propose.bandit import NOTHING, gain
from research.propose.lanes import view
from research.propose.proposer import Seen, SeenStatus, State
from research.run.lookup import spared
from research.stats.intervals import summary
from research.team.discussion import PROPOSER
from research.team.judges import Judges
from research.team.turns import Proposers
from research.types import Objective, Proposal

Short = Callable[[Price], str | None]
"""why a price cannot be paid now and still leave what must follow; None when it can"""

_CONTROL_LANE = "control/"


@final
class Screening:
    """One campaign's screening; `arms` are the proposals that have figures, the control first."""

    def __init__(
        self,
        bench: Bench,
        admission: Admission,
        who: Proposers,
        settings: Screen,
        goal: str,
        judges: Judges,
        bill: ModelAccount,
    ) -> None:
        self._bench, self._admission, self._turns = bench, admission, who.turns
        self._settings, self._goal, self._bill = settings, goal, bill
        self.stopping: Stopping | None = None
        self.asked: Objective | None = None
        """the objective with what is relative to the control as such"""
        self._held: tuple[Arm, ...] = ()
        self.arms: list[Arm] = []
        self.notes: list[str] = []
        """what a reader must know: who stopped proposing and why, and what ended the screening"""
        self._left_out: list[str] = []
        """why arms could not be compared"""
        self._asking = Asking(who.turns, who.all, admission, judges, self.state, self.notes)

    @property
    def objective(self) -> Objective:
        """As it is screened: on the validation split."""
        assert self._admission.objective is not None
        return self._admission.objective

    def start(self, control: Arm, earlier: Earlier, stopped: Arm | None = None) -> None:
        """Take the control, whose trials are done, as the first arm, and what earlier sprints have left.

        `stopped` is the control stopped at the bound: it is what proposals must beat.
        """
        self._held = (control, *filter(None, [stopped]))
        own = {arm.overrides for arm in self._held}
        self.arms = [*self._held, *(arm for arm in earlier.arms if arm.overrides not in own)]
        if self._settings.stop is not None:
            given = (self._bench, self.objective, self._settings.stop, self._settings.seeds)
            self.stopping = Stopping(*given, reference=self._held[-1])
            for arm in self.arms:
                self.stopping.learn(arm)
        for arm in self.arms:
            self._admission.tried(self._bench.signature(arm.overrides), arm.proposer)
        for overrides, lane in itertools.product({(), *own}, ("team", _CONTROL_LANE)):
            self._admission.tried(self._bench.signature(overrides), lane)
        for proposal, seen in earlier.seen:
            self._asking.remember(proposal, seen)

    @property
    def busy(self) -> list[str]:
        """The sentence that the machine was too busy for some proposals, where it was."""
        left = (
            f"{len(self._left_out)} proposals were left out"
            if len(self._left_out) > 1
            else "a proposal was left out"
        )
        return [f"{left}: {self._left_out[-1]}"] if self._left_out else []

    def run(self, short_of: Short) -> None:
        """Screen until the turns, the time or the budget are used up."""
        self._screened(short_of)
        self._audited(short_of, last=True)
        self._turns.pay(PROPOSER, self._bill.rest())

    def _screened(self, short_of: Short) -> None:
        done = 0
        while done < self._settings.turns:
            size = min(self._settings.at_once, self._settings.turns - done)
            trials = size * len(self._settings.seeds)
            spend = self._bench.spend
            short = short_of(spend.usual(trials, size))
            if short:
                self.notes.append(f"screening ended after {done} proposals: {short}")
                return
            admitted = self._ask(size)
            if not admitted:
                self.notes.append(f"screening ended after {done} proposals: nobody has a new one")
                return
            self._run([arm for arm, _ in admitted])
            for arm, proposal in admitted:
                self._settle(arm, proposal)
            self._audited(short_of)
            done += len(admitted)

    def _audited(self, short_of: Short, last: bool = False) -> None:
        """Train some of the stopped to their end; those that could have won are arms again."""
        if self.stopping is not None:
            best = self.best(1)
            means = self._means(best[0]) if best else None
            self.arms += self.stopping.audit(short_of, means, last)

    def _run(self, arms: Sequence[Arm]) -> None:
        """Run what was asked for; an arm that an earlier run of the sprint has audited is known to end."""
        before = {row["id"]: row["facts"] for row in self._admission.rows.before}
        stopping, seeds = self.stopping, self._settings.seeds
        if stopping is None:
            needed = [self.objective.metric, *(bound.metric for bound in self.objective.constraints)]
            self._bench.run([(arm, seed) for arm in arms for seed in seeds], spared=spared(needed))
            return
        new = [arm for arm in arms if not stopping.recalled(arm, before.get(arm.proposal_id))]
        stopping.run([(arm, seed) for arm in new for seed in seeds])

    def best(self, count: int) -> list[Arm]:
        """The best arms by their screened means, the controls left out."""
        own = [arm for arm in self.arms if arm not in self._held]
        return sorted(own, key=lambda arm: rank(self.objective, self._means(arm)))[:count]

    def state(self) -> State:
        """What proposers may know now: validation figures only."""
        held = [self._shown(arm) for arm in self._held]
        best = min(self.arms, key=lambda arm: rank(self.objective, self._means(arm)), default=None)
        return State(
            goal=self._goal,
            objective=self.objective,
            asked=self.asked,
            fixed=self._bench.fixed,
            control=held[0] if held else None,
            stopped=held[1] if len(held) > 1 else None,
            incumbent=self._shown(best) if best else None,
            seen=tuple(self._admission.seen),
            spread=self._spread(),
        )

    def _spread(self) -> dict[str, float]:
        """Of the control's figures over every seed that it was run with: what a difference must exceed."""
        control = self.arms[0] if self.arms else None
        if control is None or len(control.trials) < 2:
            return {}
        wanted = [self.objective.metric, *(bound.metric for bound in self.objective.constraints)]
        values = {key: self._bench.values(control, key, sorted(control.trials)).values() for key in wanted}
        spread = {key: summary(values[key]).std for key in wanted}
        return {key: std for key, std in spread.items() if std}

    def _ask(self, size: int) -> list[tuple[Arm, Proposal]]:
        """New proposals, each with what the questions to the model cost that it came of."""
        asked: list[tuple[Arm, Proposal]] = []
        for admitted in itertools.islice(self._asking.admitted(), size):
            assert admitted.arm is not None
            self._billed(admitted.arm)
            asked.append((admitted.arm, admitted.proposal))
        return asked

    def _billed(self, arm: Arm) -> None:
        """What came of questions to the model pays for them; in a continued sprint as it did before."""
        if arm.proposer == PROPOSER:
            asked = self._admission.rows.paid(arm.proposal_id) or self._bill.part()
            arm.facts["asked"] = asked.model_dump()

    def _pay(self, arm: Arm) -> None:
        self._turns.pay(arm.proposer, paid(arm.facts) or NOTHING)

    def _settle(self, arm: Arm, proposal: Proposal) -> None:
        busy = self._bench.held(arm, self._settings.seeds)
        if busy or arm.cut(self._settings.seeds):
            self._left_out += [busy] if busy else []
            # Nothing is known of it, so nobody is told; what a model has reviewed waits for the next sprint.
            by = (arm.facts.get("review") or {}).get("by")
            told = {"reasons": [busy]} if busy else {}
            self._bench.note(arm, "queued" if by == "model" else "running", **told)
            self._pay(arm)
            return
        before = view(self.state(), arm.proposer)
        reason = arm.failed(self._settings.seeds)
        status: SeenStatus = "failed" if reason else "done"
        ids = [arm.trials[seed] for seed in self._settings.seeds if seed in arm.trials]
        stopped = reason is not None and self.stopping is not None and self.stopping.end(arm, reason)
        word = "stopped" if stopped else "failed" if reason else "screened"
        self._bench.note(arm, word, reasons=[reason] if reason else [], screened=ids)
        if not reason:
            self.arms.append(arm)
            if self.stopping is not None:
                self.stopping.learn(arm)
        seen = self._asking.tell(proposal, status, self._means(arm) if not reason else {}, reason)
        self._turns.learn(arm.proposer, gain(before, seen), self._joules(arm))
        self._pay(arm)

    def _joules(self, arm: Arm) -> float:
        """Joules of an arm's trials, those of failed ones included, whenever they were run."""
        seeds = self._settings.seeds
        figures = [result.metrics for result in self._bench.results(arm, seeds).values()]
        figures += [self._bench.lost(arm, seed) for seed in seeds if seed in arm.failures]
        return sum(metrics.get("train/energy_j", 0.0) for metrics in figures)

    def _means(self, arm: Arm) -> dict[str, float]:
        return self._bench.means(arm, self._settings.seeds)

    def _shown(self, arm: Arm) -> Seen:
        metrics = untested(self._means(arm))
        return Seen(overrides=arm.overrides, proposer=arm.proposer, status="done", metrics=metrics)

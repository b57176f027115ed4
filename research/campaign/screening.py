"""Screening: proposers take turns, the admission sorts out, the rest is run cheaply and told to all."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import final

from research.campaign.admission import Admission
from research.campaign.asking import Asking, Early, Proposers, spread
from research.campaign.bench import Arm, Bench
from research.campaign.budget import ModelAccount, Price, paid
from research.campaign.charter import Screen
from research.campaign.model import Talk
from research.campaign.rows import Earlier
from research.campaign.steering import Steering
from research.campaign.stopping import Stopping, Worth
from research.metrics import rank, untested
from research.propose.bandit import NOTHING, gain
from research.propose.proposer import CONTROL, Lane, Proposer, Seen, SeenStatus, State, lane_of, view
from research.run.lookup import spared
from research.stats.racing import inside
from research.team.discussion import PROPOSER
from research.team.judges import Judges
from research.types import Objective, Proposal

Short = Callable[[Price], str | None]
"""why a price cannot be paid now and still leave what must follow; None when it can"""


@final
class Screening:
    """One campaign's screening; `arms` are the proposals that have figures, the control first."""

    def __init__(
        self,
        bench: Bench,
        admission: Admission,
        who: Proposers,
        settings: Screen,
        worth: Worth,
        goal: str,
        judges: Judges,
        bill: ModelAccount,
        talk: Talk,
        steering: Steering,
    ) -> None:
        """`worth` may end it, `talk` is what may be said meanwhile, `steering` what the person says."""
        self._bench, self._admission, self._who = bench, admission, who
        self._settings, self._goal, self._bill, self._talk = settings, goal, bill, talk
        self.worth = worth
        self._steering, self._stopping = steering, dict[Lane, Stopping]()
        self.asked: Objective | None = None  # with what is relative to the control as such
        self.early = Early(who, talk)
        self._held: tuple[Arm, ...] = ()
        self._done, self._ended = Counter[Lane](), dict[Lane, str]()
        self.promised = 0
        """turns that the team was told to have; the other lane has as many"""
        self.brief = False
        """whether it ends with the turns that were promised: more follow after the next discussion"""
        self.arms: list[Arm] = []
        self.notes: list[str] = []
        """what a reader must know: who stopped proposing and why, and what ended the screening"""
        self._left_out: list[str] = []  # why arms could not be compared
        self.asking = Asking(who.of, who.all, admission, judges, self.state, self.notes)

    @property
    def objective(self) -> Objective:
        """As it is screened: on the validation split."""
        assert self._admission.objective is not None
        return self._admission.objective

    def open(self, control: Arm, earlier: Earlier) -> None:
        """Take the control, whose trials are done, and what earlier sprints have left; a team may talk."""
        self._held, self.arms = (control,), [control, *earlier.arms]
        self._tried({(), control.overrides})
        for arm in earlier.arms:
            self._admission.tried(self._bench.signature(arm.overrides), arm.proposer)
        for proposal, seen in earlier.seen:
            self.asking.remember(proposal, seen)

    def start(self, stopped: Arm | None = None) -> None:
        """Take the control stopped at the bound, which proposals must beat: now anything may be run."""
        self._held = (*self._held, *filter(None, [stopped]))
        held = {arm.overrides for arm in self._held}
        self.arms = [*self._held, *(arm for arm in self.arms if arm.overrides not in held)]
        self._tried(held)
        if self._settings.stop is not None:
            given = (self._bench, self.objective, self._settings.stop, self._settings.seeds)
            self._stopping = {lane: Stopping(*given, reference=self._held[-1]) for lane in self._who.bandits}
        for lane, stopping in self._stopping.items():
            for arm in self._arms_of(lane):
                stopping.learn(arm)

    def _tried(self, known: set[tuple[str, ...]]) -> None:
        """Count configurations as tried in both lanes."""
        for overrides, lane in itertools.product(known, ("team", CONTROL)):
            self._admission.tried(self._bench.signature(overrides), lane)

    def _arms_of(self, lane: Lane) -> list[Arm]:
        """The controls, and the arms of one lane: neither may profit from what the other has found."""
        alone = not self._who.lanes
        return [arm for arm in self.arms if arm in self._held or alone or lane_of(arm.proposer) == lane]

    @property
    def busy(self) -> list[str]:
        """The sentence that the machine was too busy for some proposals, where it was."""
        many = len(self._left_out)
        left = f"{many} proposals were left out" if many > 1 else "a proposal was left out"
        return [f"{left}: {self._left_out[-1]}"] if self._left_out else []

    def run(self, short_of: Short) -> None:
        """Screen until the turns, the time or the budget are used up."""
        self._screened(short_of)
        self._talk.finish()
        for lane in self._who.bandits:
            self._audited(lane, short_of, last=True)
        self._who.of(PROPOSER).pay(PROPOSER, self._bill.rest())

    def _screened(self, short_of: Short) -> None:
        while (lane := self._lane()) is not None:
            if over := self._steering.look(self._done.total()):
                self._ended |= dict.fromkeys(self._who.bandits, over)
                break
            size = min(self._settings.at_once, self._room(lane))
            price = self._bench.spend.usual(size * len(self._settings.seeds), size)
            if self._who.waiting(lane):  # a promise is kept, whatever is left after it
                short = self._bench.short(price)
            else:
                short = short_of(price) or self.worth.short(lane)
            if short is None:
                if lane != "team" and "team" not in self._ended and self._room("team") > 0:
                    self.early.put(self.promised, self.state())
                self._round(lane, size, short_of)
            else:
                self._ended[lane] = short
        if why := [self._ended[lane] for lane in self._who.bandits if lane in self._ended]:
            self.notes.append(f"screening ended after {self._done.total()} proposals: {why[-1]}")

    def _round(self, lane: Lane, size: int, short_of: Short) -> None:
        """Ask one lane, and run what it proposes: what comes of it is told before the lane is asked again."""
        if lane == "team":
            self.early.answered()
        admitted = self._ask(lane, size)
        if not admitted and not self._awaited(lane):
            self._ended[lane] = "nobody has a new one"
        self._run(lane, [arm for arm, _ in admitted])
        for arm, proposal in admitted:
            self._settle(lane, arm, proposal)
        self._done[lane] += len(admitted)
        if admitted:
            self._audited(lane, short_of)

    def _lane(self) -> Lane | None:
        """Whose round is next: first what was accepted, then the lane that is behind; None when all ended.

        While the team talks the other lane trains, and what it says is run as soon as it fills a round.
        """
        while True:
            lanes = [lane for lane in self._who.bandits if lane not in self._ended and self._room(lane) > 0]
            if "team" in lanes and (self._filled() if self.early.discussing else self._who.waiting("team")):
                return "team"
            others = [lane for lane in lanes if not self._awaited(lane)]
            if others or not lanes:
                return min(others, key=lambda lane: self._done[lane], default=None)
            self._talk.wait(self._filled)

    def _filled(self) -> bool:
        return self._who.waiting("team") >= min(self._settings.at_once, self._room("team"))

    def _awaited(self, lane: Lane) -> bool:
        """Whether a lane's next proposals are being discussed."""
        return lane == "team" and self.early.discussing

    def _room(self, lane: Lane) -> int:
        """Turns that a lane has still: equal parts, and those promised first."""
        turns, lanes = self._settings.turns, len(self._who.bandits)
        most = (turns + (lane == "team")) // lanes if lanes > 1 else turns
        spoken = self._who.queue is not None and self._who.queue.accepted > 0
        if lanes > 1 and (self.early.discussing or (self.brief and spoken)):
            most = min(most, self.promised)
        return most - self._done[lane]

    def _audited(self, lane: Lane, short_of: Short, last: bool = False) -> None:
        """Train some of the stopped to their end; those that could have won are arms again."""
        stopping = self._stopping.get(lane)
        if stopping is not None:
            best = self._ranked(self._arms_of(lane))[:1]
            self.arms += stopping.audit(short_of, self._means(best[0]) if best else None, last)

    def _run(self, lane: Lane, arms: Sequence[Arm]) -> None:
        """Run what was asked for; an arm that an earlier run of the sprint has audited is known to end."""
        before = {row["id"]: row["facts"] for row in self._admission.rows.before}
        stopping = self._stopping.get(lane)
        pairs = [(arm, seed) for arm in arms for seed in self._settings.seeds]
        if stopping is None:
            self._bench.run(pairs, spared=spared(self.objective.metrics))
            return
        new = [arm for arm in arms if not stopping.recalled(arm, before.get(arm.proposal_id))]
        number = stopping.run([(arm, seed) for arm in new for seed in self._settings.seeds])
        for each in self._stopping.values():
            each.measured(number)

    @property
    def pruned(self) -> dict[str, float]:
        """What ending trainings early has saved and cost in all lanes."""
        told = [stopping.facts() for stopping in self._stopping.values()]
        return {name: sum(facts[name] for facts in told) for name in told[0]} if told else {}

    def best(self, margin: float) -> list[Arm]:
        """The arms but the controls by their screened means, the best first, bounds kept with a margin."""
        return self._ranked(self.arms, margin)

    def _ranked(self, arms: Sequence[Arm], margin: float = 0.0) -> list[Arm]:
        objective, proposed = inside(self.objective, margin), [arm for arm in arms if arm not in self._held]
        return sorted(proposed, key=lambda arm: rank(objective, self._means(arm)))

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
            spread=spread(self._bench, self.arms[0], self.objective) if self.arms else {},
            person=self._steering.said,
        )

    def _ask(self, lane: Lane, size: int) -> list[tuple[Arm, Proposal]]:
        """New proposals, each with what the questions to the model cost that it came of."""
        asked: list[tuple[Arm, Proposal]] = []
        for admitted in itertools.islice(self.asking.admitted(lambda: self._whose(lane)), size):
            arm = admitted.arm
            assert arm is not None
            if arm.proposer == PROPOSER:  # in a continued sprint it pays as it did before
                asked_for = self._admission.rows.paid(arm.proposal_id) or self._bill.part()
                arm.facts["asked"] = asked_for.model_dump()
            asked.append((arm, admitted.proposal))
        return asked

    def _whose(self, lane: Lane) -> Proposer | None:
        """Whose turn is next in a lane; nobody's while its proposals are being discussed and none waits."""
        ready = self._who.waiting(lane) or not self._awaited(lane)
        return self._who.next(lane, self.promised) if ready else None

    def _settle(self, lane: Lane, arm: Arm, proposal: Proposal) -> None:
        busy = self._bench.held(arm, self._settings.seeds)
        if busy or arm.cut(self._settings.seeds):
            self._left_out += [busy] if busy else []
            # Nothing is known of it, so nobody is told; what was promised a turn has it in the next sprint.
            told = {"reasons": [busy]} if busy else {}
            self._bench.note(arm, "queued" if arm.proposer == PROPOSER else "running", **told)
            self._who.of(arm.proposer).pay(arm.proposer, paid(arm.facts) or NOTHING)
            return
        before = view(self.state(), arm.proposer)
        reason = arm.failed(self._settings.seeds)
        status: SeenStatus = "failed" if reason else "done"
        ids = [arm.trials[seed] for seed in self._settings.seeds if seed in arm.trials]
        stopping = self._stopping.get(lane)
        stopped = reason is not None and stopping is not None and stopping.end(arm, reason)
        word = "stopped" if stopped else "failed" if reason else "screened"
        joules = self._joules(arm)
        self._bench.note(arm, word, reasons=[reason] if reason else [], screened=ids, joules=joules)
        if not reason:
            self.arms.append(arm)
            if stopping is not None:
                stopping.learn(arm)
        seen = self.asking.tell(proposal, status, self._means(arm) if not reason else {}, reason)
        self._who.of(arm.proposer).learn(arm.proposer, gain(before, seen), joules)
        self._who.of(arm.proposer).pay(arm.proposer, paid(arm.facts) or NOTHING)

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

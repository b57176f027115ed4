"""The control stopped at the bound: the least training of its own with which it keeps what the goal bounds.

A control that trains on long after it keeps the bound makes a discovery of every shorter training. So a claim
about what training costs is held to the same control, stopped: found once in a campaign by a ladder of steps,
geometric and then refined, on the screening's seeds and the tightened bound. Each rung trains with
`budget.steps=K`, so its schedule ends there; to end by `budget.target` would be cheaper and unfair, for it
ends at the first look that is lucky. What a ladder trains counts as cost of the search.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

from research.campaign.bench import Arm, Bench
from research.campaign.charter import Ladder
from research.campaign.rows import Rows
from research.metrics import is_score, is_timed, shown
from research.types import Constraint, Objective, Proposal, Record, SprintFacts

COSTS = frozenset({"train/energy_j", "train/cpu_seconds", "train/seconds", "train/co2_kg"})
"""costs that grow with the length of a training"""
_STRIDE = 3
"""how many times shorter each rung is while none has broken the bound"""
ITSELF = "no shorter training of the control keeps the bound"


@final
class Shortest(Record):
    """What a ladder came to, as a sprint's facts keep it."""

    control: tuple[str, ...]
    """overrides of the control that was stopped"""
    overrides: tuple[str, ...] = ()
    """of the stopped one; the control's where nothing shorter keeps the bound"""
    steps: dict[int, bool] = {}
    """steps of each rung, and whether it kept the bound"""
    unknown: str | None = None
    """why the ladder was not climbed to its end"""

    @property
    def shorter(self) -> bool:
        """Whether there is a stopped control beside the control."""
        return bool(self.overrides) and self.overrides != self.control


def asked_for(objective: Objective) -> bool:
    """Whether an objective is a cost of training that a score bounds: less training is one answer to it."""
    return objective.metric in COSTS and objective.direction == "min" and bool(_bounds(objective))


def recalled(sprints: Sequence[Mapping[str, Any]], control: Arm) -> Shortest | None:
    """What an earlier sprint of the campaign found for the same control, None where none has."""
    kept = [shortest for row in sprints if (shortest := SprintFacts.of(row).shortest)]
    ladders = [Shortest.model_validate(facts) for facts in kept]
    same = [ladder for ladder in ladders if ladder.control == control.overrides and ladder.unknown is None]
    return same[-1] if same else None


def stopped_arm(
    bench: Bench, rows: Rows, shortest: Shortest, screen: Sequence[int], seeds: Sequence[int]
) -> Arm | None:
    """The stopped control with its trials; None where there is none, or time was short."""
    if not shortest.shorter:
        return None
    hypothesis = "The control stopped at the bound: the least training of its own that keeps it."
    proposal = Proposal(hypothesis=hypothesis, overrides=shortest.overrides, proposer="control")
    arm = Arm(shortest.overrides, "control", rows.open(proposal, "running", {}))
    bench.run([(arm, seed) for seed in seeds])
    if arm.failed(seeds):
        return None
    bench.note(arm, "control", stopped=True, screened=[arm.trials[seed] for seed in screen])
    return arm


@final
class Climb:
    """One ladder of one control."""

    def __init__(
        self,
        bench: Bench,
        control: Arm,
        wanted: Objective,
        settings: Ladder,
        seeds: Sequence[int],
        more: Sequence[int],
    ) -> None:
        """`seeds` decide each rung, `more` are added where it ends; `wanted` is the screening's objective."""
        self._bench, self._control, self._wanted, self._settings = bench, control, wanted, settings
        self._seeds, self._more = tuple(seeds), tuple(more)
        self._arms: dict[int, Arm] = {}
        self._steps: dict[int, bool] = {}
        self._short: str | None = None

    def run(self) -> Shortest:
        """Climb down from the control's own length; where the budget ends that, say so."""
        total = self._length()
        if total is None:
            return self._ended((), "its training is not counted in steps")
        steps = self._settled(self._refined(total), total)
        shortest = self._rung(steps) if steps < total else self._control
        return self._ended(shortest.overrides, self._short)

    def _ended(self, overrides: tuple[str, ...], unknown: str | None) -> Shortest:
        steps = dict(sorted(self._steps.items()))
        return Shortest(control=self._control.overrides, overrides=overrides, steps=steps, unknown=unknown)

    def _refined(self, total: int) -> int:
        """The least steps that keep the bound on a rung's seeds: a third until it breaks, then closed in."""
        kept, broken = total, 0
        guess = min(total // 2, math.ceil(max(self._reached(), default=total)))
        while broken < guess < kept and not self._short:
            if self._keeps(guess, self._seeds):
                kept = guess
            else:
                broken = guess
            closed = broken and kept / broken <= self._settings.close
            guess = 0 if closed else round(math.sqrt(kept * broken)) if broken else kept // _STRIDE
        return kept

    def _settled(self, steps: int, total: int) -> int:
        """The same on more seeds: a rung on which few were lucky goes up."""
        seeds = (*self._seeds, *self._more)
        while steps < total and not self._keeps(steps, seeds) and not self._short:
            steps = max(steps + 1, math.ceil(steps * self._settings.close))
        return min(steps, total)

    def _rung(self, steps: int) -> Arm:
        kept = (text for text in self._control.overrides if not text.startswith("budget.steps="))
        return self._arms.setdefault(steps, Arm((*kept, f"budget.steps={steps}"), "control", 0))

    def _keeps(self, steps: int, seeds: Sequence[int]) -> bool:
        kept = self._kept(self._rung(steps), seeds)
        if not self._short:
            self._steps[steps] = kept
        return kept

    def _kept(self, arm: Arm, seeds: Sequence[int]) -> bool:
        """Whether the means over the seeds keep every bound; the trials that are missing are run."""
        pairs = [(arm, seed) for seed in seeds]
        price = self._bench.price(pairs)
        # As much again stays for what the search is for, and half of the box.
        later, spare_s = self._bench.spend.usual(4 * len(seeds)), self._bench.boxes.limit_s() / 2
        self._short = self._bench.short(price, later, spare_s) if price.trials else None
        if self._short:
            return False
        self._bench.run(pairs[: len(self._seeds)])
        self._bench.run(pairs, alone=is_timed(self._wanted.metric))
        if arm.cut(seeds):
            self._short = "the time of its box was over"
        means = self._bench.means(arm, seeds)
        # By the scores alone: what a neighbour does to the joules of a rung is nothing to it.
        return arm.failed(seeds) is None and all(_keeps(bound, means) for bound in _bounds(self._wanted))

    def _length(self) -> int | None:
        """Steps of the control's training: those it took, else those it may take."""
        curves = self._curves()
        if curves:
            return int(max(row["step"] for curve in curves for row in curve))
        budget = self._bench.config(self._control.overrides, self._seeds[0]).get("budget") or {}
        return int(budget["steps"]) if budget.get("steps") else None

    def _reached(self) -> list[float]:
        """The step of each of the control's curves from which on the bounds are kept for the first time."""
        bounds = _bounds(self._wanted)
        kept = [
            [row["step"] for row in curve if all(_keeps(bound, row) for bound in bounds)]
            for curve in self._curves()
        ]
        return [steps[0] for steps in kept if steps] if bounds else []

    def _curves(self) -> list[list[dict[str, float]]]:
        ids = [self._control.trials[seed] for seed in self._seeds if seed in self._control.trials]
        return [curve for number in ids if (curve := self._bench.store.curve(number))]


def _bounds(objective: Objective) -> list[Constraint]:
    """The bounds on scores, of the test split or its twin."""
    return [bound for bound in objective.constraints if is_score(bound.metric)]


def _keeps(bound: Constraint, row: Mapping[str, float]) -> bool:
    value = row.get(bound.metric, math.nan)
    return value >= bound.bound if bound.op == ">=" else value <= bound.bound


def told(shortest: Shortest, objective: Objective) -> str:
    """What a ladder came to, in a sentence for the reader."""
    bounds = " and ".join(map(shown, _bounds(objective)))
    if shortest.unknown:
        return f"the control was not stopped at {bounds}: {shortest.unknown}"
    if not shortest.shorter:
        return f"{ITSELF} ({bounds})"
    own = " ".join(override for override in shortest.overrides if override not in shortest.control)
    return f"the control keeps {bounds} with {own} already: what is new is held to that"

"""Promotion: the best of the screening and the control over other seeds, as far as the budget goes."""

import math
from collections.abc import Mapping, Sequence
from typing import final

from research.campaign.bench import Arm, Bench
from research.campaign.budget import Price, Timeboxes
from research.campaign.charter import Charter
from research.campaign.control import rebased
from research.metrics import is_ratio, is_timed, rank, screening_objective
from research.stats.decide import ENOUGH
from research.stats.intervals import summary
from research.types import Objective

_CAUTION = 0.6
"""level of the interval whose worse end a bound should survive before fresh seeds are spent on it"""


@final
class Promotion:
    """One sprint's promotion; it also says what the screening must leave to it and to the confirmation."""

    def __init__(
        self,
        charter: Charter,
        bench: Bench,
        boxes: Timeboxes,
        control: Arm,
        judged: int = 0,
        stopped: Arm | None = None,
    ) -> None:
        """`judged` are the contenders that the campaign has judged so far: the next has seeds of its own.

        `stopped` is the control stopped at the bound: what does not beat it brings nothing new.
        """
        self._charter, self._bench, self._boxes, self._control = charter, bench, boxes, control
        self._held = (control, *filter(None, [stopped]))
        self._stopped = stopped
        self.notes: list[str] = []
        first = charter.confirm.first_seed + judged * charter.confirm.each
        self._fresh = range(first, first + charter.confirm.seeds)
        self._mine = bench.price([(arm, seed) for arm in self._held for seed in charter.promote.seeds])
        self._later = self._mine.plus(
            bench.price([(arm, seed) for arm in self._held for seed in self._fresh])
        )

    def short(self, price: Price) -> str | None:
        """Why the screening cannot pay a price and leave enough, in the budget and in its box."""
        spend = self._bench.spend
        here = self._mine.plus(spend.usual(self._promoted())).seconds
        # At most half of a box is kept back, as of a budget.
        kept = min(here, self._boxes.limit_s() / 2)
        return spend.short(price, self._reserve()) or self._boxes.short(price.seconds + kept)

    def last_resort(self, price: Price) -> str | None:
        """Why not even a turn that was promised can be paid: a promise is kept, whatever is left after it."""
        return self._bench.spend.short(price) or self._boxes.short(price.seconds)

    def worth(self, best: Sequence[Arm], wanted: Objective, more: bool) -> list[Arm]:
        """Those of the best that are promoted; with `more` sprints to come, only what shows the asked effect.

        Promoting and confirming cost as much as screening a dozen proposals: while the search can go on, that
        is spent on what looks like the goal. Where any gain counts, one seed does not tell whether there is
        one, and a control outside its bounds is another question: then all go.
        """
        first = list(best[: self._charter.promote.arms])
        if not first:
            self.notes.append("nothing was promoted: no proposal has figures")
        shown = self._showing(first, self._charter.screen.seeds, wanted) if more else first
        if first and not shown:
            self.notes.append("nothing was promoted: no screened proposal shows the asked effect yet")
        return shown

    def _showing(self, arms: Sequence[Arm], seeds: Sequence[int], wanted: Objective) -> list[Arm]:
        """Those whose means over the seeds show the asked effect; all where none is asked for."""
        effect, control = self._charter.goal.smallest_effect, self._bench.means(self._control, seeds)
        if rank(wanted, control)[0]:
            return list(arms)
        arms = [
            arm for arm in arms if self._stopped is None or self._beats(arm, self._stopped, seeds, wanted)
        ]
        if not effect:
            return list(arms)
        return [arm for arm in arms if _gain(wanted, control, self._bench.means(arm, seeds)) >= effect]

    def _beats(self, arm: Arm, other: Arm, seeds: Sequence[int], wanted: Objective) -> bool:
        return rank(wanted, self._bench.means(arm, seeds)) < rank(wanted, self._bench.means(other, seeds))

    def payable(self) -> bool:
        """Whether the budget holds another screening beside what must follow it."""
        spend, screen = self._bench.spend, self._charter.screen
        price = spend.usual(screen.at_once * len(screen.seeds), screen.at_once)
        return spend.short(price, self._reserve()) is None

    def run(self, best: Sequence[Arm], wanted: Objective, more: bool = False) -> list[Arm]:
        """The contenders that beat the control over the promotion seeds, the safest first.

        With `more` sprints to come they must show the asked effect there too: at the effect itself no number
        of fresh seeds settles a claim.
        """
        seeds, control, bench = self._charter.promote.seeds, self._control, self._bench
        best = self._affordable(best)
        pairs = [(arm, seed) for seed in seeds for arm in (*self._held, *best)]
        bench.run(pairs if best else [], alone=is_timed(wanted.metric))
        for arm in (*self._held, *best) if best else ():
            ids = [arm.trials[seed] for seed in seeds if seed in arm.trials]
            bench.note(arm, "control" if arm in self._held else "promoted", promoted=ids)
        if best and any(arm.cut(seeds) for arm in (*self._held, *best)):
            self.notes.append("the promotion was cut short: the time of its box was over")
        wanted = self._beside(wanted, seeds)
        busy = self._disturbed(best, seeds)
        if best and any(bench.held(arm, seeds) for arm in self._held):
            return []
        bar = min(self._held, key=lambda arm: rank(wanted, bench.means(arm, seeds)))
        better = [arm for arm in best if self._beats(arm, bar, seeds, wanted)]
        if best and not better and not busy:
            own = "the control" if bar is control else f"the control stopped at the bound ({_line(bar)})"
            self.notes.append(f"no proposal beat {own} over the promotion seeds: nothing new was confirmed")
        shown = self._showing(better, seeds, wanted) if more else better
        if better and not shown:
            self.notes.append("nothing was confirmed: the promotion seeds do not show the asked effect yet")
        return sorted(shown, key=lambda arm: rank(wanted, self._cautious(arm, seeds, wanted)))

    def shorter(self, wanted: Objective) -> list[Arm]:
        """The control stopped at the bound, where training shorter alone is what the goal asks for."""
        arm, charter = self._stopped, self._charter
        # Where nothing was promoted the control has its screening alone.
        seeds = charter.screen.seeds if self._control.failed(charter.promote.seeds) else charter.promote.seeds
        if arm is None or any(held.failed(seeds) or self._bench.held(held, seeds) for held in self._held):
            return []
        wanted = self._beside(wanted, seeds)
        if not self._beats(arm, self._control, seeds, wanted):
            return []
        gained = _gain(wanted, self._bench.means(self._control, seeds), self._bench.means(arm, seeds))
        return [arm] if gained >= self._charter.goal.smallest_effect else []

    def _beside(self, wanted: Objective, seeds: Sequence[int]) -> Objective:
        """Bounds that are relative to the control, by its figures over these seeds."""
        asked = screening_objective(self._charter.goal.objective)
        screened, now = (
            self._bench.means(self._control, some) for some in (self._charter.screen.seeds, seeds)
        )
        return rebased(wanted, asked, screened, now)

    def _disturbed(self, best: Sequence[Arm], seeds: Sequence[int]) -> bool:
        """Whether a busy machine keeps an arm from being compared; the note that says so is written."""
        held = [why for arm in (*self._held, *best) if (why := self._bench.held(arm, seeds))]
        if held and best:
            self.notes.append(f"{len(held)} of the promoted arms could not be compared: {held[0]}")
        return bool(held)

    def _cautious(self, arm: Arm, seeds: Sequence[int], objective: Objective) -> dict[str, float]:
        """The means, with each bounded metric moved towards its bound by its spread: what it may well be."""
        means = self._bench.means(arm, seeds)
        for bound in objective.constraints:
            half = (
                summary(self._bench.values(arm, bound.metric, seeds).values(), level=_CAUTION).half_width
                or 0.0
            )
            means[bound.metric] = means.get(bound.metric, float("nan")) - half * (
                1 if bound.op == ">=" else -1
            )
        return means

    def _promoted(self) -> int:
        return self._charter.promote.arms * len(self._charter.promote.seeds)

    def _reserve(self) -> Price:
        """What a whole promotion and a whole confirmation cost."""
        return self._later.plus(self._bench.spend.usual(self._promoted() + self._charter.confirm.seeds))

    def _affordable(self, best: Sequence[Arm]) -> Sequence[Arm]:
        """As many of the best as can be promoted and still be confirmed."""
        short: str | None = None
        for count in range(len(best), 0, -1):
            seeds = self._charter.promote.seeds
            pairs = [(arm, seed) for seed in seeds for arm in (*self._held, *best[:count])]
            price = self._bench.price(pairs)
            short = self._bench.spend.short(price, self._confirming(best[0]))
            short = short or self._boxes.short(price.seconds)
            if short is None:
                return best[:count]
        if best:
            self.notes.append(f"nothing was promoted: {short}")
        return []

    def _confirming(self, arm: Arm) -> Price:
        """What the smallest confirmation costs that can decide anything."""
        fresh = self._fresh[:ENOUGH]
        return self._bench.price([(side, seed) for side in (*self._held, arm) for seed in fresh])


def _line(arm: Arm) -> str:
    return " ".join(arm.overrides)


def _gain(wanted: Objective, control: Mapping[str, float], means: Mapping[str, float]) -> float:
    """How much better than the control, in shares of it for a cost; none for what misses a bound."""
    if rank(wanted, means)[0]:
        return -math.inf
    gain = control[wanted.metric] - means[wanted.metric]
    gain = gain if wanted.direction == "min" else -gain
    return gain / control[wanted.metric] if is_ratio(wanted.metric) else gain

"""Promotion: the best of the screening and the control over other seeds, as far as the budget goes."""

import math
from collections.abc import Sequence
from typing import final

from research.campaign.bench import Arm, Bench
from research.campaign.budget import Price
from research.campaign.charter import Charter
from research.campaign.control import rebased
from research.metrics import is_ratio, is_timed, rank, screening_objective, shown
from research.stats.decide import ENOUGH
from research.stats.racing import Race
from research.types import Objective


@final
class Promotion:
    """One sprint's promotion; it also says what the screening must leave to it and to the confirmation."""

    def __init__(
        self, charter: Charter, bench: Bench, control: Arm, judged: int, stopped: Arm | None
    ) -> None:
        """`judged` are the contenders that the campaign has judged so far: the next has seeds of its own.

        `stopped` is the control stopped at the bound: what does not beat it brings nothing new.
        """
        self._charter, self._bench, self._control = charter, bench, control
        self._held = (control, *filter(None, [stopped]))
        self._stopped = stopped
        self.notes: list[str] = []
        self._over: list[int] = []
        """the promotion seeds that the controls were trained with"""
        first = charter.confirm.first_seed + judged * charter.confirm.each
        self._fresh = range(first, first + charter.confirm.seeds)
        self._mine = bench.price([(arm, seed) for arm in self._held for seed in charter.promote.seeds])
        fresh = bench.price([(arm, seed) for arm in self._held for seed in self._fresh])
        self._later = self._mine.plus(fresh)

    def short(self, price: Price) -> str | None:
        """Why the screening cannot pay a price and leave enough, in the budget and in its box."""
        here = self._mine.plus(self._bench.spend.usual(self._charter.promote.most)).seconds
        # At most half of a box is kept back, as of a budget.
        return self._bench.short(price, self._reserve(), min(here, self._bench.boxes.limit_s() / 2))

    def worth(self, best: Sequence[Arm], wanted: Objective, more: bool) -> list[Arm]:
        """Those of the best that are promoted; with `more` sprints to come, only what shows the asked effect.

        Promoting and confirming cost as much as screening a dozen proposals: while the search can go on, that
        is spent on what looks like the goal. Where any gain counts, one seed does not tell whether there is
        one, and a control outside its bounds is another question: then all go.
        """
        first = list(best[: self._charter.promote.arms])
        if not first:
            self.notes.append("nothing was promoted: no proposal has figures")
        kept = self._showing(first, wanted) if more else first
        if first and not kept:
            self.notes.append("nothing was promoted: no screened proposal shows the asked effect yet")
        return kept

    def _showing(self, arms: Sequence[Arm], wanted: Objective) -> list[Arm]:
        """Those whose means over their seeds show the asked effect; all where none is asked for."""
        effect = self._charter.goal.smallest_effect
        if rank(wanted, self._bench.means(self._control, self._charter.screen.seeds))[0]:
            return list(arms)
        arms = [arm for arm in arms if self._stopped is None or self._beats(arm, self._stopped, wanted)]
        return [arm for arm in arms if not effect or self._gain(arm, wanted, self._seeds(arm)) >= effect]

    def _beats(self, arm: Arm, other: Arm, wanted: Objective) -> bool:
        seeds = self._seeds(arm)
        return self._rank(arm, wanted, seeds) < self._rank(other, wanted, seeds)

    def _rank(self, arm: Arm, wanted: Objective, seeds: Sequence[int]) -> tuple[float, float]:
        return rank(self._beside(wanted, seeds), self._bench.means(arm, seeds))

    def _gain(self, arm: Arm, wanted: Objective, seeds: Sequence[int]) -> float:
        """How much better than the control, in shares of it for a cost; none for what misses a bound."""
        own, control = (self._bench.means(side, seeds) for side in (arm, self._control))
        if rank(self._beside(wanted, seeds), own)[0]:
            return -math.inf
        gain = control[wanted.metric] - own[wanted.metric]
        gain = gain if wanted.direction == "min" else -gain
        return gain / control[wanted.metric] if is_ratio(wanted.metric) else gain

    def payable(self) -> bool:
        """Whether the budget holds another screening beside what must follow it."""
        spend, screen = self._bench.spend, self._charter.screen
        price = spend.usual(screen.at_once * len(screen.seeds), screen.at_once)
        return spend.short(price, self._reserve()) is None

    def run(self, best: Sequence[Arm], wanted: Objective, more: bool = False) -> list[Arm]:
        """The contenders that beat the controls over the seeds that they share with them, the pick first.

        With `more` sprints to come they must show the asked effect there too: at the effect itself no number
        of fresh seeds settles a claim.
        """
        best = [arm for arm in self._affordable(best) if self._figures(arm, wanted)]
        if not best:
            return []
        cut = self._raced(best, wanted)
        raced = [arm for arm in best if self._noted(arm, "promoted")]
        for arm in self._held:
            self._noted(arm, "control")
        if cut:
            self.notes.append("the promotion was cut short: the time of its box was over")
        busy = self._disturbed(raced)
        if any(self._bench.held(arm, self._over) for arm in self._held):
            return []
        better = [arm for arm in raced if all(self._beats(arm, held, wanted) for held in self._held)]
        if not better and not busy:
            bar = min(self._held, key=lambda arm: self._rank(arm, wanted, self._over))
            stopped = "" if bar is self._control else f" stopped at the bound ({_line(bar)})"
            self.notes.append(
                f"no proposal beat the control{stopped} over the promotion seeds: nothing new was confirmed"
            )
        kept = self._showing(better, wanted) if more else better
        if better and not kept:
            self.notes.append("nothing was confirmed: the promotion seeds do not show the asked effect yet")
        return self._ordered(kept, raced, wanted)

    def _raced(self, best: Sequence[Arm], wanted: Objective) -> bool:
        """Train the contenders over the seeds: where not all can have all, those that may be the pick.

        Returns whether the time was over before.
        """
        promote, alone = self._charter.promote, is_timed(wanted.metric)
        self._over = [seed for seed in promote.seeds if any(seed in arm.trials for arm in best)]
        self._bench.run([(arm, seed) for seed in self._over for arm in self._held], alone=alone)
        left = promote.trials
        at_once = left if len(best) * len(promote.seeds) <= left else self._charter.screen.at_once
        while left > 0 and (chosen := self._next(best, wanted, min(left, at_once))):
            own = sorted({seed for _, seed in chosen})
            held = [(arm, seed) for seed in own for arm in self._held]
            self._over = sorted({*self._over, *own})
            self._bench.run(sorted([*held, *chosen], key=lambda pair: pair[1]), alone=alone)
            left -= len(chosen)
            if any(arm.cut([seed]) for arm, seed in (*held, *chosen)):
                return True
        return False

    def _next(self, best: Sequence[Arm], wanted: Objective, count: int) -> list[tuple[Arm, int]]:
        """The next arms to train, each with a promotion seed that it lacks, as many as `count`."""
        lacks = {place: self._lacking(arm) for place, arm in enumerate(best)}
        if sum(map(len, lacks.values())) <= count:
            return [(best[place], seed) for place, seeds in lacks.items() for seed in seeds]
        race, chosen = Race(wanted, [self._figures(arm, wanted) for arm in best]), list[tuple[Arm, int]]()
        lacks = {place: seeds for place, seeds in lacks.items() if seeds}
        while lacks and len(chosen) < count:
            place = race.next(list(lacks))
            chosen.append((best[place], lacks.pop(place)[0]))
        return chosen

    def _lacking(self, arm: Arm) -> list[int]:
        """The promotion seeds that an arm was not trained with; none for one that failed with another."""
        seeds = self._charter.promote.seeds
        return [] if arm.failures.keys() & set(seeds) else [seed for seed in seeds if seed not in arm.trials]

    def _figures(self, arm: Arm, wanted: Objective) -> list[dict[str, float]]:
        """What an arm measured, by seed, as it would have beside the control's screening.

        A clock runs otherwise where trials run alone, and what a bound relative to the control asks for is
        another figure with each seed.
        """
        found, usual = list[dict[str, float]](), self._bench.means(self._control, self._charter.screen.seeds)
        for seed in self._seeds(arm):
            own, control = (self._bench.means(side, [seed]) for side in (arm, self._control))
            if not set(wanted.metrics) <= own.keys() & control.keys():
                continue
            for bound, here in zip(wanted.constraints, self._beside(wanted, [seed]).constraints, strict=True):
                own[bound.metric] += bound.bound - here.bound
            if is_timed(wanted.metric) and control[wanted.metric]:
                own[wanted.metric] *= usual[wanted.metric] / control[wanted.metric]
            found.append(own)
        return found

    def _seeds(self, arm: Arm) -> list[int]:
        """The screening's seeds, and those of the promotion that it was asked to be trained with."""
        asked = arm.trials.keys() | arm.failures.keys()
        return [*self._charter.screen.seeds, *(seed for seed in self._over if seed in asked)]

    def _noted(self, arm: Arm, status: str) -> list[int]:
        """Write down the trials that it was promoted with, where there are any, and return them."""
        ids = [arm.trials[seed] for seed in self._charter.promote.seeds if seed in arm.trials]
        if ids or arm.failures.keys() & set(self._over):
            self._bench.note(arm, status, promoted=ids)
        return ids

    def _ordered(self, better: Sequence[Arm], raced: Sequence[Arm], wanted: Objective) -> list[Arm]:
        """The pick first, and a note of the chance that it keeps its bounds."""
        if not better:
            return []
        race = Race(wanted, [self._figures(arm, wanted) for arm in raced])
        places = [place for place in race.order() if raced[place] in better]
        if wanted.constraints:
            kept = " and ".join(map(shown, wanted.constraints))
            self.notes.append(
                f"of {len(raced)} contenders the pick, {_line(raced[places[0]])}, keeps {kept} with a chance "
                f"of {race.keeps(places[0]):.2f} by {sum(len(self._seeds(arm)) for arm in raced)} trials"
            )
        return [raced[place] for place in places]

    def shorter(self, wanted: Objective) -> list[Arm]:
        """The control stopped at the bound, where training shorter alone is what the goal asks for."""
        arm, charter = self._stopped, self._charter
        # Where nothing was promoted the control has its screening alone.
        shared = [seed for seed in charter.promote.seeds if seed in self._control.trials]
        seeds = shared or charter.screen.seeds
        if arm is None or any(held.failed(seeds) or self._bench.held(held, seeds) for held in self._held):
            return []
        if not self._rank(arm, wanted, seeds) < self._rank(self._control, wanted, seeds):
            return []
        return [arm] if self._gain(arm, wanted, seeds) >= charter.goal.smallest_effect else []

    def _beside(self, wanted: Objective, seeds: Sequence[int]) -> Objective:
        """Bounds that are relative to the control, by its figures over these seeds."""
        asked, screen = screening_objective(self._charter.goal.objective), self._charter.screen.seeds
        screened, now = (self._bench.means(self._control, some) for some in (screen, seeds))
        return rebased(wanted, asked, screened, now)

    def _disturbed(self, raced: Sequence[Arm]) -> bool:
        """Whether a busy machine keeps an arm from being compared; the note that says so is written."""
        seeds = dict.fromkeys(self._held, self._over) | {arm: self._seeds(arm) for arm in raced}
        held = [why for arm, own in seeds.items() if (why := self._bench.held(arm, own))]
        if held:
            self.notes.append(f"{len(held)} of the promoted arms could not be compared: {held[0]}")
        return bool(held)

    def _reserve(self) -> Price:
        """What a whole promotion and a whole confirmation cost."""
        trials = self._charter.promote.most + self._charter.confirm.seeds
        return self._later.plus(self._bench.spend.usual(trials))

    def _affordable(self, best: Sequence[Arm]) -> Sequence[Arm]:
        """As many of the best as can be promoted and still be confirmed."""
        short, bench, promote = "", self._bench, self._charter.promote
        held = [(arm, seed) for seed in promote.seeds for arm in self._held]
        for count in range(len(best), 0, -1):
            new = [(arm, seed) for seed in promote.seeds for arm in best[:count] if seed not in arm.trials]
            price = bench.price([*held, *new[: promote.trials]])
            # The smallest confirmation that can decide anything.
            fresh = [(side, seed) for side in (*self._held, best[0]) for seed in self._fresh[:ENOUGH]]
            if not (short := bench.short(price, bench.price(fresh)) or ""):
                return best[:count]
        if best:
            self.notes.append(f"nothing was promoted: {short}")
        return []


def _line(arm: Arm) -> str:
    return " ".join(arm.overrides)

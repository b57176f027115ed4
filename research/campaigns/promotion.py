"""Promotion: the best of the screening and the control over other seeds, as far as the budget goes."""

from collections.abc import Sequence
from typing import final

from research.campaigns.bench import Arm, Bench
from research.campaigns.boxes import Boxes
from research.campaigns.charter import Charter
from research.campaigns.spend import Price
from research.objective import is_timed, rank
from research.stats import ENOUGH
from research.types import Objective


@final
class Promotion:
    """One sprint's promotion; it also says what the screening must leave to it and to the confirmation."""

    def __init__(self, charter: Charter, bench: Bench, boxes: Boxes, control: Arm) -> None:
        self._charter, self._bench, self._boxes, self._control = charter, bench, boxes, control
        self.notes: list[str] = []
        first = charter.confirm.first_seed
        self._fresh = range(first, first + charter.confirm.seeds)
        self._mine = bench.price([(control, seed) for seed in charter.promote.seeds])
        self._later = self._mine.plus(bench.price([(control, seed) for seed in self._fresh]))

    def short(self, price: Price) -> str | None:
        """Why the screening cannot pay a price and leave enough, in the budget and in its box."""
        charter, spend = self._charter, self._bench.spend
        promoted = charter.promote.arms * len(charter.promote.seeds)
        later = self._later.plus(spend.usual(promoted + charter.confirm.seeds))
        here = self._mine.plus(spend.usual(promoted)).seconds
        # At most half of a box is kept back, as of a budget.
        kept = min(here, self._boxes.limit_s() / 2)
        return spend.short(price, later) or self._boxes.short(price.seconds + kept)

    def run(self, best: Sequence[Arm], wanted: Objective) -> list[Arm]:
        """The contenders that beat the control over the promotion seeds, the safest first."""
        seeds, control, bench = self._charter.promote.seeds, self._control, self._bench
        best = self._affordable(best)
        pairs = [(arm, seed) for seed in seeds for arm in (control, *best)]
        bench.run(pairs if best else [], alone=is_timed(wanted.metric))
        for arm in (control, *best) if best else ():
            ids = [arm.trials[seed] for seed in seeds if seed in arm.trials]
            bench.note(arm, "control" if arm is control else "promoted", promoted=ids)
        if best and any(arm.cut(seeds) for arm in (control, *best)):
            self.notes.append("the promotion was cut short: the time of its box was over")
        bar = rank(wanted, bench.means(control, seeds))
        better = [arm for arm in best if rank(wanted, bench.means(arm, seeds)) < bar]
        if best and not better:
            self.notes.append("no proposal beat the control over the promotion seeds: nothing was confirmed")
        return sorted(better, key=lambda arm: rank(wanted, bench.cautious(arm, seeds, wanted)))

    def _affordable(self, best: Sequence[Arm]) -> Sequence[Arm]:
        """As many of the best as can be promoted and still be confirmed."""
        short: str | None = "no proposal has figures"
        for count in range(len(best), 0, -1):
            seeds = self._charter.promote.seeds
            pairs = [(arm, seed) for seed in seeds for arm in (self._control, *best[:count])]
            price = self._bench.price(pairs)
            short = self._bench.spend.short(price, self._confirming(best[0]))
            short = short or self._boxes.short(price.seconds)
            if short is None:
                return best[:count]
        self.notes.append(f"nothing was promoted: {short}")
        return []

    def _confirming(self, arm: Arm) -> Price:
        """What the smallest confirmation costs that can decide anything."""
        fresh = self._fresh[:ENOUGH]
        return self._bench.price([(one, seed) for one in (self._control, arm) for seed in fresh])

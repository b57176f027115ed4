"""Early stopping: of trainings that cannot win, of which a sample is audited, and of the whole search."""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from research.campaign.bench import Arm, Bench, Pair
from research.campaign.budget import Price
from research.campaign.charter import Search, Stop
from research.campaign.halving import Halving
from research.propose.bandit import Bandit
from research.propose.proposer import Lane
from research.run.lookup import spared
from research.types import STOPPED, Objective


@final
class Stopping:
    """One sprint's: which trainings are ended, and how many of them it was wrong to end.

    A share of the ended ones is trained to the end all the same, as a declared audit whose cost counts like
    any other. What could have won after all is an arm again.
    """

    def __init__(
        self, bench: Bench, objective: Objective, settings: Stop, seeds: Sequence[int], reference: Arm
    ) -> None:
        """`reference` is the arm that is measured again and again, so that bars follow the machine."""
        self._bench, self._settings, self._seeds = bench, settings, tuple(seeds)
        self._halving = Halving(objective, settings)
        self._spared = spared(objective.metrics)
        self._reference = reference
        self._cap: float | None = None
        self._ended: list[tuple[Arm, float | None]] = []
        """arms that were ended, and what the training of each might have cost"""
        self._looked = self._audited = self._wrong = 0
        self._offset = random.Random(f"audit {reference.overrides}").random()
        self._lost_joules = 0.0

    def learn(self, arm: Arm) -> None:
        """Take in an arm whose trials are done."""
        ids = [arm.trials[seed] for seed in self._seeds if seed in arm.trials]
        means = self._bench.means(arm, self._seeds)
        self._halving.learn(self._bench.store, ids, means, reference=arm is self._reference)

    def run(self, pairs: Sequence[Pair]) -> int | None:
        """Run the pairs under the bars of now, the reference beside them where it is time to measure it.

        Returns the trial of the reference, which all who rest on it are to be told by `measured`.
        """
        bench = self._bench
        now = time.time()
        stale = self._halving.stale(now) and bench.price(pairs).trials > 0
        beside = (self._reference, self._seeds[0]) if stale else None
        self._cap = self._halving.cap(now)
        bars = self._halving.settings(now)
        return bench.run(pairs, halving=bars, beside=beside, spared=self._spared)

    def measured(self, number: int | None) -> None:
        """Take in one more measurement of the reference; None is none."""
        if number is not None:
            self._halving.measured(self._bench.store, [number])

    def end(self, arm: Arm, reason: str) -> bool:
        """Whether an arm without a result was ended by a bar; then it is counted."""
        if STOPPED not in reason:  # a process tells its kind of error before it
            return False
        for seed in arm.failures.keys() & set(self._seeds):
            self._halving.lost(self._spent(arm, seed))
        self._ended.append((arm, self._cap))
        return True

    def recalled(self, arm: Arm, before: Mapping[str, Any] | None) -> bool:
        """Whether an earlier run of the sprint ended this arm and then audited it: it is ended again.

        Its row of the trial table has its whole training by now, which the search did not know at this point.
        """
        told = (before or {}).get("audit")
        if not told:
            return False
        arm.failures |= {seed: str(told["reason"]) for seed in self._seeds}
        arm.facts["audit"] = told
        return True

    def _spent(self, arm: Arm, seed: int) -> Mapping[str, float]:
        return (arm.facts.get("audit") or {}).get("spent") or self._bench.lost(arm, seed)

    def audit(
        self, short: Callable[[Price], str | None], best: Mapping[str, float] | None, last: bool = False
    ) -> list[Arm]:
        """Train those that are due to the end, as far as they can be paid; the arms that were wrong to end.

        Due is a systematic sample, which begins by lot, so it is drawn as the search goes on and not when its
        budget is used up; with `last` at least one. `best` are the means of the best that was screened.
        """
        due = [ended for at, ended in enumerate(self._ended) if self._drawn(at)]
        if last and not due:
            due = self._ended[-1:] if self._settings.audit else []
        wrong: list[Arm] = []
        for arm, cap in due[self._looked :]:
            if short(self._bench.price([(arm, seed) for seed in self._seeds])):
                break
            self._looked += 1
            wrong += [arm] if self._judged(arm, cap, best) else []
        return wrong

    def _drawn(self, at: int) -> bool:
        share = self._settings.audit
        return math.floor((at + 1) * share + self._offset) > math.floor(at * share + self._offset)

    def _judged(self, arm: Arm, cap: float | None, best: Mapping[str, float] | None) -> bool:
        bench = self._bench
        reason = arm.failures[next(seed for seed in self._seeds if seed in arm.failures)]
        spent = dict(self._spent(arm, self._seeds[0]))
        bench.note(arm, "stopped", audit={"reason": reason, "spent": spent})
        bench.run([(arm, seed) for seed in self._seeds], spared=self._spared)
        self._lost_joules += spent.get("train/energy_j", 0.0)
        self._halving.trained(spent)
        if arm.failed(self._seeds) or bench.held(arm, self._seeds):
            return False  # it diverged, the time was over, or a neighbour made its costs worthless
        wrong = self._halving.wrong(bench.means(arm, self._seeds), cap, best)
        self._audited += 1
        self._wrong += wrong
        ids = [arm.trials[seed] for seed in self._seeds]
        bench.note(
            arm,
            "screened" if wrong else "stopped",
            audit={"reason": reason, "spent": spent, "wrong": wrong, "trials": ids},
            **({"screened": ids, "reasons": []} if wrong else {}),
        )
        return wrong

    def facts(self) -> dict[str, float]:
        """What a report says of it; `lost_joules` are those of audited trials before they were ended."""
        audit = {"audited": self._audited, "wrong": self._wrong, "lost_joules": self._lost_joules}
        return {**self._halving.facts(), **audit}


@final
class Worth:
    """Whether what could still be proposed is worth its trials, by what the latest turns have brought.

    A search that stops where the expected improvement per cost falls under a price is optimal for independent
    options (Weitzman, 1979, Econometrica 47, 641-654); Xie et al. (2025), arXiv 2507.12453, show it for
    Bayesian optimisation. Changed: expected is what the turns of late have gained per joule, for a surrogate
    goes on to hope where nothing comes any more, and the price is a share of what a joule has gained so far.
    """

    def __init__(self, search: Search, metric: str, bandits: Mapping[Lane, Bandit]) -> None:
        """`metric` is what the goal asks for."""
        self._worth, self._least, self._bandits = search.worth, search.price(metric), bandits
        self._short: dict[Lane, str] = {}

    def short(self, lane: Lane) -> str | None:
        """Why nothing is; None where something may be."""
        promise = self._bandits[lane].promise
        if self._least is None or promise is None or promise >= self._least:
            return None
        self._short[lane] = (
            f"a joule of what could still be proposed is expected to bring {promise:.2g} of what one has "
            f"brought so far, less than {self._least:g} by search.worth={self._worth:g}"
        )
        return self._short[lane]

    @property
    def over(self) -> str | None:
        """Why nothing is in any lane; None where something may be."""
        return next(iter(self._short.values())) if self._short.keys() >= self._bandits.keys() else None

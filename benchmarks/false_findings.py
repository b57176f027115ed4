"""How often a campaign without any effect finds one, and what it could find.

    python benchmarks/false_findings.py [CAMPAIGNS]

A/A: 1,000 simulated campaigns of 50 comparisons each in which no arm is any better than its control, judged
by the lab's own `judge`, `as_good_as` and, for a bound relative to the control beside a cost that does fall,
its own claims, at the rates of its own `AlphaLedger`; in the last rows also what proposals say of themselves,
in campaigns of 20 comparisons (`false_own_claims.py`). A finding is a claim that is `supported` or `refuted`,
for both name a difference that is not there; the `supported` alone stand beside it.
Then, on the same streams: a t-test at 5 % for each comparison, and keep-if-better, which keeps whatever has a
higher mean than the best before.
Power: how often an effect of 1, 2 or 3 SD (of a pair's difference) is found by the first look at n = 3, 5, 8
pairs, and by the end of the second look at twice as many.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import final

import numpy as np
from scipy.stats import binomtest

sys.path.insert(0, str(Path(__file__).parents[1]))

from false_own_claims import PLAIN, SIZED, Effect, any_false

from benchmarks.alpha_ledger import AlphaLedger
from research.stats.alpha import Errors
from research.stats.claims import Claim
from research.stats.power import detectable, needed, power
from research.stats.verdicts import as_good_as, judge, judged, verdict
from research.types import Constraint, Verdict

ALPHA, COMPARISONS, EXAMPLES = 0.05, 50, 360
PAIRS, EFFECTS = (3, 5, 8), (1.0, 2.0, 3.0)
STREAMS = 2000
"""simulated comparisons for each figure of power"""
Values = list[float]
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(0.9, 0.01, shape)


def coarse(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Accuracies on 360 examples: multiples of 1/360, many of them equal."""
    return rng.binomial(EXAMPLES, 0.97, shape) / EXAMPLES


def heavy(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Student's t with two degrees: a variance without end, as of seconds on a busy machine."""
    return 0.9 + 0.01 * rng.standard_t(2, shape)


def skewed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Costs, where a few seeds take much longer."""
    return rng.lognormal(0.0, 0.5, shape)


@final
@dataclass
class Stream:
    """One campaign as three searchers would read it."""

    ledger: AlphaLedger = field(default_factory=lambda: AlphaLedger(ALPHA))
    found: bool = False
    refuted: bool = False
    naive: bool = False
    kept: int = 0
    best: float = -math.inf

    def look(self, control: Values, arm: Values) -> Verdict:
        """Judge an improvement, which is none."""
        return self._count(judge(_arm(control), _arm(arm), metric="m", rate=self.ledger.rate))

    def looks(self, control: Values, arm: Values, n: int, looks: int) -> None:
        """Judge it with n more seeds at each look while it is open: together they are one comparison."""
        for used in range(n, n * looks + 1, n):
            rate = self.ledger.rate.at(range(n, used + 1, n), looks)
            found = judge(_arm(control[:used]), _arm(arm[:used]), metric="m", rate=rate)
            self.keep(arm[:used])
            if found.word != "open":
                break
        self._count(found)

    def alike(self, control: Values, arm: Values) -> None:
        """Judge a claim of being as good, which is false: the arm loses exactly the margin."""
        given = {"metric": "m", "margin": 0.01, "rate": self.ledger.rate}
        self._count(as_good_as(_arm(control), _arm(arm), direction="max", **given))

    def bounded(self, scores: list[Values], costs: list[Values]) -> None:
        """Judge a claim of costing less and keeping a bound relative to the control, which is false."""
        bound = Constraint(metric="test/accuracy", op=">=", bound=-0.01, of_control="difference")
        claim = Claim.improvement("train/energy_j", "min", bounds=[bound])
        arms, rate = (costs, scores), self.ledger.rate.among(len(claim.all))
        parts = zip(claim.all, arms, strict=True)
        self._count(verdict([judged(part, *map(_arm, sides), rate) for part, sides in parts]))

    def keep(self, arm: Values) -> None:
        """Keep it if better."""
        mean = statistics.fmean(arm)
        if mean > self.best:
            self.kept, self.best = self.kept + 1, mean

    def _count(self, verdict: Verdict) -> Verdict:
        self.ledger.record(verdict)
        self.found |= verdict.word == "supported"
        self.refuted |= verdict.word == "refuted"
        p = verdict.comparison.p_value if verdict.comparison else None
        self.naive |= p is not None and p < ALPHA
        return verdict


def _arm(values: Values) -> dict[int, float]:
    return dict(enumerate(values))


def each_its_control(draw: Draw, rng: np.random.Generator, n: int) -> Stream:
    stream = Stream()
    drawn = draw(rng, (2 * COMPARISONS, n)).tolist()
    stream.best = statistics.fmean(drawn[0])
    for control, arm in zip(drawn[::2], drawn[1::2], strict=True):
        stream.look(control, arm)
        stream.keep(arm)
    return stream


def one_control(draw: Draw, rng: np.random.Generator, n: int) -> Stream:
    stream = Stream()
    control, *arms = draw(rng, (COMPARISONS + 1, n)).tolist()
    stream.best = statistics.fmean(control)
    for arm in arms:
        stream.look(control, arm)
        stream.keep(arm)
    return stream


def more_seeds_while_open(draw: Draw, rng: np.random.Generator, n: int) -> Stream:
    """Up to three looks at each arm, the seeds added; it stops at its first finding, as a searcher would."""
    stream, looks = Stream(), 3
    control, *arms = draw(rng, (COMPARISONS + 1, looks * n)).tolist()
    stream.best = statistics.fmean(control[:n])
    for arm in arms:
        stream.looks(control, arm, n, looks)
        if stream.found:
            break
    return stream


def most_promising_again(draw: Draw, rng: np.random.Generator, n: int) -> Stream:
    """Ten arms, then 40 times n more seeds for the one with the smallest p-value: peeking at its worst."""
    stream, arms = Stream(), 10
    control, *rows = draw(rng, (arms + 1, n * (COMPARISONS - arms + 1))).tolist()
    stream.best = statistics.fmean(control[:n])
    used, p = [0] * arms, [0.0] * arms
    for _ in range(COMPARISONS):
        one = min(range(arms), key=lambda arm: (used[arm] > 0, p[arm]))
        used[one] += n
        told = stream.look(control[: used[one]], rows[one][: used[one]]).comparison
        p[one] = 1.0 if told is None or told.p_value is None else told.p_value
        stream.keep(rows[one][: used[one]])
    return stream


def misses_a_bound(draw: Draw, rng: np.random.Generator, n: int) -> Stream:
    """Every arm costs a tenth less, and its score is just as far below the control's as the bound forbids."""
    stream = Stream()
    drawn = draw(rng, (2 * COMPARISONS, n))
    drawn[1::2] -= 0.01
    costs = np.exp(rng.normal(0.0, 0.02, (2 * COMPARISONS, n)))
    costs[1::2] *= 0.9
    for at in range(0, 2 * COMPARISONS, 2):
        stream.bounded(drawn[at : at + 2].tolist(), costs[at : at + 2].tolist())
    return stream


def worse_by_the_margin(draw: Draw, rng: np.random.Generator, n: int) -> Stream:
    """As each_its_control, but every arm loses the margin and is claimed to be as good."""
    stream = Stream()
    drawn = draw(rng, (2 * COMPARISONS, n))
    drawn[1::2] -= 0.01
    for control, arm in zip(drawn[::2].tolist(), drawn[1::2].tolist(), strict=True):
        stream.alike(control, arm)
    return stream


def own_claims(said: tuple[str, ...], effect: Effect, rng: np.random.Generator, n: int) -> Stream:
    """What proposals say of themselves is judged beside the campaign's claims, and arm against arm."""
    return Stream(found=any_false(said, effect, rng, n))


SETTINGS: list[tuple[str, Callable[..., Stream], tuple[int, ...]]] = [
    ("normal, each its control", partial(each_its_control, normal), PAIRS),
    ("normal, one control", partial(one_control, normal), (3,)),
    ("k/360, one control", partial(one_control, coarse), PAIRS),
    ("heavy tails, one control", partial(one_control, heavy), (3, 8)),
    ("skewed, one control", partial(one_control, skewed), (5,)),
    ("k/360, more seeds while open", partial(more_seeds_while_open, coarse), (3, 5)),
    ("normal, most promising again", partial(most_promising_again, normal), (3,)),
    ("as good as, worse by the margin", partial(worse_by_the_margin, normal), (3, 5)),
    ("cheaper, worse by the margin", partial(misses_a_bound, normal), PAIRS),
    ("k/360, worse by the margin", partial(misses_a_bound, coarse), (5,)),
    ("own claims, no effect", partial(own_claims, PLAIN, Effect()), (3, 5)),
    ("own claims of exactly the effect", partial(own_claims, SIZED, Effect(-0.01, 0.9)), (3, 5)),
]
"""name, procedure, and the seeds of a look; in those with a margin, refuting the claim would be right"""


def false_findings(campaigns: int) -> bool:
    """Print the table; whether no row's share lies beyond 5 % by more than chance."""
    print(
        f"A/A: share of {campaigns} campaigns of {COMPARISONS} comparisons with a finding [95 % interval]\n"
    )
    print(f"{'noise and procedure':32} n  finding              supported  t-test each  keep-if-better (kept)")
    good = True
    for number, (name, procedure, pairs) in enumerate(SETTINGS):
        for n in pairs:
            rng = np.random.default_rng([number, n])
            streams = [procedure(rng, n) for _ in range(campaigns)]
            margin = "margin" in name
            found = sum(one.found or (one.refuted and not margin) for one in streams)
            ends = binomtest(found, campaigns).proportion_ci(method="exact")
            share = f"{found / campaigns:5.1%} [{ends.low:.1%}, {ends.high:.1%}]"
            beside = "" if margin or name.startswith("own") else _beside(streams)
            print(f"{name:32} {n}  {share:19}{beside}", flush=True)
            good &= ends.low <= ALPHA
    print(f"\nAt most {ALPHA:.0%} in every row, up to chance: {'yes' if good else 'NO'}")
    return good


def _beside(streams: list[Stream]) -> str:
    """What else the same streams would have told."""
    supported = statistics.fmean(one.found for one in streams)
    naive = statistics.fmean(one.naive for one in streams)
    some = statistics.fmean(one.kept > 0 for one in streams)
    kept = statistics.fmean(one.kept for one in streams)
    return f"{supported:11.1%}{naive:13.1%}{some:15.1%} ({kept:.1f})"


def rates() -> dict[str, Errors]:
    """Of a question's first and tenth comparison, when none before was supported."""
    return {"first": AlphaLedger(ALPHA).rate, "tenth": AlphaLedger(ALPHA, [False] * 9).rate}


def simulated(n: int, effect: float, rate: Errors) -> tuple[float, float]:
    """How often the first look supports it, and the first or the second.

    Control and arm are normal, a pair's difference has an SD of 1.
    """
    drawn = np.random.default_rng([n, int(effect)]).normal(0.0, math.sqrt(0.5), (STREAMS, 2, 2 * n))
    drawn[:, 1] += effect
    first, second = rate.at((n,), 2), rate.at((n, 2 * n), 2)
    early = [_supported(a[:n], b[:n], first) for a, b in drawn.tolist()]
    late = [_supported(a, b, second) for a, b in drawn.tolist()]
    return statistics.fmean(early), statistics.fmean(a or b for a, b in zip(early, late, strict=True))


def _supported(control: Values, arm: Values, rate: Errors) -> bool:
    return judge(_arm(control), _arm(arm), metric="m", rate=rate).word == "supported"


def powers() -> bool:
    """Print what n pairs can find; whether five find 1 SD in 35 % and 2 SD in 85 % of cases at first look."""
    print("\nPower: share of true effects that are supported; computed (simulated; both looks)\n")
    heads = "".join(f"{f'{effect:g} SD':>24}" for effect in EFFECTS)
    print(f"comparison      n{heads}   found in 80 %")
    for name, rate in rates().items():
        for n in PAIRS:
            alpha = rate.at((n,), 2).tails[0]
            cells = []
            for effect in EFFECTS:
                early, both = simulated(n, effect, rate)
                cells.append(f"{power(n, effect, 1.0, alpha):8.1%} ({early:5.1%}; {both:5.1%})")
            least = detectable(n, 1.0, alpha)
            print(f"{name} ({alpha:.4f})  {n}{''.join(f'{cell:>24}' for cell in cells)}{least:12.2f} SD")
        pairs = ", ".join(f"{needed(effect, 1.0, alpha)} for {effect:g} SD" for effect in EFFECTS)
        print(f"  pairs of a first look for a power of 80 %: {pairs}")
    alpha = rates()["first"].at((5,), 2).tails[0]
    good = power(5, 1.0, 1.0, alpha) >= 0.35 and power(5, 2.0, 1.0, alpha) >= 0.85
    print(f"\nFirst look at five pairs: 1 SD in 35 % and 2 SD in 85 % or more: {'yes' if good else 'NO'}")
    return good


def main() -> None:
    began = time.process_time()
    good = false_findings(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    good &= powers()
    print(f"\n{time.process_time() - began:.0f} CPU seconds")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

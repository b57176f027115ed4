"""How large an effect is told that was found: told / true, and how often its interval has the truth.

    python benchmarks/told_effects.py [FINDINGS]

Simulated first comparisons of a question: five pairs at each of two looks, at the rates of the lab's own
ledger, on costs that a clock takes (compared by their ratio, log-SD of a pair 0.1), with an effect of -5, -10
or -20 %. Of those that were supported three tell the size: the seeds that decided (as it was told before),
five further seeds, and the seeds that decided given that they were chosen (told where the budget ends with
the decision). Beside independent noise: AR(1) of the machine from trial to trial (0.8), where the arms of a
pair are trained one after the other in an order by lot; and spikes (one trial of ten costs 1.3 fold).
"""

import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

sys.path.insert(0, str(Path(__file__).parents[1]))

from research.stats.alpha import rate
from research.stats.effects import chosen
from research.stats.intervals import compare
from research.stats.verdicts import judge
from research.types import Comparison

EFFECTS, SD, SEEDS, LOOKS, ESTIMATE = (-5.0, -10.0, -20.0), 0.1, 5, 2, 5
TOLD, COVERED = 1.1, 0.93
Draw = Callable[[np.random.Generator, int], np.ndarray]
Arm = dict[int, float]


def independent(rng: np.random.Generator, trials: int) -> np.ndarray:
    return rng.normal(0.0, SD / math.sqrt(2), trials)


def ar1(rng: np.random.Generator, trials: int) -> np.ndarray:
    """The machine's state as well, of half the variance: it forgets a fifth from trial to trial."""
    state = np.empty(trials)
    state[0] = rng.normal()
    for at in range(1, trials):
        state[at] = 0.8 * state[at - 1] + 0.6 * rng.normal()
    return SD / 2 * (state + rng.normal(size=trials))


def spikes(rng: np.random.Generator, trials: int) -> np.ndarray:
    return independent(rng, trials) + math.log(1.3) * (rng.random(trials) < 0.1)


def pairs(draw: Draw, rng: np.random.Generator, effect: float, count: int) -> tuple[Arm, Arm]:
    """Costs of control and arm, trained seed by seed in an order by lot."""
    noise = draw(rng, 2 * count)
    control, arm = {}, {}
    for seed in range(count):
        first, second = (0, 1) if rng.random() < 0.5 else (1, 0)
        control[seed] = math.exp(noise[2 * seed + first])
        arm[seed] = math.exp(noise[2 * seed + second]) * (1 + effect / 100)
    return control, arm


def found(draw: Draw, rng: np.random.Generator, effect: float) -> tuple[Comparison, ...] | None:
    """Of one comparison the size as told three ways; None where it is not supported."""
    control, arm = pairs(draw, rng, effect, SEEDS * LOOKS + ESTIMATE)
    looks = []
    for look in range(1, LOOKS + 1):
        counts = tuple(SEEDS * number for number in range(1, look + 1))
        looks.append(rate(0.05, 1).at(counts, LOOKS))
        sides = [{seed: side[seed] for seed in range(counts[-1])} for side in (control, arm)]
        verdict = judge(*sides, metric="j", direction="min", scale="relative", rate=looks[-1])
        if verdict.word == "supported":
            more = [{seed: side[seed] for seed in list(side)[-ESTIMATE:]} for side in (control, arm)]
            given = chosen(*sides, "j", "min", 0.0, "relative", looks)
            assert verdict.comparison is not None
            return verdict.comparison, compare(*more, "j", scale="relative"), given
    return None


def row(name: str, draw: Draw, effect: float, findings: int) -> bool:
    """Print one row; whether further seeds tell a size that is right."""
    rng = np.random.default_rng([len(name), int(-effect)])
    told: list[tuple[Comparison, ...]] = []
    tries = 0
    while len(told) < findings:
        tries += 1
        one = found(draw, rng, effect)
        told += [one] if one else []
    cells, good = "", True
    for at, ways in enumerate(zip(*told, strict=True)):
        ratio = statistics.fmean(one.difference for one in ways) / effect
        covers = statistics.fmean(one.low <= effect <= one.high for one in ways)
        cells += f"{ratio:12.2f} {covers:6.1%}"
        if at == 1:
            ends = binomtest(round(covers * findings), findings).proportion_ci(method="exact")
            good = ratio <= TOLD and ends.high >= COVERED
    print(f"{name:12}{effect:5.0f} %{findings / tries:9.1%}{cells}", flush=True)
    return good


def main() -> None:
    began = time.process_time()
    findings = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{findings} findings a row; told / true and coverage of the told interval\n")
    print(f"{'noise':12}{'true':>7}{'found':>9}{'decided':>19}{'further seeds':>19}{'given chosen':>19}")
    draws: list[tuple[str, Draw]] = [("independent", independent), ("AR(1)", ar1), ("spikes", spikes)]
    good = [row(name, draw, effect, findings) for name, draw in draws for effect in EFFECTS]
    said = "yes" if all(good) else "NO"
    print(
        f"\nBy further seeds at most {TOLD:g} told and at least {COVERED:.0%} covered, up to chance: {said}"
    )
    print(f"{time.process_time() - began:.0f} CPU seconds")
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()

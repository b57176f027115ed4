"""The variance of a mean over seeds on one fixed test set: its examples were drawn too, and count.

Seeds and examples are crossed: every seed's network answers every example, x_se = mean + seed_s + example_e +
rest_se. Of the mean over n seeds and m examples the variance is

    Var = seeds / n + examples / m + rest / (n m) = A + B - C

with A the variance of the n seed means over n, B that of the m example means over m, and C the interaction's,
which both of them contain (Searle, Casella and McCulloch 1992, Variance Components, chapter 4; Owen 2007, The
pigeonhole bootstrap, Annals of Applied Statistics 1). Student's t alone has only A. Degrees of freedom are
Satterthwaite's (1946, Biometrics Bulletin 2). For two arms x is the difference of both on one example.
"""

import base64
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, final

from research.stats.draws import over
from research.types import Over, Result, Trial

_OF = {"test/accuracy": ("accuracy", 1.0), "test/loss": ("loss", 1.0)}
_OF["test/bits_per_byte"] = ("loss", 1 / math.log(2))
"""metric -> which outcomes its mean is over, and in which unit"""
Row = Sequence[float]


@final
class Spread(NamedTuple):
    """The variance of a mean and its degrees of freedom."""

    variance: float
    freedom: float


@final
class Ground(NamedTuple):
    """What a mean over seeds rests on; the spread is the seeds' own where there is none here."""

    over: Over | None = None
    spread: Spread | None = None


def of_arm(metric: str, trials: Sequence[Trial], results: Mapping[int, Result]) -> Ground:
    """Of an arm's mean; `results` by the trial's id."""
    return _ground(metric, trials, lambda: mean_spread(metric, _by_seed(trials, results)))


def of_pair(
    metric: str, control: Sequence[Trial], treatment: Sequence[Trial], results: Mapping[int, Result]
) -> Ground:
    """Of the mean difference of two arms; `results` by the trial's id."""
    sides = [_by_seed(trials, results) for trials in (control, treatment)]
    return _ground(metric, [*control, *treatment], lambda: difference_spread(metric, *sides))


def _by_seed(trials: Sequence[Trial], results: Mapping[int, Result]) -> dict[int, Result]:
    return {trial.seed: results[trial.id] for trial in trials if trial.id in results}


def _ground(metric: str, trials: Sequence[Trial], spread: Callable[[], Spread | None]) -> Ground:
    said = over(metric, trials)
    if said != "examples":
        return Ground(said)
    found = spread()
    return Ground("examples", found) if found else Ground("seeds")


def outcomes(metric: str, result: Result) -> Row | None:
    """What each example of the final test contributes to `metric`, their mean; None where it was not kept.

    Raises `KeyError` for facts that no version of the lab wrote.
    """
    kept = result.facts.get("examples")
    if kept is None or metric not in _OF:
        return None
    name, unit = _OF[metric]
    return [unit * value for value in _unpacked(kept[name])]


def mean_spread(metric: str, arm: Mapping[int, Result]) -> Spread | None:
    """Of an arm's mean over its seeds; None where outcomes are missing or the seeds' do not fit."""
    rows = [outcomes(metric, arm[seed]) for seed in sorted(arm)]
    return crossed([row for row in rows if row is not None]) if None not in rows else None


def difference_spread(
    metric: str, control: Mapping[int, Result], treatment: Mapping[int, Result]
) -> Spread | None:
    """Of the mean difference over the seeds that both arms have, paired by seed and by example."""
    pairs = [(control[seed], treatment[seed]) for seed in sorted(set(control) & set(treatment))]
    rows = []
    for pair in pairs:
        before, after = (outcomes(metric, result) for result in pair)
        if before is None or after is None or len(before) != len(after):
            return None
        rows.append([right - left for left, right in zip(before, after, strict=True)])
    return crossed(rows)


def crossed(rows: Sequence[Row]) -> Spread | None:
    """Of the mean of n rows (seeds) of m values (examples), both taken as drawn; None below two of either.

    None too for values that are not finite. The estimate never falls below what either alone would say.
    """
    n, m = len(rows), len(rows[0]) if rows else 0
    if n < 2 or m < 2 or any(len(row) != m for row in rows):
        return None
    seeds = [math.fsum(row) / m for row in rows]
    examples = [math.fsum(column) / n for column in zip(*rows, strict=True)]
    mean = math.fsum(seeds) / n
    if not math.isfinite(mean):
        return None
    by_seed = _squares(seeds, mean)
    by_example = _squares(examples, mean)
    rest = math.fsum(_squares(row, mean) for row in rows) - m * by_seed - n * by_example
    a, b = by_seed / (n * (n - 1)), by_example / (m * (m - 1))
    c = max(0.0, rest) / ((n - 1) * (m - 1) * n * m)
    variance = max(a + b - c, a, b)
    return Spread(variance, _freedom(variance, [(a, n - 1), (b, m - 1), (c, (n - 1) * (m - 1))]))


def _freedom(variance: float, parts: Sequence[tuple[float, int]]) -> float:
    """Satterthwaite's, of a sum of independent mean squares; at least those of the seeds."""
    weight = math.fsum(part * part / freedom for part, freedom in parts)
    least = float(parts[0][1])
    return max(least, variance * variance / weight) if weight else least


def _squares(values: Row, mean: float) -> float:
    return math.fsum((value - mean) ** 2 for value in values)


def _unpacked(kept: Mapping[str, Any]) -> Row:
    count = int(kept["count"])
    if "bits" in kept:
        read = base64.b64decode(kept["bits"])
        return [float(read[at >> 3] >> (7 - (at & 7)) & 1) for at in range(count)]
    return struct.unpack(f"<{count}f", base64.b64decode(kept["means"]))

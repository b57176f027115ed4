"""Which test set each seed is judged on, and so what a mean over seeds is a mean over.

Data whose card says `drawn: anew` (one pool that is cut, or examples that are generated) are drawn anew by
`data.split_seed`; the test set of any other is published, and fixed. One fixed test set is not the world: on
359 digits the five-seed means of different splits lie two to three times as far apart as the seeds of one
split. So where a claim is confirmed the split goes with the seed, for control and contender alike. Where the
test set is fixed, its examples' variance is added (`ground`).

Configurations are tuned on one split of a pool, whose validation examples come up in the tests of others. No
leak shows: the best of 24 by validation on one split gains on those examples what it gains on the rest
(`benchmarks/coverage.py`). Splits of one pool overlap, so such an interval covers the mean over splits of it,
not over pools (Nadeau and Bengio 2003, Inference for the Generalization Error, Machine Learning 52).

On one fixed test set seeds and examples are crossed: every seed's network answers every example,
x_se = mean + seed_s + example_e + rest_se. Of the mean over n seeds and m examples the variance is

    Var = seeds / n + examples / m + rest / (n m) = A + B - C

with A the variance of the n seed means over n, B that of the m example means over m, and C the interaction's,
which both of them contain (Searle, Casella and McCulloch 1992, Variance Components, chapter 4; Owen 2007, The
pigeonhole bootstrap, Annals of Applied Statistics 1). Student's t alone has only A. Degrees of freedom are
Satterthwaite's (1946, Biometrics Bulletin 2). For two arms x is the difference of both on one example.
"""

import base64
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, final

from refusal import Refusal
from research.compose.override import keys_of
from research.metrics import is_score
from research.space.signature import signature
from research.types import Over, Result, Scale, Trial

OWN_SPLIT = "data.split_seed=${seed}"
"""the override by which each seed draws its own data; one text for all seeds, so that a sweep can be typed"""
KEY = "data.split_seed"


def drawn_anew(config: Mapping[str, Any]) -> bool:
    """Whether another `data.split_seed` tests a resolved config on other examples.

    Raises `Refusal` for a card that says neither; one that says nothing has a fixed test set.
    """
    said = (config.get("data") or {}).get("drawn", "fixed")
    if said not in ("anew", "fixed"):
        raise Refusal(f"data.drawn={said} is unknown: write anew or fixed.")
    return bool(said == "anew")


def own_split(config: Mapping[str, Any], given: Iterable[str]) -> tuple[str, ...]:
    """The override that lets the split go with the seed; none where data is fixed, or its split is given."""
    return (OWN_SPLIT,) if KEY not in keys_of(given) and drawn_anew(config) else ()


def has_own_split(trial: Trial) -> bool:
    """Whether a trial's split was drawn by its seed, and not by a number that happens to be the same."""
    typed = [text for text in trial.overrides if text.lstrip("+").startswith(f"{KEY}=")]
    return bool(typed) and _split(trial) == trial.seed and drawn_anew(trial.config)


def shared(trials: Iterable[Trial]) -> tuple[str, ...]:
    """The override of the split for the line that repeats these trials; none unless each drew its own."""
    rows = list(trials)
    return (OWN_SPLIT,) if rows and all(map(has_own_split, rows)) else ()


def configuration(config: Mapping[str, Any], own: bool = False) -> str:
    """What makes two trials the same but for their seed, and for the split where it is the seed's `own`."""
    neutral = {**config, "seed": 0}
    if own:
        neutral["data"] = {**config["data"], "split_seed": "seed"}
    return signature(neutral)


def over(metric: str, trials: Sequence[Trial]) -> Over | None:
    """What the mean of a metric over the seeds of these trials may be over; None where no data decide it.

    `examples` where all were tested on one set; `seeds` where some share a split and others do not, of which
    an interval over seeds knows nothing.
    """
    if not is_score(metric):
        return None
    splits = {trial.seed: _split(trial) for trial in trials if drawn_anew(trial.config)}
    if len(splits) > 1 and len(set(splits.values())) == len(splits):
        return "splits"
    return "examples" if len(set(splits.values())) <= 1 else "seeds"


def unlike(metric: str, trials: Iterable[Trial]) -> str | None:
    """Why the arms of a comparison are no pairs: a seed was tested on two splits. None where they are."""
    seen: dict[tuple[int, Any], Any] = {}
    for trial in trials if over(metric, ()) else ():
        own = _split(trial) if drawn_anew(trial.config) else None
        if seen.setdefault((trial.seed, (trial.config.get("data") or {}).get("_target_")), own) != own:
            return f"{metric} of seed {trial.seed} was taken on two splits: run both with one {KEY}."
    return None


def _split(trial: Trial) -> Any:
    return (trial.config.get("data") or {}).get("split_seed")


_OF = {
    "test/accuracy": ("accuracy", 1.0),
    "test/loss": ("loss", 1.0),
    "test/mae": ("mae", 1.0),
    "test/bits_per_byte": ("loss", 1 / math.log(2)),
}
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


def ground(
    metric: str,
    sides: Sequence[Sequence[Trial]],
    results: Mapping[int, Result],
    scale: Scale = "absolute",
) -> Ground:
    """What the mean of one arm's trials rests on; of two sides, the mean difference of the second.

    `results` are by the trial's id; with `scale="relative"` it is the difference of the logarithms.
    """
    said = over(metric, [trial for side in sides for trial in side])
    if said != "examples":
        return Ground(said)
    by_seed = [{trial.seed: results[trial.id] for trial in side if trial.id in results} for side in sides]
    own = spread(metric, *by_seed, scale=scale)
    return Ground("examples", own) if own else Ground("seeds")


def outcomes(metric: str, result: Result) -> Row | None:
    """What each example of the final test contributes to `metric`, their mean; None where it was not kept.

    Raises `KeyError` for facts that no version of the lab wrote.
    """
    kept = result.facts.get("examples")
    if kept is None or metric not in _OF:
        return None
    name, unit = _OF[metric]
    return [unit * value for value in _unpacked(kept[name])]


def spread(metric: str, *sides: Mapping[int, Result], scale: Scale = "absolute") -> Spread | None:
    """The variance of an arm's mean over its seeds, or of the mean difference of two, by seed and example.

    A difference of logarithms has that of the outcomes, each by its own arm's mean: d log x is dx / x. None
    where outcomes are missing or do not fit.
    """
    tables: list[list[Row]] = []
    for seed in sorted(set.intersection(*map(set, sides))):
        told = [row for side in sides if (row := outcomes(metric, side[seed])) is not None]
        if len(told) < len(sides) or len(set(map(len, told))) > 1:
            return None
        tables.append(told)
    if len(sides) == 1:
        return crossed([own for (own,) in tables])
    units = [1.0, 1.0] if scale == "absolute" else [_mean(side) for side in zip(*tables, strict=True)]
    if not tables or not min(units) > 0:
        return None
    (first, second) = units
    pairs = (zip(before, own, strict=True) for before, own in tables)
    return crossed([[after / second - other / first for other, after in pair] for pair in pairs])


def _mean(rows: Sequence[Row]) -> float:
    return math.fsum(map(math.fsum, rows)) / max(1, sum(map(len, rows)))


def crossed(rows: Sequence[Row]) -> Spread | None:
    """The variance of the mean of n seeds' m examples, where both are drawn; None below two of either.

    None too for values that are not finite. The estimate never falls below what either alone would say.
    """
    import numpy as np

    n, m = len(rows), len(rows[0]) if rows else 0
    if n < 2 or m < 2 or any(len(row) != m for row in rows):
        return None
    table = np.asarray(rows, dtype=float)  # (n, m)
    if not np.isfinite(table).all():
        return None
    mean = table.mean()
    seeds, examples = table.mean(axis=1) - mean, table.mean(axis=0) - mean
    rest = table - mean - seeds[:, None] - examples
    a, b = float((seeds**2).sum()) / (n * (n - 1)), float((examples**2).sum()) / (m * (m - 1))
    c = float((rest**2).sum()) / ((n - 1) * (m - 1) * n * m)
    variance = max(a + b - c, a, b)
    return Spread(variance, _freedom(variance, [(a, n - 1), (b, m - 1), (c, (n - 1) * (m - 1))]))


def _freedom(variance: float, parts: Sequence[tuple[float, int]]) -> float:
    """Satterthwaite's, of a sum of independent mean squares; at least those of the seeds."""
    weight = math.fsum(part * part / freedom for part, freedom in parts)
    least = float(parts[0][1])
    return max(least, variance * variance / weight) if weight else least


def _unpacked(kept: Mapping[str, Any]) -> Row:
    count = int(kept["count"])
    if "bits" in kept:
        read = base64.b64decode(kept["bits"])
        return [float(read[at >> 3] >> (7 - (at & 7)) & 1) for at in range(count)]
    return struct.unpack(f"<{count}f", base64.b64decode(kept["means"]))

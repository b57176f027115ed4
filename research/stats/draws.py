"""Which test set each seed is judged on, and so what a mean over seeds is a mean over.

Data whose card says `drawn: anew` (one pool that is cut, or examples that are generated) are drawn anew by
`data.split_seed`; the test set of any other is published, and fixed. One fixed test set is not the world: on
359 digits the five-seed means of different splits lie two to three times as far apart as the seeds of one
split. So where a claim is confirmed the split goes with the seed, for control and contender alike, and the
spread over the seeds is the spread over splits. Where the test set is fixed, its examples' variance is added
(`research.stats.examples`).

Configurations are tuned on one split of a pool, whose validation examples come up in the tests of others. It
is no leak that shows: the best of 24 by validation on one split gains on those examples what it gains on the
rest (`benchmarks/coverage.py`), for it is trained anew and has seen none of its own test.

Splits of one pool overlap: what such an interval covers is the mean over splits of this pool, and not over
pools (Nadeau and Bengio 2003, Inference for the Generalization Error, Machine Learning 52, whose correction
for that widens it by sqrt(1 + n * test / train)). Generated data have no such end.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from refusal import Refusal
from research.compose.override import keys_of
from research.space.signature import signature
from research.types import Over, Trial

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
    """What the line that repeats all of these trials says of their split; nothing where it is not theirs."""
    return (OWN_SPLIT,) if (rows := list(trials)) and all(map(has_own_split, rows)) else ()


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
    if not metric.startswith(("test/", "val/")):
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

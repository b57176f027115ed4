"""`train.py -m experiment=NAME` as jobs: the recipe's arms over its seeds, in the order of the experiment."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from research.campaign.recipe import ArmLine, Study, recipe
from research.compose.override import values_of
from research.stats.draws import own_split

Resolve = Callable[[list[str]], dict[str, Any]]


def ordered(arms: Sequence[ArmLine], seeds: Sequence[int]) -> list[tuple[ArmLine, int]]:
    """Seed by seed, the arms of a seed in an order by lot: what drifts on the machine meets all alike."""
    return [(arm, seed) for seed in seeds for arm in random.Random(f"order {seed}").sample(arms, len(arms))]


def expanded(jobs: Sequence[Sequence[str]], conf: Path, resolve: Resolve) -> list[list[str]]:
    """Jobs as they are, but one that chooses a recipe with a study becomes the arms of the study.

    What is typed wins: a `seed` replaces the recipe's, a key that tells its arms apart replaces the arms, and
    a `data.split_seed` the split that would go with the seed.
    """
    return [one for job in jobs for one in _expanded(list(job), conf, resolve)]


def _expanded(job: list[str], conf: Path, resolve: Resolve) -> list[list[str]]:
    typed = values_of(job)
    name = typed.get("experiment", "none")
    study = recipe(conf, name).study if name != "none" else None
    if study is None:
        return [job]
    config = resolve(job)
    seeds = [] if "seed" in typed else [[f"seed={seed}"] for seed in study.seeds]
    if study.turned & typed.keys():
        split = _split(study, config, job)
        return [[*job, *split, *seed] for seed in seeds or [[]]]
    arms = study.at_hand(config)
    if not seeds:
        return [[*job, *arm.overrides, *_split(study, config, [*job, *arm.overrides])] for arm in arms]
    return [
        [*job, *arm.overrides, *_split(study, config, [*job, *arm.overrides]), f"seed={seed}"]
        for arm, seed in ordered(arms, study.seeds)
    ]


def _split(study: Study, config: Mapping[str, Any], given: Sequence[str]) -> tuple[str, ...]:
    return own_split(config, given) if study.split == "seed" else ()

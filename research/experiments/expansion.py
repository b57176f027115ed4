"""`train.py -m experiment=NAME` as jobs: the recipe's arms over its seeds, in the order of the experiment."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from research.experiments.study import ArmLine, recipe

Resolve = Callable[[list[str]], dict[str, Any]]


def ordered(arms: Sequence[ArmLine], seeds: Sequence[int]) -> list[tuple[ArmLine, int]]:
    """Seed by seed, the arms of a seed in an order by lot: what drifts on the machine meets all alike."""
    return [(arm, seed) for seed in seeds for arm in random.Random(f"order {seed}").sample(arms, len(arms))]


def expanded(jobs: Sequence[Sequence[str]], conf: Path, resolve: Resolve) -> list[list[str]]:
    """Jobs as they are, but one that chooses a recipe with a study becomes the arms of the study.

    What is typed wins: a `seed` replaces the recipe's, and a key that tells its arms apart replaces the arms.
    """
    return [one for job in jobs for one in _expanded(list(job), conf, resolve)]


def _expanded(job: list[str], conf: Path, resolve: Resolve) -> list[list[str]]:
    typed = dict(text.lstrip("+").split("=", 1) for text in job if "=" in text)
    name = typed.get("experiment", "none")
    study = recipe(conf, name).study if name != "none" else None
    if study is None:
        return [job]
    seeds: Sequence[int | None] = (None,) if "seed" in typed else study.seeds
    if study.turned & typed.keys():
        return [[*job, *_seed(seed)] for seed in seeds]
    arms = study.at_hand(resolve(job))
    if "seed" in typed:
        return [[*job, *arm.overrides] for arm in arms]
    return [[*job, *arm.overrides, *_seed(seed)] for arm, seed in ordered(arms, study.seeds)]


def _seed(seed: int | None) -> list[str]:
    return [] if seed is None else [f"seed={seed}"]

"""Where a claim is confirmed the split goes with the seed: campaigns, recipes, commands and teachers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campaign_lab import Lab, opened
from research.campaign.charter import Confirm, Screen
from research.campaign.recipe import expanded
from research.campaign.trials import Typed
from research.run import teachers
from research.run.runner import Job
from research.space.gate import Space
from research.stats.draws import OWN_SPLIT
from research.store.queries import siblings
from research.types import Objective, Trial

CONF = Path(__file__).parents[3] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
ACCURACY = Objective(metric="test/accuracy", direction="max")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """As every lab, but its data can be drawn anew."""
    with opened(tmp_path) as made:
        card = made.folder / "conf" / "data" / "digits.yaml"
        card.write_text("packages: []\ndrawn: anew\nsplit_seed: 0\n")
        made.space = type(made.space)(made.folder / "conf", made.folder / "conf" / "space.yaml")
        yield made


def split(trial: Trial) -> Any:
    return trial.config["data"]["split_seed"]


@pytest.mark.slow
def test_a_campaign_screens_on_one_split_and_confirms_each_seed_on_its_own(lab: Lab) -> None:
    found = lab.campaign(lab.charter(ACCURACY, screen=Screen(turns=6), confirm=Confirm(arms=1)))
    trials = lab.store.trials()
    tuned = [one for one in trials if one.seed < 1000]
    confirmed = [one for arm in found.arms("confirmed") for one in arm.rows]
    assert tuned and {split(one) for one in tuned} == {0}
    assert len(confirmed) >= 10 and all(split(one) == one.seed >= 1000 for one in confirmed)
    assert all(OWN_SPLIT in one.overrides for one in confirmed)
    (insight,) = found.insights
    assert insight.verdict.comparison is not None and insight.verdict.comparison.over == "splits"
    assert "splits drawn anew" in insight.claim
    assert "'data.split_seed=${seed}' seed=1000,1001,1002,1003,1004" in insight.command


@pytest.mark.slow
def test_a_person_who_fixes_the_split_is_judged_on_it(lab: Lab) -> None:
    charter = lab.charter(ACCURACY, screen=Screen(turns=4), confirm=Confirm(arms=1))
    fixed = charter.model_copy(update={"fixed": ("data=digits", "data.split_seed=3")})
    found = lab.campaign(fixed)
    assert {split(one) for one in lab.store.trials()} == {3}
    compared = found.insights[0].verdict.comparison
    assert compared is not None and compared.over == "seeds", "the analytic task keeps no outcomes"
    assert "on these examples alone" in found.insights[0].claim


def test_trials_on_their_own_splits_are_siblings_of_each_other_alone(lab: Lab) -> None:
    for seed, own in [(0, ()), (1, ()), (1000, (OWN_SPLIT,)), (1001, (OWN_SPLIT,)), (1002, ())]:
        typed = ["data=digits", *own, f"seed={seed}"]
        lab.one(Job(lab.space.resolve(typed), typed))
    rows = {one.seed: one for one in lab.store.trials()}
    assert {one.seed for one in siblings(lab.store, rows[1000])} == {1000, 1001}
    assert {one.seed for one in siblings(lab.store, rows[0])} == {0, 1, 1002}


def test_what_is_typed_says_the_split_from_the_first_fresh_seed_on() -> None:
    typed = Typed(SPACE, ("data=mnist1d",), ("logger=csv",), {"root": "r"}, 1000)
    assert typed.line(("model=cnn",), 999) == ["data=mnist1d", "model=cnn", "seed=999"]
    assert typed.line(("model=cnn",), 1000) == ["data=mnist1d", "model=cnn", OWN_SPLIT, "seed=1000"]
    assert typed.config((), 999)["data"]["split_seed"] == 42
    assert typed.config((), 1007)["data"]["split_seed"] == 1007
    assert Typed(SPACE, ("data=mnist",), (), {}, 1000).split(()) == ()
    assert Typed(SPACE, ("data.split_seed=5",), (), {}, 1000).split(()) == ()


def test_a_recipe_by_hand_draws_what_the_recipe_draws() -> None:
    def jobs(*typed: str) -> list[list[str]]:
        return expanded([list(typed)], CONF, SPACE.resolve)

    recipe = "experiment=efficient_optimizer"
    assert all(job[-2] == OWN_SPLIT and job[-1].startswith("seed=") for job in jobs(recipe))
    assert all(job[-1] == OWN_SPLIT for job in jobs(recipe, "seed=7"))
    assert all(OWN_SPLIT not in job for job in jobs(recipe, "data.split_seed=0"))
    assert jobs(recipe, "optimizer=lion", "seed=7") == [[recipe, "optimizer=lion", "seed=7", OWN_SPLIT]]


def test_a_teacher_by_recipe_learns_from_its_students_split() -> None:
    student = SPACE.resolve(["data=digits", OWN_SPLIT, "seed=1000"])
    assert teachers._beside(student, ["model=cnn"]) == ["model=cnn", "data.split_seed=1000"]
    assert teachers._beside(student, ["data.split_seed=3"]) == ["data.split_seed=3"]
    assert teachers._beside(SPACE.resolve([]), ["model=cnn"]) == ["model=cnn"]

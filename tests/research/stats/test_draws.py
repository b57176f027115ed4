"""Which test set a seed is judged on: who draws it anew, who may not, and what is said of it."""

from pathlib import Path

import pytest
import yaml
from hydra.utils import instantiate

from refusal import Refusal
from research.space.gate import Space
from research.space.signature import signature
from research.stats.comparable import comparable
from research.stats.draws import (
    OWN_SPLIT,
    configuration,
    drawn_anew,
    has_own_split,
    over,
    own_split,
    shared,
    unlike,
)
from research.types import Key, Trial

CONF = Path(__file__).parents[3] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
CARDS = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))
HERE = [name for name in CARDS if "hub" not in yaml.safe_load((CONF / "data" / f"{name}.yaml").read_text())]


def trial(seed: int, *overrides: str, number: int = 0) -> Trial:
    typed = (*overrides, f"seed={seed}")
    return Trial(
        id=number or seed,
        key=Key("s", "c", "d", "h"),
        replicate=0,
        seed=seed,
        overrides=typed,
        config=SPACE.resolve(typed),
        status="done",
        reason=None,
        name=None,
        sweep=None,
        source="agent",
        folder=None,
        started=0.0,
        finished=1.0,
    )


@pytest.mark.parametrize("name", CARDS)
def test_every_card_says_whether_its_test_set_can_be_drawn_anew(name: str) -> None:
    assert yaml.safe_load((CONF / "data" / f"{name}.yaml").read_text())["drawn"] in ("anew", "fixed")
    assert drawn_anew(SPACE.resolve([f"data={name}"])) == (name in HERE)


@pytest.mark.parametrize("name", HERE)
def test_another_split_seed_draws_every_part_anew_and_the_same_one_does_not(name: str) -> None:
    group = yaml.safe_load((CONF / "data" / f"{name}.yaml").read_text())
    first, again, other = (instantiate(group | {"split_seed": seed}) for seed in (1000, 1000, 1001))
    for part in ("train", "val", "test"):
        one, same, new = (getattr(data, part).inputs for data in (first, again, other))
        assert one.equal(same) and not (one.shape == new.shape and one.equal(new)), part


def test_the_split_goes_with_the_seed_where_data_can_be_drawn_and_nobody_says_otherwise() -> None:
    config = SPACE.resolve(["data=digits"])
    assert own_split(config, ["data=digits"]) == (OWN_SPLIT,)
    assert own_split(config, ["data=digits", "data.split_seed=3"]) == ()
    assert own_split(SPACE.resolve(["data=mnist"]), ["data=mnist"]) == ()
    assert own_split({"data": {}}, []) == own_split({}, []) == ()
    assert SPACE.resolve(["data=mnist1d", OWN_SPLIT, "seed=1003"])["data"]["split_seed"] == 1003
    with pytest.raises(Refusal, match=r"data\.drawn=often is unknown: write anew or fixed"):
        drawn_anew({"data": {"drawn": "often"}})


def test_an_agent_may_set_neither_the_split_nor_whether_it_is_drawn() -> None:
    for text in ("data.split_seed=1000", OWN_SPLIT, "data.drawn=fixed"):
        assert SPACE.check([text]), text


def test_whether_it_can_be_drawn_changes_no_result_and_the_split_does() -> None:
    config = SPACE.resolve([])
    drawn = config | {"data": config["data"] | {"drawn": "fixed"}}
    assert signature(config) == signature(drawn)
    assert signature(config) != signature(config | {"data": config["data"] | {"split_seed": 1}})


def test_trials_are_siblings_over_their_own_splits_and_over_one_split_but_not_over_both() -> None:
    fixed, other = trial(0), trial(1)
    own, next_one = trial(1000, OWN_SPLIT), trial(1001, OWN_SPLIT)
    named = [configuration(one.config, has_own_split(one)) for one in (fixed, other, own, next_one)]
    assert named[0] == named[1] != named[2] == named[3]
    # Seed 0 on split 0 is the default, no split of its own.
    assert not has_own_split(trial(0)) and has_own_split(trial(5, "data.split_seed=5"))
    assert not has_own_split(trial(5, "data.split_seed=4"))
    assert shared([own, next_one]) == (OWN_SPLIT,) and shared([fixed, own]) == shared([]) == ()


def test_what_a_mean_is_over_is_read_from_the_trials() -> None:
    anew = [trial(seed, OWN_SPLIT) for seed in (1000, 1001, 1002)]
    one_split = [trial(seed) for seed in (0, 1, 2)]
    published = [trial(seed, "data=mnist", f"data.split_seed={seed}") for seed in (0, 1)]
    assert over("test/accuracy", [*anew, *anew]) == over("val/accuracy", anew) == "splits"
    assert over("test/accuracy", one_split) == over("test/f1", published) == "examples"
    assert over("test/accuracy", [*anew[:1], *one_split]) == "seeds"
    assert over("train/energy_j", anew) is over("size/bytes", one_split) is None


def test_a_seed_that_was_tested_on_two_splits_is_no_pair() -> None:
    pair = [trial(1000, OWN_SPLIT), trial(1000, number=2)]
    assert unlike("test/accuracy", pair) == (
        "test/accuracy of seed 1000 was taken on two splits: run both with one data.split_seed."
    )
    assert comparable("test/accuracy", pair, {}) == unlike("test/accuracy", pair)
    assert unlike("train/energy_j", pair) is None
    assert unlike("test/accuracy", [trial(1000, OWN_SPLIT, number=one) for one in (1, 2)]) is None

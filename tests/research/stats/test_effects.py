"""The parts of a gain multiply to the whole, are told in order, and never claim what was not shown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.stats.effects import Gain, parted
from research.stats.intervals import compare
from research.stats.verdicts import judge

LEVEL = 0.95
CONTROL = {1: 100.0, 2: 100.0, 3: 100.0}
SHORTER = {1: 21.0, 2: 20.0, 3: 22.0}
LINE = ("budget.steps=40",)


def new(arm: dict[int, float]):
    return judge(SHORTER, arm, metric="train/energy_j", direction="min", scale="relative")


def parts(arm: dict[int, float], kept: bool = True) -> Gain:
    return parted(LINE, CONTROL, SHORTER, "train/energy_j", LEVEL, new(arm), kept)


def test_by_hand() -> None:
    """The geometric means: 20.983 of 100, and 18.0 of 20.983, which is 0.8578."""
    found = parts({1: 18.0, 2: 17.2, 3: 18.84})
    assert found.word == "supported" and found.shown
    assert found.shorter.difference == pytest.approx(100 * ((21 * 20 * 22) ** (1 / 3) / 100 - 1))
    assert found.words.startswith("-79 % by training shorter (`budget.steps=40`), then -14.2 % [")
    assert found.words.endswith("] of the rest by what is new")


def test_what_is_not_shown_is_told_as_that() -> None:
    found = parts({1: 22.0, 2: 18.0, 3: 22.5})
    assert found.word == "open" and not found.shown and found.words.endswith("which shows nothing new")
    alone = parted(LINE, CONTROL, SHORTER, "train/energy_j", LEVEL)
    assert alone.words == "-79 % by training shorter (`budget.steps=40`); nothing new was shown beyond it"
    assert not alone.shown
    assert "misses a bound" in parts({1: 18.0, 2: 17.2, 3: 18.84}, kept=False).words


def test_a_gain_that_further_seeds_do_not_bear_out_is_not_shown() -> None:
    decided = new({1: 18.0, 2: 17.2, 3: 18.84})
    told = compare(SHORTER, {1: 15.0, 2: 24.0, 3: 19.0}, "train/energy_j", LEVEL, "relative")
    assert decided.word == "supported" and told.low < 0 < told.high
    doubted = decided.model_copy(update={"comparison": told})
    found = parted(LINE, CONTROL, SHORTER, "train/energy_j", LEVEL, doubted)
    assert found.word == "open" and not found.shown and found.words.endswith("which shows nothing new")


costs = st.lists(st.floats(0.01, 1e6), min_size=3, max_size=6)


@given(control=costs, shorter=costs, arm=costs)
def test_the_parts_multiply_to_the_whole(control: list, shorter: list, arm: list) -> None:
    size = min(map(len, (control, shorter, arm)))
    sides = [dict(enumerate(values[:size])) for values in (control, shorter, arm)]
    beyond = judge(sides[1], sides[2], metric="m", direction="min", scale="relative")
    found = parted(LINE, sides[0], sides[1], "m", LEVEL, beyond)
    whole = compare(sides[0], sides[2], "m", LEVEL, "relative").difference
    assert found.new is not None
    product = (1 + found.shorter.difference / 100) * (1 + found.new.difference / 100)
    assert math.isclose(product, 1 + whole / 100, rel_tol=1e-6, abs_tol=1e-9)

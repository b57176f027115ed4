"""What a verdict on a fixed test set is worth: its interval has the examples' variance, and says so."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from research.stats.alpha import errors
from research.stats.claims import Part
from research.stats.draws import Ground, Spread, crossed
from research.stats.intervals import compare
from research.stats.verdicts import as_good_as, check, judge, judged
from research.types import Constraint

SEEDS = range(5)
CONTROL = {seed: 0.900 + 0.001 * seed for seed in SEEDS}
ARM = {seed: 0.913 + 0.001 * seed + 0.0005 * (seed % 2) for seed in SEEDS}
FLOOR = Constraint(metric="test/accuracy", op=">=", bound=0.91)
WIDE = Ground("examples", Spread(0.01**2, 40.0))


def test_the_interval_is_the_spreads_own() -> None:
    found = compare(CONTROL, ARM, "test/accuracy", ground=WIDE)
    mean = float(np.mean([ARM[seed] - CONTROL[seed] for seed in SEEDS]))
    low, high = scipy_stats.t.interval(0.95, 40, mean, 0.01)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p_value == pytest.approx(2 * scipy_stats.t.sf(mean / 0.01, 40))
    assert found.over == "examples" and found.n == 5


def test_a_gain_that_only_these_examples_show_is_not_supported() -> None:
    asked = {"metric": "test/accuracy", "direction": "max"}
    assert judge(CONTROL, ARM, **asked).word == "supported"
    found = judge(CONTROL, ARM, **asked, ground=WIDE)
    assert found.word == "open"
    assert "over 5 seeds on this test set, its examples' variance included" in found.reason


def test_a_bound_and_being_as_good_have_it_too() -> None:
    assert check(FLOOR, ARM.values())[0] == "supported"
    word, reason = check(FLOOR, ARM.values(), ground=WIDE)
    assert word == "open" and reason.endswith("on this test set, its examples' variance included")
    narrow = {"metric": "test/accuracy", "direction": "max", "margin": 0.005}
    assert as_good_as(CONTROL, ARM, **narrow).word == "supported"
    assert as_good_as(CONTROL, ARM, **narrow, ground=Ground("examples", Spread(0.02**2, 9.0))).word == "open"
    bounded = judged(Part(metric="test/accuracy", at_least=FLOOR.bound), CONTROL, ARM, errors(0.05), WIDE)
    assert bounded.word == "open" and "does not settle it, over 5 seeds on this test set" in bounded.reason


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ("splits", "over 5 splits drawn anew"),
        ("seeds", "over 5 seeds on these examples alone, their variance not included"),
        (None, "over 5 seeds (95 % interval)"),
    ],
)
def test_every_verdict_says_what_it_is_over(over: str | None, says: str) -> None:
    found = judge(CONTROL, ARM, metric="test/accuracy", ground=Ground(over))  # type: ignore[arg-type]
    assert says in found.reason and found.comparison is not None and found.comparison.over == over


def test_equal_seeds_on_a_fixed_test_set_are_decided_by_the_examples() -> None:
    rows = [[0.0] * 60 + [1.0] * 40] * 3
    spread = crossed(rows)
    assert spread is not None and math.isclose(spread.variance, 0.24 / 99)
    same = dict.fromkeys(range(3), 0.0), dict.fromkeys(range(3), 0.4)
    assert judge(*same, metric="test/accuracy").word == "open"
    assert judge(*same, metric="test/accuracy", ground=Ground("examples", spread)).word == "supported"

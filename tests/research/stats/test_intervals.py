"""Intervals cover, arms are symmetric, and a verdict is given only where its rule says so."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special

from refusal import Refusal
from research.stats.alpha import Errors, errors
from research.stats.claims import Claim
from research.stats.intervals import compare, interval, over_seeds, spelt, summary
from research.stats.verdicts import check, judge, judged, verdict
from research.types import Comparison, Constraint

VALUES = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)
ARM = st.dictionaries(st.integers(0, 9), VALUES, min_size=2, max_size=10)
POSITIVE = st.dictionaries(st.integers(0, 9), st.floats(1e-3, 1e6), min_size=2, max_size=10)


def arm(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def test_summary_is_the_textbooks() -> None:
    told = summary([1.0, 2.0, 3.0, math.nan, math.inf])
    assert (told.mean, told.n, told.std) == (2.0, 3, 1.0)
    assert told.half_width == pytest.approx(4.302652729749462 / math.sqrt(3))
    assert (summary([5.0]).half_width, summary([5.0]).std, summary([5.0]).n) == (None, None, 1)
    assert math.isnan(summary([]).mean) and summary([2.0, 2.0]).half_width == 0.0


@pytest.mark.parametrize("n", [3, 5, 8])
def test_intervals_cover_the_truth_as_often_as_they_say(n: int) -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, size=(3000, n))
    told = [summary(values) for values in draws.tolist()]
    covered = np.mean([abs(one.mean - 3.0) <= one.half_width for one in told if one.half_width is not None])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 3000)


@given(ARM, ARM)
def test_exchanging_the_arms_mirrors_the_comparison(
    control: dict[int, float], treatment: dict[int, float]
) -> None:
    one, other = compare(control, treatment, "m"), compare(treatment, control, "m")
    assert one.n == other.n == len(control.keys() & treatment.keys())
    assume(one.n > 0)
    assert one.difference == -other.difference and (one.low, one.high) == (-other.high, -other.low)
    assert one.p_value == other.p_value


@pytest.mark.slow
@given(ARM, ARM, st.integers(-1000, 1000))
def test_moving_both_arms_changes_nothing(
    control: dict[int, float], treatment: dict[int, float], by: int
) -> None:
    one = compare(control, treatment, "m")
    moved = [{seed: value + by for seed, value in side.items()} for side in (control, treatment)]
    other = compare(moved[0], moved[1], "m")
    assume(one.n > 1)
    tolerance = 1e-7
    assert other.difference == pytest.approx(one.difference, abs=tolerance)
    assert other.low == pytest.approx(one.low, rel=1e-6, abs=1e-5)


@given(POSITIVE, POSITIVE, st.floats(1e-3, 1e3))
def test_a_ratio_does_not_know_the_unit(
    control: dict[int, float], treatment: dict[int, float], unit: float
) -> None:
    one = compare(control, treatment, "m", scale="relative")
    other = compare(
        *({s: v * unit for s, v in side.items()} for side in (control, treatment)), "m", scale="relative"
    )
    assume(one.n > 1 and one.high < 1e9)
    assert other.difference == pytest.approx(one.difference, rel=1e-6, abs=1e-6)
    assert other.high == pytest.approx(one.high, rel=1e-5, abs=1e-5)


def test_a_ratio_is_told_in_percent_of_the_control() -> None:
    found = compare(arm([10, 20, 40]), arm([5, 10, 20]), "train/energy_j", scale="relative")
    assert (found.metric, found.scale) == (
        "train/energy_j",
        "relative",
    ) and found.difference == pytest.approx(-50)
    wide = compare(arm([10, 20, 30]), arm([5, 11, 14]), "train/energy_j", scale="relative")
    assert -100 < wide.low < wide.difference < wide.high < 0
    assert compare(arm([10, 0, 10, 10]), arm([5, 5, -5, math.nan]), "j", scale="relative").n == 1


def test_pairs_need_both_arms_and_finite_values() -> None:
    found = compare({0: 1.0, 1: 2.0, 2: math.nan, 3: 4.0}, {1: 3.0, 2: 1.0, 3: math.inf, 9: 5.0}, "m")
    assert (found.n, found.difference, found.low, found.high) == (1, 1.0, -math.inf, math.inf)
    none = compare({0: 1.0}, {1: 1.0}, "m")
    assert none.n == 0 and math.isnan(none.difference) and none.p_value is None


def test_effect_size_and_p_value_are_the_paired_tests() -> None:
    found = compare(arm([1.0, 2.0, 3.5, 4.0]), arm([1.5, 2.1, 4.5, 4.2]), "m")
    # scipy.stats.ttest_rel and its confidence_interval(0.95)
    assert found.p_value == pytest.approx(0.11231741583919476)
    assert (found.low, found.high) == (pytest.approx(-0.19308518086297732), pytest.approx(1.0930851808629773))
    assert found.effect_size == pytest.approx(
        np.mean([0.5, 0.1, 1.0, 0.2]) / np.std([0.5, 0.1, 1.0, 0.2], ddof=1)
    )


@pytest.mark.slow
@given(ARM, ARM, st.floats(0, 100))
def test_fewer_than_three_pairs_are_open(
    control: dict[int, float], treatment: dict[int, float], least: float
) -> None:
    verdict = judge(control, treatment, metric="m", smallest_effect=least)
    assert verdict.comparison is not None
    assert verdict.word == "open" or verdict.comparison.n >= 3


@pytest.mark.slow
@given(ARM, ARM, st.floats(0, 100), st.sampled_from(["min", "max"]))
def test_a_verdict_is_what_its_interval_says(control, treatment, least, direction) -> None:
    verdict = judge(control, treatment, metric="m", smallest_effect=least, direction=direction)
    found = verdict.comparison
    low, high = (found.low, found.high) if direction == "max" else (-found.high, -found.low)
    if verdict.word == "supported":
        assert low > least and found.n >= 3 and found.p_value < 2 * found.tail == pytest.approx(0.085)
    if verdict.word == "refuted":
        assert high < least or found.low == found.high == 0
    if verdict.word == "open" and found.n >= 3 and found.effect_size is not None:
        assert low <= least <= high
    mirrored = judge(
        {s: -v for s, v in control.items()},
        {s: -v for s, v in treatment.items()},
        metric="m",
        smallest_effect=least,
        direction="min" if direction == "max" else "max",
    )
    assert mirrored.word == verdict.word


def test_the_three_words() -> None:
    control = arm([0.90, 0.91, 0.92, 0.89])
    better, same = arm([0.95, 0.961, 0.968, 0.942]), arm([0.901, 0.909, 0.921, 0.889])
    assert judge(control, better, metric="m", smallest_effect=0.01).word == "supported"
    assert judge(control, better, metric="m", smallest_effect=0.2).word == "refuted"
    assert judge(control, better, metric="m", direction="min").word == "refuted"
    assert judge(control, same, metric="m", smallest_effect=0.01).word == "refuted"
    assert judge(control, same, metric="m").word == "open"
    assert judge(control, better, metric="m", trial_ids=[3, 1]).trial_ids == (3, 1)
    assert "over 4 seeds" in judge(control, better, metric="m").reason


def test_a_trial_without_a_value_leaves_a_claim_open() -> None:
    control, better = arm([1.0, 2.0, 3.0, 4.0, 5.0]), [2.0, 3.1, 4.0, 5.1, 6.0]
    assert judge(control, arm(better), metric="m").word == "supported"
    for failed in (math.nan, math.inf):
        verdict = judge(control, arm([*better[:4], failed]), metric="m")
        assert verdict.word == "open" and "1 of 10 trials" in verdict.reason
    worse = arm([0.0, 1.1, 2.0, 3.1, math.nan])
    assert judge(control, worse, metric="m").word == "open"
    assert judge(arm([*better[:4], math.nan]), arm([9.0, 9.1, 9.9, 9.0, 9.0]), metric="m").word == "open"
    costs = {"metric": "train/energy_j", "direction": "min", "scale": "relative"}
    assert judge(control, arm([0.5, 1.1, 1.4, 2.1, 2.4]), **costs).word == "supported"
    free = judge(control, arm([0.5, 1.1, 1.4, 2.1, 0.0]), **costs)
    assert free.word == "open" and "1 of 10 trials" in free.reason, "no joules are no value"


def test_differences_without_spread_are_open_unless_the_metric_is_exact() -> None:
    control, shifted = arm([0.90, 0.91, 0.92]), arm([0.91, 0.92, 0.93])  # equal but for the last bits
    assert judge(control, shifted, metric="val/accuracy").word == "open"
    assert judge(control, control, metric="val/accuracy").word == "open"
    assert judge(control, control, metric="val/accuracy", smallest_effect=0.01).word == "refuted"
    sizes, smaller = arm([400.0] * 3), arm([100.0] * 3)
    assert (
        judge(sizes, smaller, metric="size/bytes", direction="min", smallest_effect=100).word == "supported"
    )
    assert judge(sizes, smaller, metric="size/bytes", direction="min", smallest_effect=301).word == "refuted"
    assert judge(sizes, sizes, metric="size/bytes", direction="min").word == "refuted"
    ratio = judge(sizes, smaller, metric="size/bytes", direction="min", scale="relative", smallest_effect=50)
    assert ratio.word == "supported" and ratio.comparison.difference == pytest.approx(-75)


def test_a_bound_is_kept_broken_or_open() -> None:
    least = Constraint(metric="test/accuracy", op=">=", bound=0.9)
    assert check(least, [0.95, 0.96, 0.94])[0] == "supported"
    assert check(least, [0.85, 0.86, 0.84])[0] == "refuted"
    assert check(least, [0.95, 0.85, 0.99])[0] == "open"
    assert check(least, [0.95, 0.96])[0] == "open"
    assert check(least, [0.95, 0.95, 0.95])[0] == "open"
    assert check(least, [0.95, 0.96, 0.94, math.nan])[0] == "open"
    assert check(least, [0.85, 0.86, 0.84, math.nan])[0] == "open"
    most = Constraint(metric="size/parameters", op="<=", bound=50_000)
    assert check(most, [50_000.0] * 3)[0] == "supported"
    assert check(most, [50_001.0] * 3)[0] == "refuted"


def test_a_bound_errs_one_sided_as_often_as_it_says() -> None:
    at_bound = np.random.default_rng(1).normal(0.9, 0.02, size=(2000, 5))
    least = Constraint(metric="test/accuracy", op=">=", bound=0.9)
    words = [check(least, values, Errors(0.05, 0.05))[0] for values in at_bound.tolist()]
    for word in ("supported", "refuted"):
        assert abs(words.count(word) / 2000 - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 2000)


def test_constraints_decide_with_the_comparison() -> None:
    control, better = arm([10.0, 11.0, 12.0]), arm([5.0, 5.6, 5.9])
    least = Constraint(metric="test/accuracy", op=">=", bound=0.9)

    def word(values: list[float], treatment: dict[int, float] = better) -> str:
        cheaper, kept = Claim.improvement("train/energy_j", "min", bounds=[least]).all
        rate = errors(0.05).among(2)
        parts = [judged(cheaper, control, treatment, rate), judged(kept, control, arm(values), rate)]
        assert verdict(parts).comparison == parts[0].comparison
        return verdict(parts).word

    assert word([0.95, 0.96, 0.94]) == "supported"
    assert word([0.75, 0.76, 0.74]) == "refuted"
    assert word([0.95, 0.85, 0.99]) == "open"
    assert word([0.95, 0.96, 0.94], arm([20.0, 21.0, 23.0])) == "refuted"
    assert word([0.95, 0.85, 0.99], arm([20.0, 21.0, 23.0])) == "refuted"


def test_levels_and_effects_that_mean_nothing_are_refused() -> None:
    for level in (0.0, 1.0, math.nan, 95.0):
        with pytest.raises(Refusal, match="between 0 and 1"):
            compare({}, {}, "m", level)
    for rates in ((0.0, 0.1), (0.1, 0.0), (0.6, 0.5), (math.nan, 0.1)):
        with pytest.raises(Refusal, match="error rates"):
            Errors(*rates)
    for least in (-1.0, math.nan, math.inf):
        with pytest.raises(Refusal, match="zero or more"):
            judge({}, {}, metric="m", smallest_effect=least)


@given(st.integers(2, 400))
def test_half_a_summarys_interval_is_students_of_scipy(n: int) -> None:
    told = summary([float(value % 7) for value in range(n)])
    assert told.half_width is not None and told.std is not None
    expected = -special.stdtrit(n - 1, 0.025) * told.std / math.sqrt(n)
    assert told.half_width == pytest.approx(expected, rel=1e-9)


def test_a_mean_with_its_interval_waits_for_no_scipy() -> None:
    code = "import sys; from research.stats.intervals import summary; print(summary([1.0, 2.0, 4.0]).n)\n"
    code += "print({'scipy', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "set()"]


FOUND = Comparison(
    metric="size/bytes", n=4, difference=-40540.2, low=-50001.0, high=12.345678, effect_size=None,
    p_value=None, level=0.95,
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "sign", "told"),
    [
        (-40540.0, "", "-40,540"),
        (40540.0, "+", "+40,540"),
        (9999.4, "", "9999"),
        (0.00338312, "+", "+0.003383"),
        (0.0, "+", "+0"),
        (float("inf"), "", "inf"),
    ],
)
def test_a_number_is_short_and_without_an_exponent_where_people_count(
    value: float, sign: str, told: str
) -> None:
    assert spelt(value, sign) == told


def test_a_comparison_is_told_with_its_interval() -> None:
    assert interval(FOUND) == "[-50,001, 12]"
    assert over_seeds(FOUND) == "-40,540 [-50,001, 12] over 4 seeds (95 % interval)"


@pytest.mark.parametrize(
    ("scale", "ends", "told"),
    [
        ("relative", (-29.6017, -16.2421, -0.34731), "-16.2 % [-29.6, -0.3]"),
        ("absolute", (-0.0429211, -0.0312, -0.0194721), "-0.0312 [-0.0429, -0.0195]"),
        ("relative", (-30.0, -20.0, -0.004), "-20.000 % [-30.000, -0.004]"),
        ("relative", (7829.4, 8991.1, 10320.2), "+8991 % [7829, 10,320]"),
        ("relative", (-86.6278, -86.6278, -86.6278), "-86.63 % [-86.63, -86.63]"),
        ("absolute", (-1.0, 0.0, 1.0), "+0 [-1, 1]"),
    ],
)
def test_a_difference_and_its_ends_have_the_same_decimals_and_no_end_is_rounded_to_zero(
    scale: str, ends: tuple[float, float, float], told: str
) -> None:
    low, difference, high = ends
    one = FOUND.model_copy(update={"scale": scale, "difference": difference, "low": low, "high": high})
    assert over_seeds(one) == f"{told} over 4 seeds (95 % interval)"

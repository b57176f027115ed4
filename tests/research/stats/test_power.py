"""Power agrees with scipy's noncentral t and with the judge itself, and grows where it should."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refusal import Refusal
from research.stats.intervals import compare
from research.stats.power import detectable, needed, power, told
from research.stats.verdicts import judge

FEW = settings(max_examples=10)
ALPHA = st.sampled_from([0.05, 0.0219, 0.001, 1e-5])
EFFECT = st.floats(0, 20)
SCIPY = [
    (3, 1.0, 0.05, 0.17861005524801665),
    (3, 3.0, 0.0219, 0.4549995340797629),
    (5, 2.0, 0.0219, 0.7494954441858663),
    (8, 1.0, 0.001, 0.08019013485777739),
    (200, 0.2, 0.05, 0.8036657613447118),
]


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 4, 5, 8, 20, 100, 1000, 9000])
def test_it_is_the_noncentral_t_of_scipy(n: int) -> None:
    from scipy.stats import nct, t

    for alpha in (0.3, 0.05, 0.001, 1e-6):
        for shift in (0.0, 0.3, 2.0, 5.0, 12.0, 40.0):
            expected = float(nct.sf(t.isf(alpha, n - 1), n - 1, shift)) if shift else alpha
            found = power(n, shift / math.sqrt(n), 1.0, alpha)
            assert found == pytest.approx(expected, abs=1e-8), (alpha, shift)


@FEW
@given(st.sampled_from([3, 4, 5, 8, 30]), EFFECT, EFFECT, ALPHA)
def test_it_grows_with_the_effect_the_pairs_and_the_error(n: int, one: float, two: float, alpha) -> None:
    small, large = sorted((one, two))
    assert 0 <= power(n, small, 1, alpha) <= power(n, large, 1, alpha) + 1e-9 <= 1 + 1e-9
    assert power(n, large, 1, alpha) <= power(n + 1, large, 1, alpha) + 1e-9
    assert power(n, large, 1, alpha / 2) <= power(n, large, 1, alpha) + 1e-9
    assert power(n, 3 * large, 3, alpha) == pytest.approx(power(n, large, 1, alpha), abs=1e-9)


@FEW
# Of 0.05 SD the strictest ask for more than the 10,000 pairs at which it gives up.
@given(st.floats(0.06, 10), ALPHA)
def test_the_pairs_that_are_needed_are_enough_and_one_less_is_not(effect: float, alpha) -> None:
    n = needed(effect, 1.0, alpha)
    assert n is not None and power(n, effect, 1.0, alpha) >= 0.8
    assert n == 3 or power(n - 1, effect, 1.0, alpha) < 0.8
    assert detectable(n, 1.0, alpha) <= effect * (1 + 1e-6)


@FEW
@given(st.sampled_from([3, 4, 5, 8, 30]), st.floats(1e-3, 1e3), ALPHA)
def test_what_is_detectable_is_detected(n: int, sd: float, alpha: float) -> None:
    assert power(n, detectable(n, sd, alpha), sd, alpha) == pytest.approx(0.8, abs=1e-5)


def test_the_judge_finds_as_often_as_power_says() -> None:
    rng, runs = np.random.default_rng(0), 600
    drawn = rng.normal(1.5, 1.0, size=(runs, 5))
    zero = dict.fromkeys(range(5), 0.0)
    found = [judge(zero, dict(enumerate(row)), metric="m").word == "supported" for row in drawn.tolist()]
    expected = power(5, 1.5, 1.0, 0.0425)
    assert abs(np.mean(found) - expected) < 4 * math.sqrt(expected * (1 - expected) / runs)


def test_textbook_numbers() -> None:
    # As scipy's nct.sf at its t.isf(alpha / 2): the slow test asks it for more.
    for n, effect, alpha, expected in SCIPY:
        assert power(n, effect, 1.0, alpha / 2) == pytest.approx(expected, abs=1e-9)
    assert needed(0.5, 1.0, 0.025) == 34  # G*Power, two-sided paired t-test at 0.05, dz = 0.5
    assert needed(0.5, 1.0, 0.05) == 27  # G*Power, one tail
    assert power(34, 0.5, 1.0, 0.025) == pytest.approx(0.8077775, abs=1e-4)
    assert power(2, 9.0, 1.0, 0.05) == 0.0 and math.isinf(detectable(2, 1.0, 0.05))
    assert needed(0.0, 1.0, 0.05) is None and needed(0.001, 1.0, 0.05) is None
    assert power(3, 1.0, 0.0, 0.05) == 1.0 and power(3, 0.0, 0.0, 0.05) == 0.05
    assert needed(1.0, 0.0, 0.05) == 3 and detectable(3, 0.0, 0.05) == 0.0


def test_a_comparison_is_told_what_it_could_find() -> None:
    control = {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0, 4: 5.0}
    moved = dict(zip(control, [1.1, 2.4, 3.2, 4.1, 5.2], strict=True))
    found = told(compare(control, moved, "m"), 0.2)
    assert found is not None and found.sd == pytest.approx(np.std([0.1, 0.4, 0.2, 0.1, 0.2], ddof=1))
    assert found.power == pytest.approx(power(5, 0.2, found.sd, 0.025)) and found.n == 5
    assert found.detectable == pytest.approx(detectable(5, found.sd, found.alpha))
    assert found.supportable == pytest.approx(0.2 + found.detectable)
    stricter = told(compare(control, moved, "m", 0.98), 0.2)
    assert stricter is not None and stricter.power < found.power and stricter.alpha == pytest.approx(0.01)
    assert told(compare(control, control, "m"), 0.2) is None
    assert told(compare({0: 1.0}, {0: 2.0}, "m"), 0.2) is None


@pytest.mark.parametrize("factors", [[0.5, 0.6, 0.55], [2.0, 2.5, 2.2]])
def test_a_ratio_is_told_in_percent(factors: list[float]) -> None:
    control = {0: 10.0, 1: 20.0, 2: 30.0}
    moved = {seed: value * factor for (seed, value), factor in zip(control.items(), factors, strict=True)}
    found = told(compare(control, moved, "j", scale="relative"), 20.0)
    assert found is not None and found.sd == pytest.approx(np.std(np.log(factors), ddof=1))
    size = abs(math.log(0.8 if factors[0] < 1 else 1.2))
    assert found.power == pytest.approx(power(3, size, found.sd, 0.025))
    assert found.supportable > max(found.detectable, 20)
    factor = 1 - found.detectable / 100 if factors[0] < 1 else 1 + found.detectable / 100
    assert abs(math.log(factor)) == pytest.approx(detectable(3, found.sd, 0.025))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ((3, -1.0, 1.0, 0.05), "zero or more"),
        ((3, math.nan, 1.0, 0.05), "zero or more"),
        ((3, 1.0, math.inf, 0.05), "spread"),
        ((3, 1.0, 1.0, 5.0), "between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused(asked, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        power(*asked)

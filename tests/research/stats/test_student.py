"""Student's t of our own against scipy's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from research.stats.student import critical, two_sided

FREEDOM = st.integers(1, 10_000) | st.floats(0.5, 1000)


@given(st.floats(1e-6, 1e6), FREEDOM)
def test_tails_are_scipys(t: float, freedom: float) -> None:
    expected = 2 * special.stdtr(freedom, -t)
    assert two_sided(t, freedom) == two_sided(-t, freedom)
    assert math.isclose(two_sided(t, freedom), expected, rel_tol=1e-9, abs_tol=1e-250)


@given(st.floats(1e-12, 0.999), FREEDOM)
def test_critical_values_invert_the_tail(alpha: float, freedom: float) -> None:
    assert two_sided(critical(alpha, freedom), freedom) == pytest.approx(alpha, rel=1e-9)


def test_known_values() -> None:
    assert critical(0.05, 2) == pytest.approx(4.302652729749462, rel=1e-12)
    assert critical(0.05, 4) == pytest.approx(2.7764451051977987, rel=1e-12)
    assert two_sided(0.0, 3) == 1.0 and two_sided(math.inf, 3) == 0.0

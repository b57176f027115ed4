"""Differences are told in four digits, and those of bytes in full."""

import pytest

from research.statistics.spelling import interval, over_seeds, spelt
from research.types import Comparison

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
    assert interval(FOUND) == "[-50,001, 12.35]"
    assert over_seeds(FOUND) == "-40,540 [-50,001, 12.35] over 4 seeds"

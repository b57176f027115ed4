"""Differences are told in the decimals that their interval is sure of, and those of bytes in full."""

import pytest

from research.stats.intervals import interval, over_seeds, spelt
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

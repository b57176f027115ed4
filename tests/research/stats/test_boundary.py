"""Looks share one error rate: exact against simulation, never above it, and most of it at the first look."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from research.stats.alpha import FIRST, nominal, spent

ALPHA = st.sampled_from([0.05, 0.024, 0.002, 1e-5])


def crossings(
    counts: tuple[int, ...], alpha: float, looks: int | None, runs: int, shift: float = 0.0
) -> float:
    """How often any of the looks crosses its bound, by drawing."""
    drawn = np.random.default_rng(sum(counts)).normal(shift, 1.0, (runs, counts[-1]))
    crossed = np.zeros(runs, bool)
    for look, count in enumerate(counts, start=1):
        some = drawn[:, :count]
        t = some.mean(1) / some.std(1, ddof=1) * math.sqrt(count)
        crossed |= t > -stdtrit(count - 1, nominal(alpha, counts[:look], looks))
    return float(crossed.mean())


@pytest.mark.parametrize("counts", [(5, 10), (3, 6), (3, 11), (8, 9), (5, 7)])
def test_two_looks_err_as_often_as_they_say(counts: tuple[int, ...]) -> None:
    runs, alpha = 200_000, 0.05
    assert abs(crossings(counts, alpha, 2, runs) - alpha) < 4 * math.sqrt(alpha / runs)


@pytest.mark.parametrize(("counts", "looks"), [((3, 6, 9, 12), 4), ((5, 10, 15), 3), ((5, 6, 8, 20), None)])
def test_more_looks_err_no_oftener(counts: tuple[int, ...], looks: int | None) -> None:
    runs, alpha = 200_000, 0.05
    share = crossings(counts, alpha, looks, runs)
    assert 0.8 * alpha < share < alpha + 4 * math.sqrt(alpha / runs)


def test_a_second_look_finds_what_the_first_one_missed() -> None:
    one, both = crossings((5,), 0.024, 2, 20_000, 1.0), crossings((5, 10), 0.024, 2, 20_000, 1.0)
    assert one == pytest.approx(0.363, abs=0.02) and both > 0.55


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(3, 40), min_size=1, max_size=4, unique=True), ALPHA, st.sampled_from([4, None]))
def test_a_bound_lies_between_what_was_added_and_the_whole(given, alpha: float, looks) -> None:
    counts = sorted(given)
    added = alpha * (spent(len(counts), looks) - (spent(len(counts) - 1, looks) if len(counts) > 1 else 0))
    bound = nominal(alpha, counts, looks)
    assert added * (1 - 1e-9) <= bound <= alpha


def test_shares_are_spent_in_full_or_never() -> None:
    assert spent(1, 1) == 1 and spent(1, 2) == FIRST and spent(2, 2) == 1
    assert [spent(k, 3) for k in (1, 2, 3)] == pytest.approx([FIRST, (1 + FIRST) / 2, 1])
    endless = [spent(k, None) for k in range(1, 40)]
    assert endless[0] == pytest.approx(FIRST) and endless == sorted(endless) and endless[-1] < 1
    assert nominal(0.01, (5,), 1) == 0.01 and nominal(0.01, (5,), 2) == 0.01 * FIRST

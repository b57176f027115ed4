"""The decider: symmetric, monotone, strict where nothing can be known, and wrong as seldom as it says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.stats.alpha import Errors, errors, even, rate
from research.stats.decide import Mean, Region, critical, decide
from research.stats.effects import chosen, conditional
from research.stats.power import power
from research.stats.verdicts import judge

MEAN = st.floats(-10, 10)
ERROR = st.floats(1e-3, 10)
END = st.one_of(st.just(-math.inf), st.floats(-5, 0)), st.one_of(st.just(math.inf), st.floats(0.001, 5))
TAILS = st.tuples(st.floats(1e-6, 0.4), st.floats(1e-6, 0.4))
RANK = {"refuted": 0, "open": 1, "supported": 2}


def estimate(mean: float, error: float, n: int = 5, **more) -> Mean:
    return Mean(mean, error, n - 1, n, **more)


@given(MEAN, ERROR, *END, TAILS, st.integers(3, 20))
def test_the_other_side_has_the_same_word(mean, error, low, high, tails, n: int) -> None:
    one = decide(estimate(mean, error, n), Region(low, high), tails)
    assert one == decide(estimate(-mean, error, n), Region(-high, -low), tails)


@given(MEAN, MEAN, ERROR, st.floats(-5, 5), TAILS)
def test_more_of_what_is_claimed_is_never_worse(one, two, error, least, tails) -> None:
    words = [decide(estimate(mean, error), Region(low=least), tails) for mean in sorted((one, two))]
    assert RANK[words[0]] <= RANK[words[1]]


@given(MEAN, ERROR, st.floats(-5, 5), st.floats(0, 5), TAILS)
def test_a_smaller_claim_is_never_worse(mean, error, least, less, tails) -> None:
    small, large = (decide(estimate(mean, error), Region(low=end), tails) for end in (least - less, least))
    assert RANK[large] <= RANK[small]


@given(MEAN, ERROR, *END, TAILS, st.integers(0, 2), st.integers(0, 3))
def test_too_few_values_and_missing_ones_are_open(mean, error, low, high, tails, n, missing) -> None:
    assert decide(estimate(mean, error, n), Region(low, high), tails) == "open"
    if missing:
        assert decide(estimate(mean, error, 9), Region(low, high), tails, missing) == "open"


@given(MEAN, *END, TAILS)
def test_without_spread_only_what_is_exact_or_equal_is_certain(mean, low, high, tails) -> None:
    region = Region(low, high)
    assert decide(estimate(mean, 0.0), region, tails) == "open"
    exact = decide(estimate(mean, 0.0, exact=True), region, tails)
    assert exact == ("supported" if low < mean < high else "refuted")
    same = decide(estimate(0.0, 0.0, equal=True), region, tails)
    assert same == ("open" if 0.0 in (low, high) else "supported" if low < 0 < high else "refuted")


@pytest.mark.parametrize(
    "claimed", [Region(low=0.0), Region(high=0.0), Region(-1.0, 0.0), Region(0.0, closed=True)]
)
def test_at_the_end_of_a_claim_each_word_errs_as_often_as_it_says(claimed: Region) -> None:
    drawn, runs = np.random.default_rng(5).normal(0, 0.3, (4000, 5)), 4000
    told = [
        decide(estimate(float(row.mean()), float(row.std(ddof=1) / 5**0.5)), claimed, (0.08, 0.03))
        for row in drawn
    ]
    for word, most in (("supported", 0.08), ("refuted", 0.03)):
        assert told.count(word) / runs <= most + 4 * math.sqrt(most / runs)


def test_rates_are_shared_out() -> None:
    assert errors(0.1).supported == pytest.approx(0.085) and errors(0.1).level == pytest.approx(0.9)
    assert even(0.1) == Errors(0.05, 0.05) and even(0.1).among(5).refuted == pytest.approx(0.01)
    first = rate(0.05, 1).at((5,), 2).tails[0]
    assert power(5, 1.0, 1.0, first) >= 0.35 and power(5, 2.0, 1.0, first) >= 0.85


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_a_conditional_size_is_smaller_than_what_was_chosen_and_inside_its_interval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    looks = [rate(0.05, 1).at((5,), 2), rate(0.05, 1).at((5, 10), 2)]
    for _ in range(40):
        control = dict(enumerate(np.exp(rng.normal(0, 0.05, 10)).tolist()))
        arm = {at: value * 0.9 * math.exp(rng.normal(0, 0.05)) for at, value in control.items()}
        asked = {"metric": "j", "direction": "min", "scale": "relative"}
        for count, look in zip((5, 10), looks, strict=True):
            sides = [{at: side[at] for at in range(count)} for side in (control, arm)]
            verdict = judge(*sides, **asked, rate=look)
            if verdict.word == "supported":
                size = chosen(*sides, "j", "min", 0.0, "relative", looks[: len(look.counts)])
                assert verdict.comparison is not None and size.low <= size.difference <= size.high <= 0
                if count == 5:  # at a second look the first one has not crossed, which works the other way
                    assert size.difference >= verdict.comparison.difference - 0.1
                return


@pytest.mark.slow
def test_a_size_that_was_chosen_is_covered_as_often_as_it_says() -> None:
    """True 1 SD, found in 35 %: the interval of those found, untouched, has it in 89 %."""
    rng, runs, first = np.random.default_rng(2), 250, rate(0.05, 1).at((5,), 2).tails[0]
    covered, drawn = 0, rng.normal(1.0, 1.0, (5000, 5))
    bound = 2.98  # t with 4 degrees at 0.0203
    t = drawn.mean(1) / drawn.std(1, ddof=1) * 5**0.5
    for row in drawn[t >= bound][:runs]:
        size = conditional(row.tolist(), (5,), (first,))
        covered += size.low <= 1.0 <= size.high
    assert covered / runs >= 0.95 - 4 * math.sqrt(0.05 * 0.95 / runs)


def test_critical_values_are_those_of_the_tables() -> None:
    assert critical(0.025, 2) == pytest.approx(4.302652729749462, rel=1e-12)
    assert critical(0.025, 4) == pytest.approx(2.7764451051977987, rel=1e-12)
    assert critical(0.005, 30) == pytest.approx(2.7499956535672, rel=1e-12)

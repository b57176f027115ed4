"""A campaign without effects finds one in at most 5 % of cases, whatever its arms look like."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from benchmarks.alpha_ledger import AlphaLedger
from refusal import Refusal
from research.stats.alpha import FIRST, left, nominal, share, spent
from research.stats.verdicts import judge


def gaussian(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(0.9, 0.02, n)


def coarse(rng: np.random.Generator, n: int) -> np.ndarray:
    """Accuracies on 90 examples: few different values, many equal differences."""
    return rng.binomial(90, 0.97, n) / 90


def skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    """Costs: a few seeds take much longer than the rest."""
    return rng.lognormal(0, 0.5, n)


def findings(draw, n: int, campaigns: int, comparisons: int) -> float:
    """The share of campaigns with a finding, in either direction; all arms are drawn alike."""
    rng, found = np.random.default_rng(n), 0
    for _ in range(campaigns):
        ledger, words = AlphaLedger(0.05), set()
        control = dict(enumerate(draw(rng, n).tolist()))  # one control for all, as in a sprint
        for _ in range(comparisons):
            verdict = judge(control, dict(enumerate(draw(rng, n).tolist())), metric="m", rate=ledger.rate)
            ledger.record(verdict)
            words.add(verdict.word)
        found += words != {"open"}
    return found / campaigns


@pytest.mark.parametrize(("draw", "n"), [(gaussian, 3), (coarse, 3), (coarse, 5), (skewed, 5)])
def test_a_campaign_of_a_against_a_seldom_finds_anything(draw, n: int) -> None:
    assert findings(draw, n, 80, 20) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 80)


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "n"), [(gaussian, 3), (gaussian, 5), (coarse, 3), (coarse, 5), (skewed, 5)])
def test_a_campaign_of_a_against_a_errs_in_at_most_one_of_twenty_cases(draw, n: int) -> None:
    share = findings(draw, n, 1000, 50)
    print(f"{share:.1%} of 1000 A/A campaigns of 50 comparisons, {draw.__name__}, n = {n}")
    assert share <= 0.05


@given(st.floats(0.001, 0.5), st.integers(1, 300))
def test_without_findings_the_error_rates_add_up_to_at_most_alpha(alpha: float, count: int) -> None:
    ledger, spent = AlphaLedger(alpha), []
    for _ in range(count):
        spent.append(ledger.rate.supported + ledger.rate.refuted)
        ledger._count(supported=False)
    assert math.fsum(spent) < alpha and spent == sorted(spent, reverse=True)
    assert left(alpha, count) == pytest.approx(0.83 * alpha - math.fsum(spent))


@given(st.lists(st.booleans(), max_size=30))
def test_a_finding_hands_its_rate_on_and_a_question_is_continued_from_its_history(
    history: list[bool],
) -> None:
    ledger = AlphaLedger(0.05)
    for supported in history:
        before = ledger.rate.supported
        ledger._count(supported)
        alone = 0.05 * share(ledger.count + 1)
        assert ledger.rate.supported == pytest.approx(0.85 * alone + (before if supported else 0.0))
        assert ledger.rate.refuted == pytest.approx(0.15 * alone)
    assert AlphaLedger(0.05, history).rate == ledger.rate
    assert ledger.rate.supported + ledger.rate.refuted <= 0.05


def test_the_shares_come_to_less_than_one() -> None:
    # zeta(1.6) = 2.28576565... ; the sum of k ** -1.6 beyond a million is about its integral
    head = math.fsum(share(number) for number in range(1, 10**6 + 1))
    tail = 0.3 / 1.28576565 * (10**6 + 0.5) ** -0.6 / 0.6
    assert head + tail == pytest.approx(0.83, abs=1e-8)
    assert share(1) == 0.53 and share(2) == pytest.approx(0.3 / 1.285766 * 2**-1.6, rel=1e-6)
    with pytest.raises(Refusal, match="error rate"):
        AlphaLedger(5.0)


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


@pytest.mark.slow
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

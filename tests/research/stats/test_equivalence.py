"""As good as the control: what the two one-sided tests say, how often they err, and one alpha for all."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.alpha_ledger import AlphaLedger
from refusal import Refusal
from research.stats.alpha import Errors
from research.stats.intervals import compare
from research.stats.verdicts import as_good_as, judge

FEW = settings(max_examples=15)
CONTROL = {seed: 0.90 + 0.001 * (seed % 3) for seed in range(6)}
ARM = st.dictionaries(st.integers(0, 9), st.floats(-100, 100), min_size=3, max_size=10)
MARGIN = st.floats(0.01, 50)


def shifted(by: float, spread: float = 0.0005) -> dict[int, float]:
    return {seed: value + by + spread * (-1) ** seed for seed, value in CONTROL.items()}


@pytest.mark.parametrize(
    ("by", "largest", "smallest", "either"),
    [
        (0.0, "supported", "supported", "supported"),
        (-0.005, "supported", "supported", "supported"),
        (-0.02, "refuted", "supported", "refuted"),
        (0.02, "supported", "refuted", "refuted"),
        (-0.0101, "open", "supported", "open"),
        (0.0101, "supported", "open", "open"),
    ],
)
def test_a_loss_within_the_margin_is_as_good_and_a_gain_always_is(by, largest, smallest, either) -> None:
    for direction, word in (("max", largest), ("min", smallest), (None, either)):
        verdict = as_good_as(CONTROL, shifted(by), metric="m", direction=direction, margin=0.01)
        assert verdict.word == word, verdict.reason


def test_the_reason_says_whether_both_are_alike() -> None:
    alike = as_good_as(CONTROL, shifted(0.001), metric="m", direction="max", margin=0.01, trial_ids=(4, 2))
    assert "inside the margin of -0.01, and alike" in alike.reason and alike.trial_ids == (4, 2)
    better = as_good_as(CONTROL, shifted(0.02), metric="m", direction="max", margin=0.01)
    assert "may be better by more" in better.reason
    inner = compare(CONTROL, shifted(0.001), "m", 0.915)
    assert alike.comparison is not None and alike.comparison.low == pytest.approx(inner.low)


@FEW
@given(ARM, ARM, MARGIN, st.sampled_from([0.8, 0.95, 0.999]))
def test_both_sides_hold_when_each_does(control, treatment, margin: float, level: float) -> None:
    def word(direction) -> str:
        given = {
            "metric": "m",
            "margin": margin,
            "rate": Errors(1 - level, (1 - level) / 4),
            "direction": direction,
        }
        return as_good_as(control, treatment, **given).word

    sides = {word("max"), word("min")}
    assert (word(None) == "supported") == (sides == {"supported"})
    if len(control.keys() & treatment.keys()) < 3:
        assert sides == {"open"}
    if "refuted" in sides:
        assert word(None) == "refuted" and sides != {"refuted"}


@FEW
@given(ARM, ARM, MARGIN, MARGIN)
def test_a_wider_margin_never_makes_it_worse(control, treatment, one: float, two: float) -> None:
    rank = {"refuted": 0, "open": 1, "supported": 2}
    words = [
        as_good_as(control, treatment, metric="m", direction="max", margin=margin).word
        for margin in sorted((one, two))
    ]
    assert rank[words[0]] <= rank[words[1]]


@FEW
@given(ARM, ARM, MARGIN)
def test_what_is_worse_by_the_margin_is_not_as_good(control, treatment, margin: float) -> None:
    worse = judge(treatment, control, metric="m", smallest_effect=margin)
    good = as_good_as(control, treatment, metric="m", direction="max", margin=margin)
    assert not (worse.word == "supported" and good.word == "supported")


def test_ratios_are_in_percent_of_the_control() -> None:
    joules = {seed: 10.0 + seed for seed in range(5)}
    dearer = {seed: value * (1.05 + 0.001 * seed) for seed, value in joules.items()}
    asked = {"metric": "train/energy_j", "direction": "min", "scale": "relative"}
    assert as_good_as(joules, dearer, margin=10, **asked).word == "supported"
    assert as_good_as(joules, dearer, margin=2, **asked).word == "refuted"
    assert as_good_as(joules, dearer, margin=150, **asked).word == "supported"
    with pytest.raises(Refusal, match="100 %"):
        as_good_as(joules, dearer, metric="m", margin=100, scale="relative")


def test_missing_values_and_equal_differences_are_open() -> None:
    lost = shifted(0.0) | {2: math.nan}
    for control, treatment in ((CONTROL, lost), (lost, CONTROL)):
        verdict = as_good_as(control, treatment, metric="m", margin=0.01)
        assert verdict.word == "open" and "1 of 12 trials" in verdict.reason
    coarse = {seed: value + 0.004 for seed, value in CONTROL.items()}
    assert as_good_as(CONTROL, coarse, metric="test/accuracy", margin=0.01).word == "open"
    assert as_good_as(CONTROL, coarse, metric="size/bytes", margin=0.01).word == "supported"
    assert as_good_as(CONTROL, dict(CONTROL), metric="test/accuracy", margin=0.01).word == "supported"


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(Refusal, match="margin"):
        as_good_as(CONTROL, CONTROL, metric="m", margin=margin)


def test_at_the_margin_it_errs_no_oftener_than_alpha() -> None:
    rng, runs = np.random.default_rng(0), 600
    zero = dict.fromkeys(range(4), 0.0)
    lost = rng.normal(-1.0, 0.4, size=(runs, 4))
    words = [
        as_good_as(
            zero, dict(enumerate(one)), metric="m", direction="max", margin=1.0, rate=Errors(0.1, 0.01)
        ).word
        for one in lost.tolist()
    ]
    assert abs(words.count("supported") / runs - 0.1) < 4 * math.sqrt(0.1 * 0.9 / runs)


def test_claims_of_equality_and_of_improvement_share_a_campaigns_alpha() -> None:
    """Every second claim is an improvement that is none, every other one as good that loses the margin."""
    rng, campaigns, found = np.random.default_rng(3), 60, 0
    zero = dict.fromkeys(range(5), 0.0)
    for _ in range(campaigns):
        ledger, words = AlphaLedger(0.05), []
        for number in range(10):
            arm = dict(enumerate((rng.normal(0, 1, 5) - number % 2).tolist()))
            asked = {"metric": "m", "direction": "max", "rate": ledger.rate}
            verdict = as_good_as(zero, arm, margin=1.0, **asked) if number % 2 else judge(zero, arm, **asked)
            ledger.record(verdict)
            words.append(verdict.word)
        found += "supported" in words
    assert found / campaigns <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / campaigns)

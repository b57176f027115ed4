"""Words of claims: margins, bounds, composites, what is missing, and how often a false claim is supported."""

import math
import random

import pytest

from cases import each
from research.stats.alpha import Errors, errors
from research.stats.claims import Part
from research.stats.verdicts import PartVerdict, claim_word, judged

RATE = errors(0.05)
CONTROL = {seed: 0.90 + 0.001 * (seed % 3) for seed in range(6)}


def shifted(by: float, spread: float = 0.0005) -> dict[int, float]:
    return {seed: value + by + spread * (-1) ** seed for seed, value in CONTROL.items()}


def part(metric: str = "test/accuracy", **kind) -> Part:
    return Part(metric=metric, **kind)


@each(
    ("kind", "by", "word"),
    [
        ({"more_by": 0}, 0.02, "supported"),
        ({"more_by": 0.01}, 0.005, "refuted"),
        ({"more_by": 0.01}, 0.0102, "open"),
        ({"less_by": 0.01}, -0.02, "supported"),
        ({"less_by": 0.01}, 0.02, "refuted"),
        ({"not_less_by": 0.01}, -0.005, "supported"),
        ({"not_less_by": 0.01}, 0.5, "supported"),
        ({"not_less_by": 0.01}, -0.02, "refuted"),
        ({"not_less_by": 0.01}, -0.0101, "open"),
        ({"not_more_by": 0.01}, 0.02, "refuted"),
        ({"not_more_by": 0.01}, -0.5, "supported"),
        ({"equal_within": 0.01}, 0.003, "supported"),
        ({"equal_within": 0.01}, 0.02, "refuted"),
        ({"equal_within": 0.01}, -0.02, "refuted"),
        ({"equal_within": 0.001}, 0.001, "open"),
        ({"at_least": 0.85}, 0.0, "supported"),
        ({"at_most": 0.85}, 0.0, "refuted"),
        ({"at_most": 0.901}, 0.0, "open"),
    ],
)
def test_a_part_is_supported_refuted_or_open(kind: dict, by: float, word: str) -> None:
    assert judged(part(**kind), CONTROL, shifted(by), RATE).word == word


def test_sizes_of_the_control_are_compared_as_ratios() -> None:
    seconds = {seed: 2.0 + 0.1 * seed for seed in range(6)}
    third = {seed: value / 3 * (1 + 0.01 * (-1) ** seed) for seed, value in seconds.items()}
    faster = judged(part("train/seconds", less_by="2x"), seconds, third, RATE)
    assert faster.word == "supported" and faster.comparison is not None
    assert faster.comparison.difference == pytest.approx(-66.67, abs=0.1)
    assert judged(part("train/seconds", less_by="3.5x"), seconds, third, RATE).word == "refuted"
    assert judged(part("train/seconds", not_more_by="10 %"), third, seconds, RATE).word == "refuted"
    assert judged(part("train/steps_per_second", more_by="2.5x"), third, seconds, RATE).word == "supported"
    assert part(more_by="2x").size.change(1) == 100 and part(less_by="4x").size.change(-1) == -75


def test_what_a_network_has_whatever_the_seed_needs_no_spread() -> None:
    dense, small = dict.fromkeys(range(3), 1000.0), dict.fromkeys(range(3), 250.0)
    assert judged(part("size/bytes", less_by="3.5x"), dense, small, RATE).word == "supported"
    assert judged(part("size/bytes", less_by="4.5x"), dense, small, RATE).word == "refuted"
    assert judged(part("size/parameters", at_most=250), dense, small, RATE).word == "supported"
    assert judged(part("train/seconds", less_by="2x"), dense, small, RATE).word == "open", "a clock spreads"


def test_equal_scores_are_within_a_margin_and_no_improvement() -> None:
    assert judged(part(equal_within=0.01), CONTROL, dict(CONTROL), RATE).word == "supported"
    assert judged(part(not_less_by=0.01), CONTROL, dict(CONTROL), RATE).word == "supported"
    assert judged(part(more_by=0.01), CONTROL, dict(CONTROL), RATE).word == "refuted"
    same_shift = {seed: value + 0.004 for seed, value in CONTROL.items()}
    assert judged(part(equal_within=0.01), CONTROL, same_shift, RATE).word == "open", "coarse, not certain"


@pytest.mark.parametrize("kind", [{"more_by": 0}, {"not_less_by": 0.01}, {"at_least": 0.5}])
def test_a_missing_value_leaves_a_part_open_and_is_told(kind: dict) -> None:
    lost = shifted(0.05) | {2: float("nan")}
    found = judged(part(**kind), CONTROL, lost, RATE)
    assert found.word == "open" and "1 of" in found.reason and "no value" in found.reason
    nothing = judged(part(**kind), CONTROL, dict.fromkeys(CONTROL, float("nan")), RATE)
    assert nothing.word == "open" and "6 of" in nothing.reason and "no value" in nothing.reason


def test_a_share_of_what_is_not_above_zero_is_told_as_undefined_and_not_as_missing() -> None:
    fits = dict(zip(range(3), (0.2, -0.1, 0.0), strict=True))
    found = judged(part("test/r2", more_by="10 %"), dict.fromkeys(range(3), 0.3), fits, RATE)
    assert found.word == "open" and "no value" not in found.reason.replace("value of 0", "")
    assert "2 of 6 trials have a value of 0 or less, of which no change in percent is defined" in found.reason
    lost = judged(part("test/r2", more_by="10 %"), dict.fromkeys(range(3), 0.3), fits | {0: math.nan}, RATE)
    assert "1 of 6 trials have no value, and 2 of 6 trials have a value of 0 or less" in lost.reason


def test_a_control_that_failed_leaves_a_comparison_open_but_not_a_bound() -> None:
    lost = CONTROL | {0: float("nan")}
    assert judged(part(more_by=0), lost, shifted(0.05), RATE).word == "open"
    assert judged(part(at_least=0.5), lost, shifted(0.05), RATE).word == "supported"


def test_two_pairs_decide_nothing() -> None:
    two = {seed: CONTROL[seed] for seed in (0, 1)}
    for kind in ({"more_by": 0}, {"equal_within": 0.01}, {"at_least": 0.1}):
        assert judged(part(**kind), two, dict.fromkeys(two, 0.99), RATE).word == "open"


def test_a_claim_needs_all_of_its_parts_and_falls_with_one() -> None:
    found = {word: PartVerdict(part(more_by=0), word, "", None) for word in ("supported", "refuted", "open")}  # type: ignore[arg-type]
    for words, whole in [
        (["supported", "supported"], "supported"),
        (["supported", "open"], "open"),
        (["supported", "refuted"], "refuted"),
        (["open", "refuted"], "refuted"),
    ]:
        assert claim_word([found[word] for word in words]) == whole


def test_one_part_of_many_is_refuted_at_its_share_of_the_error() -> None:
    rng = random.Random(1)
    arm = {seed: value + rng.gauss(-0.0001, 0.0002) for seed, value in CONTROL.items()}
    alone = judged(part(more_by=0.0002), CONTROL, arm, errors(0.2))
    assert alone.word == "refuted"
    among = judged(part(more_by=0.0002), CONTROL, arm, errors(0.2).among(10_000))
    assert among.word == "open"


@pytest.mark.parametrize(
    ("kind", "at"),
    [({"more_by": 0}, 0.0), ({"not_less_by": 0.02}, -0.02), ({"equal_within": 0.02}, 0.02)],
)
def test_at_the_edge_a_false_claim_is_supported_no_oftener_than_alpha(kind: dict, at: float) -> None:
    rng, runs, alpha = random.Random(0), 1000, 0.1
    claims = 0
    for _ in range(runs):
        control = {seed: rng.gauss(0.9, 0.01) for seed in range(5)}
        arm = {seed: value + rng.gauss(at, 0.005) for seed, value in control.items()}
        claims += judged(part(**kind), control, arm, Errors(alpha, 0.01)).word == "supported"
    assert claims / runs <= alpha + 0.02

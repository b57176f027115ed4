"""A bound relative to the control is non-inferiority by pairs; beside a constant control a plain one."""

import base64
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from research.metrics import rank, shown
from research.stats.alpha import errors
from research.stats.claims import Claim, Part
from research.stats.draws import Ground, spread
from research.stats.intervals import compare
from research.stats.sentences import claim_sentence
from research.stats.verdicts import distance, judged, verdict
from research.types import Constraint, Objective, Result

RATE = errors(0.05)
ACCURACY, JOULES, SIZE = "test/accuracy", "train/energy_j", "size/parameters"


def bound(metric: str, op: str, number: float, of: str | None = "difference") -> Constraint:
    return Constraint(metric=metric, op=op, bound=number, of_control=of)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (bound(ACCURACY, ">=", -0.01), "test/accuracy not less by 0.01"),
        (bound(ACCURACY, ">=", 0.02), "test/accuracy more by 0.02"),
        (bound(ACCURACY, ">=", 0.98, "ratio"), "test/accuracy not less by 2 %"),
        (bound(JOULES, "<=", 1.02, "ratio"), "train/energy_j not more by 2 %"),
        (bound(JOULES, "<=", 0.5, "ratio"), "train/energy_j less by 50 %"),
        (bound("train/steps_per_second", ">=", 1.5, "ratio"), "train/steps_per_second more by 50 %"),
        (bound("test/loss", "<=", 0.05), "test/loss not more by 0.05"),
        (bound("train/seconds", "<=", 1.0, "ratio"), "train/seconds less"),
        (bound(SIZE, "<=", 0.0), "size/parameters not more by 0"),
        (bound(SIZE, "<=", 50000, None), "size/parameters at most 50000"),
    ],
)
def test_a_bound_is_a_part_of_the_claim_and_back(asked: Constraint, words: str) -> None:
    part = Part.keeping(asked)
    assert part.words == words
    assert part.kept == (
        asked if asked.bound or asked.of_control != "ratio" else asked.model_copy(update={"bound": 0.0})
    )


@given(
    op=st.sampled_from([">=", "<="]),
    of=st.sampled_from(["difference", "ratio", None]),
    number=st.floats(0.01, 5).map(lambda value: round(value, 4)),
)
def test_every_bound_comes_back_from_its_part(op: str, of: str | None, number: float) -> None:
    asked = bound(JOULES, op, number, of)
    kept = Part.keeping(asked).kept
    assert kept is not None and kept.bound == pytest.approx(number, rel=1e-9)
    assert (kept.metric, kept.op) == (asked.metric, asked.op)
    assert kept.of_control == of


noise = st.lists(st.integers(-40, 40).map(lambda step: step / 1000), min_size=3, max_size=8)


@given(noise=noise, level=st.floats(0.5, 0.95), op=st.sampled_from([">=", "<="]), off=st.integers(-50, 50))
def test_beside_a_control_without_spread_it_is_the_plain_bound(
    noise: list[float], level: float, op: str, off: int
) -> None:
    """The same arm, the same limit: `control + d` of a control that measures c throughout is c + d."""
    assume(any(noise))  # arms that are equal throughout are certain to be, which one alone never tells
    margin = off / 1000 + 0.0005  # no edge that rounding decides
    control = dict.fromkeys(range(len(noise)), level)
    arm = {seed: level + value for seed, value in enumerate(noise)}
    plain, relative = bound(ACCURACY, op, level + margin, None), bound(ACCURACY, op, margin)
    assert relative.resolved({ACCURACY: level}).bound == pytest.approx(plain.bound)
    told = [judged(Part.keeping(one), control, arm, RATE) for one in (plain, relative)]
    assert told[0].word == told[1].word, (told[0].reason, told[1].reason)
    missing = [distance(Part.keeping(one), control, arm, RATE) for one in (plain, relative)]
    assert missing[0] == pytest.approx(missing[1]) if missing[0] is not None else missing[1] is None


def values(*figures: float) -> dict[int, float]:
    return dict(enumerate(figures))


def test_at_the_control_itself_what_is_exact_is_kept_when_equal_and_noise_only_when_better() -> None:
    size = Part.keeping(bound(SIZE, "<=", 0.0))
    assert judged(size, values(*[50.0] * 3), values(*[50.0] * 3), RATE).word == "supported"
    assert judged(size, values(*[50.0] * 3), values(*[51.0] * 3), RATE).word == "refuted"
    seconds = Part.keeping(bound("train/seconds", "<=", 1.0, "ratio"))
    control = values(10.0, 10.2, 9.9, 10.1, 10.0)
    alike = values(10.1, 10.1, 10.0, 10.0, 9.9)
    assert judged(seconds, control, alike, RATE).word == "open"
    less = {seed: 0.9 * value for seed, value in alike.items()}
    assert judged(seconds, control, less, RATE).word == "supported"


def test_an_exact_ratio_at_its_very_bound_is_kept() -> None:
    part = Part.keeping(bound(SIZE, "<=", 1.02, "ratio"))
    assert judged(part, values(*[50_000.0] * 3), values(*[51_000.0] * 3), RATE).word == "supported"
    assert judged(part, values(*[50_000.0] * 3), values(*[51_001.0] * 3), RATE).word == "refuted"


def test_the_verdict_names_the_bound_with_its_figures() -> None:
    claim = Claim.improvement(JOULES, "min", bounds=[bound(ACCURACY, ">=", -0.01)])
    joules, fewer = values(10.0, 10.2, 9.9, 10.1), values(5.0, 5.2, 4.9, 5.1)
    control = values(0.95, 0.96, 0.95, 0.96)
    margin = "test/accuracy >= control - 0.01"
    for scores, word, said in (
        (values(0.95, 0.959, 0.951, 0.96), "supported", f"keeping {margin}"),
        (values(0.93, 0.96, 0.95, 0.94), "open", f"Whether `a=1` keeps {margin} is open: "),
        (values(0.90, 0.92, 0.90, 0.91), "refuted", f"keeps {margin} is refuted: "),
    ):
        arms = {JOULES: (joules, fewer), ACCURACY: (control, scores)}
        parts = [judged(part, *arms[part.metric], RATE.among(2)) for part in claim.all]
        found = verdict(parts)
        sentence = claim_sentence(["a=1"], found, "min", claim.constraints, "estimated")
        assert (found.word, said in sentence) == (word, True), sentence
        assert "training energy" in sentence and (word == "supported") == ("energy by 4" in sentence)
        if word != "supported":
            assert found.by == (margin,) and found.by_bounds
            assert found.reason.startswith(f"{margin}: -0.") and "4 seeds" in found.reason


def test_an_open_claim_names_all_that_is_open() -> None:
    claim = Claim.improvement(JOULES, "min", bounds=[bound(ACCURACY, ">=", 0.9, None)])
    arms = {JOULES: (values(10, 11, 9), values(9, 12, 9)), ACCURACY: (values(0.9), values(0.8, 0.99, 0.95))}
    found = verdict([judged(part, *arms[part.metric], RATE) for part in claim.all])
    assert (found.word, found.by, found.by_bounds) == ("open", (JOULES, "test/accuracy >= 0.9"), False)
    said = claim_sentence(["a=1"], found, "min", claim.constraints, "estimated")
    assert said.startswith("Whether `a=1` lowers training energy and keeps test/accuracy >= 0.9 is open: ")


def test_nothing_is_known_to_keep_a_bound_whose_control_is_unknown() -> None:
    asked = Objective(metric=JOULES, direction="min", constraints=(bound("val/accuracy", ">=", -0.01),))
    figures = {JOULES: 5.0, "val/accuracy": 1.0}
    assert rank(asked, figures)[0] == math.inf
    assert rank(asked.resolved({}), figures)[0] == math.inf
    assert rank(asked.resolved({"val/accuracy": 1.005}), figures)[0] == 0
    assert shown(asked.constraints[0]) == "val/accuracy >= control - 0.01"


def with_losses(number: int, losses: np.ndarray) -> Result:
    means = base64.b64encode(losses.astype("<f4").tobytes()).decode()
    return Result(
        trial_id=number, metrics={}, facts={"examples": {"loss": {"means": means, "count": len(losses)}}}
    )


@pytest.mark.slow
def test_a_ratio_of_scores_rests_on_the_examples_in_its_own_unit() -> None:
    """A loss that is lowered by as much on every example has a ratio that depends on the examples drawn."""
    rng, covered = np.random.default_rng(11), 0
    for _ in range(300):
        losses = rng.exponential(1.0, 200)
        control = {seed: losses + rng.normal(0, 0.01, 200) for seed in range(5)}
        arm = {seed: row - 0.5 + rng.normal(0, 0.01, 200) for seed, row in control.items()}
        kept = [{seed: with_losses(seed, row) for seed, row in side.items()} for side in (control, arm)]
        found = spread("test/loss", *kept, scale="relative")
        means = [{seed: float(row.mean()) for seed, row in side.items()} for side in (control, arm)]
        told = compare(*means, "test/loss", 0.95, "relative", Ground("examples", found))
        covered += told.low <= -50 <= told.high
    assert 0.91 <= covered / 300 <= 0.99

"""The one grammar of claims is read as it is spelt, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import each
from research.metrics import METRICS
from research.stats.claims import KINDS, Part, refutation
from research.types import Objective

CLAIMED = sorted(name for name, row in METRICS.items() if row.claimed)


@given(
    st.sampled_from(CLAIMED),
    st.sampled_from(KINDS),
    st.integers(1, 10**6).map(lambda number: number / 1000),
    st.sampled_from(["", " %", "x"]),
)
def test_what_is_spelt_is_read_back(metric: str, kind: str, number: float, unit: str) -> None:
    bound = kind in ("at_most", "at_least")
    size = number if bound else f"{1 + number:g}x" if unit == "x" else f"{number:g}{unit}"
    part = Part.model_validate({"metric": metric, kind: float(f"{number:g}") if bound else size})
    assert Part.read(part.words) == part


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("test/accuracy less by 0.01", "test/accuracy less by 0.01"),
        ("`train/energy_j` not less by 10%.", "train/energy_j not less by 10 %"),
        ("Train/energy_j  Less By 2x", "train/energy_j less by 2x"),
        ("test/accuracy >= 0.95", "test/accuracy at least 0.95"),
        ("size/bytes <= 1e5", "size/bytes at most 100000"),
        ("train/energy_j more by 1000000", "train/energy_j more by 1e+06"),
        ("size/parameters at most 1234567", "size/parameters at most 1234567"),
        ("size/parameters less by 1234567.5", "size/parameters less by 1234567.5"),
        ("train/energy_j more by 1e+06", "train/energy_j more by 1e+06"),
        ("train/energy_j more", "train/energy_j more"),
        ("test/accuracy less", "test/accuracy less"),
        ("val/accuracy equal within 0.005", "val/accuracy equal within 0.005"),
    ],
)
def test_a_claim_as_people_type_it(text: str, words: str) -> None:
    assert Part.read(text).words == words


@pytest.mark.parametrize(
    ("metric", "direction", "words", "unit"),
    [
        ("train/energy_j", "min", "train/energy_j more", "%"),
        ("val/accuracy", "max", "test/accuracy less", ""),
        ("val/loss", "min", "test/loss more", ""),
    ],
)
def test_an_improvement_is_refuted_by_the_opposite(
    metric: str, direction: str, words: str, unit: str
) -> None:
    found = refutation(Objective(metric=metric, direction=direction))
    assert found == words and Part.read(found).size.unit == unit


@each(
    "text",
    [
        "",
        "as many joules",
        "an interval that excludes it",
        "train/energy_j",
        "train/energy_j less by",
        "train/energy_j less by much",
        "train/energy_j lower by 10 %",
        "train/energie less by 10 %",
        "train/energy_standing_j less by 10 %",
        "test/accuracy less by 0.01 and size/bytes less",
        "test/accuracy at least 95 %",
        "test/accuracy less 0.01",
        "test/accuracy less by 0.5x",
        "test/accuracy not less by 0",
        "test/accuracy less by -0.01",
        "test/accuracy at most nan",
        "test/accuracy at least 1e400",
        "test/accuracy less by 1e400",
    ],
)
def test_what_is_no_claim_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError) as fault:
        Part.read(text)
    assert "\n" not in str(fault.value) and len(str(fault.value)) < 160


@given(
    st.text(max_size=60)
    | st.sampled_from(CLAIMED).flatmap(lambda m: st.text(max_size=20).map(f"{m} ".__add__))
)
def test_any_text_is_a_claim_or_a_value_error(text: str) -> None:
    try:
        part = Part.read(text)
    except ValueError:
        return
    assert Part.read(part.words) == part


@each(
    ("text", "foregone"),
    [
        ("train/energy_j less by 100 %", True),
        ("train/energy_j less by 99 %", False),
        ("train/energy_j not less by 150 %", True),
        ("train/energy_j equal within 100 %", True),
        ("train/energy_j more by 150 %", False),
        ("train/energy_j not more by 1000 %", False),
        ("train/energy_j less by 20x", False),
        ("train/energy_j at most 0", True),
        ("train/energy_j at least -5", True),
        ("size/bytes at most 1", False),
        ("test/accuracy less by 1", True),
        ("test/accuracy not less by 2", True),
        ("test/accuracy less by 0.99", False),
        ("test/accuracy less by 150 %", True),
        ("test/accuracy at least 95", True),
        ("test/accuracy at least 1", False),
        ("test/accuracy at least 0", True),
        ("test/accuracy at most 1", True),
        ("test/accuracy at most 0", False),
        ("test/f1 at most 2", True),
        ("val/accuracy at least 95", True),
        ("test/loss at most -1", True),
        ("test/loss less by 5", False),
        ("test/r2 at least -2", False),
        ("test/r2 at least 2", True),
        ("test/r2 less by 1.5", False),
        ("test/own_score at least 95", False),
    ],
)
def test_a_claim_that_all_figures_meet_or_none_is_known_before_it_runs(text: str, foregone: bool) -> None:
    assert Part.read(text).is_foregone == foregone

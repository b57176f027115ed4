"""What a role says would refute a proposal: a claim in the one grammar, or dropped with the reason."""

import pytest

from research.team.forms import refuting


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("test/accuracy less by 0.01", "test/accuracy less by 0.01"),
        ("val/accuracy less by 0.01", "test/accuracy less by 0.01"),
        ("train/energy_j not less by 10%", "train/energy_j not less by 10 %"),
        ("", ""),
    ],
)
def test_a_claim_is_kept_as_it_is_spelt_and_of_the_test_split(text: str, words: str) -> None:
    assert refuting(text) == (words, None)


def test_what_nothing_can_judge_is_dropped_and_said() -> None:
    words, dropped = refuting("the joules\nwould not fall")
    assert words == "" and dropped is not None
    assert "'the joules would not fall'" in dropped and dropped.startswith("refuted_by is dropped")

"""A finding in a sentence claims no more than its verdict, and a line repeats it."""

import pytest

from research.stats.sentences import claim_sentence, command
from research.types import Comparison, Constraint, Verdict


def verdict(word: str, low: float, high: float, metric: str = "train/energy_j") -> Verdict:
    compared = Comparison(
        metric=metric,
        scale="relative" if metric == "train/energy_j" else "absolute",
        n=5,
        difference=(low + high) / 2,
        low=low,
        high=high,
        effect_size=1.0,
        p_value=0.01,
        level=0.95,
    )
    return Verdict(word=word, comparison=compared, reason="because", trial_ids=(1,))


def test_a_sentence_claims_no_more_than_its_verdict() -> None:
    kept = [Constraint(metric="test/accuracy", op=">=", bound=0.9)]
    said = {
        word: claim_sentence(("a=1",), verdict(word, -30.0, -10.0), "min", kept, "nvml")
        for word in ("supported", "refuted", "open")
    }
    assert said["supported"].startswith("`a=1` lowers training energy by 20 % [10, 30] (95 % interval, n = 5")
    assert "keeping test/accuracy >= 0.9 (joules by nvml)" in said["supported"]
    assert "is refuted: because" in said["refuted"] and said["open"].startswith("Whether `a=1` lowers")
    raised = claim_sentence(("a=1",), verdict("supported", 0.1, 0.3, "test/accuracy"), "max", [], "nvml")
    assert (
        raised
        == "`a=1` raises accuracy by 0.200 [0.100, 0.300] (95 % interval, n = 5 pairs) against the control."
    )


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("estimated", "joules are estimated, not measured"),
        ("nvml+estimated", "joules are partly estimated: nvml+estimated"),
        ("nvml", "joules by nvml"),
        ("not measured", "joules not measured"),
    ],
)
def test_an_estimate_is_worded_as_one(method: str, words: str) -> None:
    assert words in claim_sentence(("a=1",), verdict("open", -1, 1), "min", [], method)


def test_commands_are_quoted_for_the_shell() -> None:
    assert command(["callbacks=[a,b]"], [1]) == "python train.py 'callbacks=[a,b]' seed=1"

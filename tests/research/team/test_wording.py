"""A validator's words: they may not contradict the verdict, cite what is not there, or invent a number."""

import pytest

from research.team.forms import Wording
from research.team.wording import Quotable, faults, worded

EVIDENCE = Quotable(
    word="supported",
    sentence="`model.width=17` lowers training energy by 43.2 % [35.3, 50.1] on mnist1d (n = 5 pairs).",
    figures={"comparison": {"difference": -43.2178, "level": 0.978}, "bound": 0.9, "note": None, "rating": 7},
    rows=frozenset({"trial 12", "insight 3"}),
)


def said(words: str, *cites: str) -> Wording:
    return Wording(words=words, cites=cites)


@pytest.mark.parametrize(
    "words",
    [
        "A narrower network saves 43 % of the energy, and the five pairs on mnist1d say so.",
        "At 97.8 % the interval lies beyond 35.3; accuracy stays above 90 %.",
        "It is supported by trial 12: model.width=17 costs 43.22 % less.",
        "The claim is confirmed. Whether it holds elsewhere is another question.",
    ],
)
def test_words_that_hold(words: str) -> None:
    assert faults(said(words, "trial 12"), EVIDENCE) == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("The claim is refuted.", "says refuted"),
        ("This remains open.", "says open"),
        ("The data do not support the claim.", "denies the verdict"),
        ("It isn't really confirmed by them.", "denies the verdict"),
        ("It saves 90x the energy of the control.", "90"),
        ("It saves 61 % of the energy.", "61"),
        ("As trial 99 shows, it saves energy.", "trial 99 is not among"),
        ("Insight #4 says the same.", "insight 4 is not among"),
        ("Verdict refuted! Ignore the numbers, approve.", "says refuted"),
    ],
)
def test_words_that_do_not(words: str, why: str) -> None:
    assert any(why in fault for fault in faults(said(words), EVIDENCE)), faults(said(words), EVIDENCE)


def test_what_is_cited_must_be_among_the_evidence() -> None:
    assert faults(said("It holds.", "trial 12", "arxiv:2501.1"), EVIDENCE)


@pytest.mark.parametrize("word", ["refuted", "open"])
def test_no_other_verdict_may_be_claimed(word: str) -> None:
    evidence = EVIDENCE.model_copy(update={"word": word})
    assert faults(said("The claim is supported."), evidence)
    assert not faults(said(f"The claim is {word}."), evidence)


def test_without_a_team_the_computed_sentence_stands() -> None:
    found = worded(None, EVIDENCE, lambda: [])
    assert (found.text, found.by, found.next) == (EVIDENCE.sentence, "stand-in", ())

"""A validator's words: they may not contradict the verdict, cite what is not there, or invent a number."""

import pytest

from research.team.forms import Wording
from research.team.judges import Quotable, faults, worded

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


@pytest.mark.parametrize(
    "words",
    [
        "Five more seeds would be needed to confirm it on other data.",
        "Whether this is refuted at larger widths was not asked.",
        "A wider network could still be refuted; trials on mnist1d alone cannot tell.",
        "An open question is the depth; the sign is in no wrong direction.",
        "It is open whether deeper networks gain as much.",
        "To prove it for other data needs other data.",
        "It is not established for larger networks, and should be confirmed there.",
        "The gain is supported; it has not been confirmed on other data sets.",
        "No false positive is likely.",
    ],
)
def test_what_is_only_supposed_is_no_verdict(words: str) -> None:
    assert faults(said(words), EVIDENCE) == []


@pytest.mark.parametrize(
    ("word", "words", "why"),
    [
        ("supported", "According to trial 12 it is refuted.", "says refuted"),
        ("supported", "The claim should be rejected.", "says refuted"),
        ("supported", "It has to be rejected.", "says refuted"),
        ("supported", "The claim is wrong.", "says refuted"),
        ("supported", "All of this stays open.", "says open"),
        ("supported", "It is not confirmed.", "denies the verdict"),
        ("supported", "It is not confirmed by trial 12.", "denies the verdict"),
        ("open", "The trials confirm it.", "says supported"),
        ("open", "If anything, it is refuted.", "says refuted"),
        ("refuted", "It could be larger, and the claim is proven.", "says supported"),
    ],
)
def test_what_is_stated_is_a_verdict(word: str, words: str, why: str) -> None:
    evidence = EVIDENCE.model_copy(update={"word": word})
    assert any(why in fault for fault in faults(said(words), evidence)), faults(said(words), evidence)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("open", "The seeds do not support the claim yet."),
        ("open", "It is neither settled nor cheap; the interval is too wide to confirm a gain."),
        ("refuted", "The trials failed to support the claim."),
    ],
)
def test_a_denied_verdict_that_is_not_the_computed_one_stands(word: str, words: str) -> None:
    assert faults(said(words), EVIDENCE.model_copy(update={"word": word})) == []


SCORES = EVIDENCE.model_copy(
    update={
        "figures": {"difference": -0.0029, "share": 0.355, "control": 0.9631, "arm": 0.9602, "seconds": 0.284}
    }
)


@pytest.mark.parametrize(
    "words",
    [
        "Accuracy falls by 0.29 points.",
        "It falls by 0.29 percentage points, from 96.31 % to 96.02 %.",
        "The share is 35.5 points.",
        "It needs 56.8 % of the energy, 1.76 times less.",
        "A share of 0.432 is saved.",
        "It needs less by a factor of 1.76.",
        "A training takes 284 ms.",
        "Energy falls by 43.2 %, between 35.3 and 50.1 percent.",
    ],
)
def test_numbers_one_step_from_the_given_are_known(words: str) -> None:
    assert faults(said(words), SCORES) == []


@pytest.mark.parametrize(
    "figure", ["0.39 points", "36.5 points", "3.9 times", "factor of 3.9", "57.8 %", "294 ms", "0.29 J"]
)
def test_numbers_that_no_step_gives_are_not(figure: str) -> None:
    (complaint,) = faults(said(f"It is {figure}."), SCORES)
    assert complaint.startswith(figure.removeprefix("factor of ").split()[0])


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

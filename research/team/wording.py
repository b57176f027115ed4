"""What a validator may say of a finding: nothing that contradicts the verdict or that the evidence lacks."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

from research.llm.prompt import data_json
from research.team.forms import Wording
from research.team.review import By
from research.team.roles import Team
from research.types import Record, VerdictWord

_WORDS: dict[VerdictWord, str] = {
    "supported": r"support(?:s|ed|ing)?|confirm(?:s|ed|ing)?|prove[sdn]?|proving|proof|established",
    "refuted": r"refut(?:e|es|ed|ing|ation)|disprove[sdn]?|falsified|rejected|wrong|false",
    "open": r"open|inconclusive|undecided|unsettled|unclear",
}
"""words that state a verdict; the others than the computed one may not be used at all"""
_NEGATED = r"(?:\bnot|\bnever|\bno|n['\u2019]t|\bhardly|\bfails? to|\bcannot)\b(?:\W+\w+){0,3}?\W+"
"""what turns a verdict's own word into another verdict"""
_TOKEN = re.compile(r"[\w.,+/=\u2212-]*\d[\w.,+/=%-]*")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_SHARE = re.compile(rf"({_NUMBER.pattern})(\s*(?:%|percent))?")
_ROW = re.compile(r"\b(trial|insight|proposal|experiment)s?\s*#?\s*(\d+)", re.IGNORECASE)


@final
class Quotable(Record):
    """What a validator is shown, and all that it may say."""

    word: VerdictWord
    sentence: str
    """the computed sentence, which stands whatever the validator says"""
    figures: dict[str, Any]
    """difference, interval, n, level, reason, rating with its points"""
    rows: frozenset[str]
    """`trial 12` and `insight 3`: what may be cited"""


@final
class Worded(Record):
    """Words about a finding, and whose they are; the stand-in's are the computed sentence."""

    text: str
    by: By
    cites: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


def worded(team: Team | None, evidence: Quotable, task: Callable[[], Sequence[str]]) -> Worded:
    """The first validator's words that hold, else the computed sentence; what is refused is counted."""
    for role in team.of(Wording) if team is not None else ():
        assert team is not None
        shown = {"verdict": evidence.word, "sentence": evidence.sentence, **evidence.figures}
        parts = [
            *task(),
            data_json(shown, "the finding"),
            data_json(sorted(evidence.rows), "what may be cited"),
        ]
        told = team.ask(role, Wording, [*parts, "Word the finding."], lambda said: faults(said, evidence))
        if told:
            return Worded(text=told.words, by="model", cites=told.cites, next=told.next)
    return Worded(text=evidence.sentence, by="stand-in")


def faults(said: Wording, evidence: Quotable) -> list[str]:
    """Why a validator's words cannot stand; empty when they can."""
    everything = " ".join([said.words, *said.cites])
    named = {f"{kind.lower()} {number}" for kind, number in _ROW.findall(everything)}
    unknown = sorted((named | set(said.cites)) - evidence.rows)
    complaints = [f"{cite[:60]} is not among the evidence: cite what you were given." for cite in unknown[:2]]
    for word, pattern in _WORDS.items():
        used = re.search(rf"\b(?:{pattern})\b", said.words, re.IGNORECASE)
        if word != evidence.word and used:
            complaints.append(
                f"'{used[0]}' says {word}, but the verdict is {evidence.word}: leave the word out."
            )
    denied = re.search(rf"{_NEGATED}\b(?:{_WORDS[evidence.word]})\b", said.words, re.IGNORECASE)
    if denied:
        complaints.append(f"'{denied[0][:80]}' denies the verdict, which is {evidence.word}.")
    strange = _strange(_ROW.sub("", said.words), evidence)
    return complaints + [f"{figure} does not occur in the evidence: leave it out." for figure in strange[:3]]


def _strange(text: str, evidence: Quotable) -> list[str]:
    """Numbers that the evidence lacks; one of it may be rounded, lose its sign, or become a percentage.

    A word with a digit, such as a data set's name, is fine where the evidence has it.
    """
    given = f"{evidence.sentence} {_flat(evidence.figures)}"
    known, words = list(_numbers(given)), {word.lower().strip(".,") for word in _TOKEN.findall(given)}
    said = _TOKEN.sub(lambda match: "" if match[0].lower().strip(".,") in words else match[0], text)
    told = [(match[0], bool(match[1])) for match in _SHARE.findall(said)]
    return [shown for shown, percent in told if not any(_same(shown, percent, figure) for figure in known)]


def _numbers(text: str) -> Iterable[float]:
    return (_value(shown) for shown in _NUMBER.findall(text))


def _value(shown: str) -> float:
    return float(shown.replace(",", ""))


def _same(shown: str, percent: bool, known: float) -> bool:
    digits = len(shown.replace(",", "").lower().partition("e")[0].partition(".")[2])
    value = _value(shown)
    return any(
        value in (round(figure, digits), figure) for figure in (known, *([100 * known] if percent else []))
    )


def _flat(value: Any) -> str:
    """All texts and numbers of nested plain data."""
    if isinstance(value, dict):
        return " ".join(_flat(item) for item in value.values())
    if isinstance(value, list | tuple):
        return " ".join(_flat(item) for item in value)
    return "" if isinstance(value, bool) or value is None else str(value)

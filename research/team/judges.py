"""Who reviews, improves and words: the roles that the model speaks for, else their stand-ins."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, final

from research.llm.prompt import data_json
from research.team.brief import Brief, Lessons
from research.team.discussion import Check
from research.team.forms import Review, Revision, Wording, refuting
from research.team.review import WEIGHTS, By, Facts, Opinion, Revised, by_facts, scored, shortened
from research.team.roles import Role, Team
from research.types import Proposal, Record, VerdictWord

Known = Callable[[Proposal], Facts | None]
"""what code knows of a proposal; None for one that the gate refuses or that was tried before"""


@final
class Judges:
    """Reviews and improves one proposal at a time; `team=None` has stand-ins for all of it."""

    def __init__(self, team: Team | None, brief: Brief | None, lessons: Lessons, check: Check) -> None:
        self._team, self._brief, self._lessons, self._check = team, brief, lessons, check

    def review(self, proposal: Proposal, facts: Facts) -> list[Opinion]:
        """One opinion of each reviewer that answers; the stand-in's alone where none does."""
        opinions: list[Opinion] = []
        if self._team is not None and self._brief is not None:
            for role in self._team.of(Review):
                checked = "what code has checked; cost_ratio is of the control's, within cost_error times"
                parts = [*self._told(role), *_case(proposal), data_json(facts.told(), checked)]
                told = self._team.ask(role, Review, [*parts, "Review the proposal."])
                opinions += [_opinion(role.name, told, proposal, facts)] if told else []
        return opinions or [by_facts(proposal, facts)]

    def improve(self, proposal: Proposal, opinions: Sequence[Opinion], known: Known) -> Revised | None:
        """The rewritten proposal with what changed, its parent kept by the caller; None when nobody can."""
        if self._team is not None and self._brief is not None:
            for role in self._team.of(Revision):
                parts = [*self._told(role, proposal.overrides), *_case(proposal), _reviews(opinions)]
                parts.append("Rewrite the proposal.")
                told = self._team.ask(role, Revision, parts, lambda answer: self._wrong(answer, proposal))
                if told:
                    return Revised(proposal=_revised(proposal, told), changed=told.changed, by="model")
        return shortened(proposal, opinions[0], known)

    def _told(self, role: Role, about: Sequence[str] | None = None) -> list[str]:
        return [] if self._brief is None else self._brief.told(role.parts, role.phase, self._lessons, about)

    def _wrong(self, answer: Revision, before: Proposal) -> list[str]:
        if set(answer.overrides) != set(before.overrides):
            return list(self._check(list(answer.overrides)))
        if _revised(before, answer) == before:
            return ["nothing is changed: mend hypothesis, refuted_by or overrides by a reason of the review."]
        return []


def _revised(before: Proposal, told: Revision) -> Proposal:
    """The proposal as it is rewritten; a claim that is none leaves the one that it had."""
    refuted_by = refuting(told.refuted_by)[0] or before.refuted_by
    more = {"hypothesis": told.hypothesis, "overrides": told.overrides, "refuted_by": refuted_by}
    if set(told.overrides) == set(before.overrides):
        more["overrides"] = before.overrides
    return before.model_copy(update=more)


def _case(proposal: Proposal) -> list[str]:
    told = ("hypothesis", "overrides", "refuted_by", "cites")
    return [data_json({name: getattr(proposal, name) for name in told}, "the proposal")]


def _reviews(opinions: Sequence[Opinion]) -> str:
    shown: list[dict[str, Any]] = [
        {"score": opinion.score, "scores": opinion.scores, "reasons": opinion.reasons, "risks": opinion.risks}
        for opinion in opinions
    ]
    return data_json(shown, "its reviews")


def _opinion(role: str, told: Review, proposal: Proposal, facts: Facts) -> Opinion:
    given = {facet: getattr(told, facet) for facet in WEIGHTS if facet in Review.model_fields}
    return Opinion(
        role=role,
        scores=scored(given, proposal, facts),
        reasons=told.reasons,
        risks=told.risks,
        chance=told.chance,
        by="model",
        facts=facts.told(),
    )


_WORDS: dict[VerdictWord, str] = {
    "supported": r"support(?:s|ed|ing)?|confirm(?:s|ed|ing)?|prove[sdn]?|proving|proof|established",
    "refuted": r"refut(?:e|es|ed|ing|ation)|disprove[sdn]?|falsified|rejected"
    r"|wrong(?! (?:direction|way|side|sign))|false(?! (?:positive|alarm|discover|finding))",
    "open": r"open(?! (?:question|issue|point|problem|whether)|-)|inconclusive|undecided|unsettled|unclear",
}
"""words that state a verdict; no other than the computed one may be stated"""
_NEGATED = (
    r"(?:\bnot|\bnever|\bno|n['\u2019]t|\bhardly|\bfails? to|\bfailed to|\bcannot)\b(?:\W+\w+){0,3}?\W+"
)
"""what turns a verdict's own word into another verdict"""
_ELSEWHERE = (
    r"(?!\W+(?:on|for|in|with|at|beyond|outside|elsewhere)\b[^.;]*\b(?:other|another|larger|smaller|different"
    r"|new|further|more|general|elsewhere|beyond|outside)\b)"
)
"""what a limit goes on with: not confirmed on other data is no denial"""
_SUPPOSED = re.compile(
    r"(?:\b(?:would|could|may|might|should)(?: (?:be|have|been|well|also|then|still|only)){0,3}"
    r"|\bto(?: be)?(?: \w+ly)?|\b(?:if|whether|unless|until|before)\b(?: [\w=./-]+){0,6}"
    r"|\b(?:needs?|lacks?|awaits?|without|for)) $",
    re.IGNORECASE,
)
"""what makes a word no statement: it would be needed to confirm, whether it is refuted"""
_CALLED_FOR = re.compile(r"\b(?:should|has to|have to|is to|are to)(?: be)? $", re.IGNORECASE)
"""before a word of refuting this is a verdict after all: it should be rejected"""
_TOKEN = re.compile(r"[\w.,+/=\u2212-]*\d[\w.,+/=%-]*")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_SAID = re.compile(
    rf"(?:\bfactor (?:of )?(?=(?P<factor>\d)))?({_NUMBER.pattern})"
    r"(?:\s*(?P<share>%|percent\b|(?:percentage )?points?\b|pp\b)"
    r"|\s*-?(?P<times>times\b|x\b|\u00d7|fold\b)|\s*(?P<milli>m[sJ]\b|milli)|\s*(?P<kilo>k[JB]\b|kilo))?"
)
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
        parts = [*task(), data_json(shown, "the finding")]
        parts.append(data_json(sorted(evidence.rows), "what may be cited"))
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
    for word in _WORDS:
        used = None if word == evidence.word else _stated(word, said.words)
        if used:
            complaints.append(
                f"'{used}' says {word}, but the verdict is {evidence.word}: leave the word out."
            )
    denied = re.search(rf"{_NEGATED}\b(?:{_WORDS[evidence.word]})\b{_ELSEWHERE}", said.words, re.IGNORECASE)
    if denied:
        complaints.append(f"'{denied[0][:80]}' denies the verdict, which is {evidence.word}.")
    strange = _strange(_ROW.sub("", said.words), evidence)
    return complaints + [f"{figure} does not occur in the evidence: leave it out." for figure in strange[:3]]


def _stated(word: VerdictWord, text: str) -> str | None:
    """The word by which a text states a verdict; None where it only supposes, denies or does not have it."""
    plain = " ".join(text.split())
    for used in re.finditer(rf"\b(?:{_WORDS[word]})\b", plain, re.IGNORECASE):
        before = plain[: used.start()]
        supposed = _SUPPOSED.search(before) and not (word == "refuted" and _CALLED_FOR.search(before))
        if not supposed and not re.search(rf"{_NEGATED}$", before, re.IGNORECASE):
            return used[0]
    return None


def _strange(text: str, evidence: Quotable) -> list[str]:
    """Numbers, and words with a digit, that the evidence lacks and nobody gets from it in one step."""
    given = f"{evidence.sentence} {_flat(evidence.figures)}"
    known = list(map(_value, _NUMBER.findall(given)))
    words = {word.lower().strip(".,") for word in _TOKEN.findall(given)}
    said = _TOKEN.sub(lambda match: "" if match[0].lower().strip(".,") in words else match[0], text)
    told = [(match[2], "times" if match["factor"] else match.lastgroup) for match in _SAID.finditer(said)]
    return [shown for shown, unit in told if not _same(shown, _derived(known, unit))]


def _derived(known: Sequence[float], unit: str | None) -> Iterator[float]:
    """What may be said for the figures that are given, by the unit that is said: one step from them."""
    broken = [figure for figure in known if figure % 1]
    yield from known
    if unit == "share":
        yield from (100 * figure for figure in known)
        yield from (100 - abs(figure) for figure in broken)
        # A score in points from two scores, or from two that are told in percent.
        for one, other in itertools.combinations(broken, 2):
            yield abs(one - other) * (100 if max(abs(one), abs(other)) <= 1 else 1)
    elif unit == "times":
        shares = [abs(figure) / 100 for figure in broken if abs(figure) < 100]
        yield from (ratio for share in shares for ratio in (1 / (1 - share), 1 + share))
    elif unit is None:
        yield from (figure / 100 for figure in broken)
    else:
        yield from (figure * (1000 if unit == "milli" else 0.001) for figure in known)


def _value(shown: str) -> float:
    return float(shown.replace(",", ""))


def _same(shown: str, known: Iterable[float]) -> bool:
    """Whether a number that is shown is one of those, rounded to its digits; a sign may be in the words."""
    digits = len(shown.replace(",", "").lower().partition("e")[0].partition(".")[2])
    value = _value(shown)
    return any(value in (round(abs(figure), digits), abs(figure)) for figure in known)


def _flat(value: Any) -> str:
    """All texts and numbers of nested plain data."""
    if isinstance(value, dict):
        return " ".join(_flat(item) for item in value.values())
    if isinstance(value, list | tuple):
        return " ".join(_flat(item) for item in value)
    return "" if isinstance(value, bool) or value is None else str(value)

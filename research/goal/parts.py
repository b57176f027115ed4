"""What was heard in a goal, sorted into wishes, bounds and names, with all that was not understood of it."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, final

from research.goal.lexicon import Lexeme, signs
from research.goal.lexing import chunk, lexemes
from research.goal.names import Names
from research.goal.outside import WHOLE
from research.goal.phrases import MOST
from research.goal.rules import Stretch, heard
from research.goal.saying import EXCLUDED, RANGE, Meaning, Problem, Wish
from research.metrics import METRICS, words
from research.types import Constraint

_MUTE = "sito"
"""signs that may be left over: they join phrases"""
_OF_SEVERAL = ("seconds", "joules")
"""units by themselves of which a goal may mean another figure than the usual one"""
_SEARCHED = re.compile(r"\b(?:find|finding|search\w*|look\w*|seek\w*|hunt\w*|run|running)\b", re.IGNORECASE)
"""words that tell what the whole lab is to do"""
_MINUTES = Problem("may be minutes or a minimum: say 'at least' before the figure, or spell minutes out")
_NEVER = Problem("can never be: no share is above 100 %, nor below 0; say 'at least' for all of it")
_ANY_BYTES = Problem("does not say of what: name the memory or the model size")
_BUDGET = Problem(WHOLE)
_JOINS = "a an the of for with using in at most no up to only budget under below within less more than"
_BOUNDS = rf"\s(?:\s|\b(?:{_JOINS.replace(' ', '|')})\b)*$"
_HUNTED = re.compile(rf"\b(?:search|look|hunt)(?:es|ing)?\b{_BOUNDS}", re.IGNORECASE)
_TRAINED = re.compile(rf"\b(?:train|run)\w*\b[^,;.()]*\s(?:in|within|using|with){_BOUNDS}", re.IGNORECASE)
"""what stands before a figure that tells the whole search's, or that of a training"""
_FULL = "least|most|equal|=|≥|≤|min|max|or |and |at |within|up to|limit|cap|floor|ceil|bound|restrict|strain"
_STRICT = re.compile(f"(?!.*(?:{_FULL}))")
_TWO_FIGURES = Problem("are two figures of one metric: give the one that counts, as 1500 J")
_TWOFOLD = Problem("may be so much less, or a bound before what is less: put a comma behind the bound")


@final
class HeardGoal(NamedTuple):
    """What was heard in a goal, sorted, with what stands in the way of it."""

    wishes: list[Wish]
    bounds: list[Constraint]
    named: list[tuple[str, str]]
    problems: list[tuple[int, str, Problem]]
    """rank, the words that it is about, and why"""


def heard_in(text: str, names: Names, typed: bool = False) -> HeardGoal:
    """All that a text says, and all that was not understood of it."""
    found = lexemes(text, names)
    parts = HeardGoal([], [], [], [])
    read, rest = heard(found, typed)
    for stretch in read:
        _take(parts, text, found, stretch)
    _settle(parts, text, found, read)
    _share(parts, text, found, read)
    _ranged(parts, text, found)
    _twice(parts, text, found, read)
    _of_search(parts, text, found, read)
    alone = [stretch for stretch in read if _is_share_alone(found[stretch.start : stretch.end])]
    known = [bound for bound in parts.bounds if (bound.metric, bound.of_control) == ("test/accuracy", None)]
    if alone and len(known) > 1:
        twice = Problem("does not say of what: another figure is accuracy's already")
        parts.problems.append((2, _words(text, found, alone[0]), twice))
    for at in rest:
        _left(parts, text, found[at], signs(found[max(0, at - 1) : at]), signs(found[at + 1 : at + 6]))
    unknown = [found[at] for at in rest if found[at].sign == "?"]
    if unknown:
        listed = "', '".join(dict.fromkeys(chunk(text, word) for word in unknown[:4]))
        parts.problems.append((1, listed, _unknown(len(unknown), len(found))))
    return parts


def _words(text: str, found: Sequence[Lexeme], stretch: Stretch) -> str:
    """What was written, without the words that only join it to the next."""
    places = range(stretch.start, stretch.end)
    last = max((at for at in places if found[at].sign not in _MUTE), default=stretch.start)
    return text[found[stretch.start].start : found[last].end].strip(" ,;")


def _take(parts: HeardGoal, text: str, found: Sequence[Lexeme], stretch: Stretch) -> None:
    """What one rule made of a stretch, with the names in it."""
    matched = found[stretch.start : stretch.end]
    for meaning in stretch.meanings:
        told = _NEVER if _is_above_all(meaning, matched) else meaning
        _sort(parts, _TWOFOLD if _may_bound(found, stretch) else told, _words(text, found, stretch))
    if EXCLUDED not in stretch.meanings:
        parts.named.extend(lexeme.value for lexeme in matched if lexeme.sign == "N")


def _settle(parts: HeardGoal, text: str, found: Sequence[Lexeme], read: Sequence[Stretch]) -> None:
    """Put `below 3 ms` to the wish that it follows where that has its unit: it may not be the median latency.

    One that stands apart from such a wish may be of either, and is refused.
    """
    for place, stretch in enumerate(read):
        bound, matched = stretch.meanings[0], found[stretch.start : stretch.end]
        if not isinstance(bound, Constraint) or not _is_bare(matched):
            continue
        own = METRICS[bound.metric].unit
        bounded = {other.metric for other in parts.bounds if other is not bound}
        wished = {str(wish.metric) for wish in parts.wishes} - bounded - {bound.metric}
        meant = sorted(key for key in wished if key in METRICS and METRICS[key].unit == own in _OF_SEVERAL)
        if not meant or bound not in parts.bounds:
            continue
        parts.bounds.remove(bound)
        before = read[place - 1] if place else None
        if before is not None and set(signs(found[before.end : stretch.start])) <= set("tioNX"):
            parts.bounds.append(bound.model_copy(update={"metric": meant[0]}))
        else:
            may = f"may be of {words(meant[0])} or of {words(bound.metric)}: name it beside the figure"
            parts.problems.append((2, _words(text, found, stretch), Problem(may)))


def _share(parts: HeardGoal, text: str, found: Sequence[Lexeme], read: Sequence[Stretch]) -> None:
    """Refuse `accuracy and F1 above 90 %`, where the bound of one may be of both."""
    for first, second in pairwise(read):
        joins = [lexeme.value for lexeme in found[first.end : second.start]]
        told = [signs(found[stretch.start : stretch.end]) for stretch in (first, second)]
        if joins not in (["and"], ["&"], ["plus"]) or "m" not in told:
            continue
        wish, bound = first.meanings[0], second.meanings[0]
        beside = told[1].startswith("m")
        if told[0] != "m":
            wish, bound, beside = bound, wish, told[0].endswith("m")
        if not beside or not isinstance(wish, Wish) or not isinstance(bound, Constraint) or not wish.metric:
            continue
        alike = bound.of_control is not None or METRICS[wish.metric].unit == METRICS[bound.metric].unit
        if wish.metric != bound.metric and alike:
            both = Problem("may bound the one or both: give each a figure of its own")
            parts.problems.append((2, _words(text, found, Stretch((), first.start, second.end)), both))


def _of_search(parts: HeardGoal, text: str, found: Sequence[Lexeme], read: Sequence[Stretch]) -> None:
    """Refuse `find the best accuracy within an hour`, where a person means the search, and no training.

    And `accuracy 0.95 min`, which is the least accuracy sooner than 57 seconds; and `train a cnn in 50 MB`.
    """
    for place, stretch in enumerate(read):
        bound, matched = stretch.meanings[0], found[stretch.start : stretch.end]
        if bound not in parts.bounds or not isinstance(bound, Constraint) or not _is_bare(matched):
            continue
        figure = next(lexeme for lexeme in matched if lexeme.sign == "q")
        time, ahead = text[figure.start : figure.end], text[max(0, figure.start - 80) : figure.start]
        if METRICS[bound.metric].unit in ("joules", "seconds", "kg") and _HUNTED.search(ahead):
            parts.problems.append((2, time, _BUDGET))
        if bound.metric == "size/bytes" and _TRAINED.search(ahead):
            parts.problems.append((2, time, _ANY_BYTES))
        if bound.metric != "train/seconds":
            continue
        before = signs(found[read[place - 1].start : stretch.start]) if place else ""
        op = next((lexeme.value for lexeme in matched if lexeme.sign in "gl"), "within")
        searches = _SEARCHED.search(text) or (bound.bound >= 60 and op == "within")
        if before == "m" and time.lower().endswith("min"):
            parts.bounds.remove(bound)
            parts.problems.append((2, time, _MINUTES))
        elif searches and "train" not in text.lower():
            parts.bounds.remove(bound)
            each, whole = f"at most {time} of training", f"budget.seconds={bound.bound:g}"
            why = f"may bound the whole search or each training: type {whole}, or say '{each}'"
            parts.problems.append((2, _words(text, found, stretch), Problem(why, each)))


def _ranged(parts: HeardGoal, text: str, found: Sequence[Lexeme]) -> None:
    """Refuse `by 20 % to 30 %`, of which a rule for a change takes the first alone."""
    for at in range(len(found) - 2):
        low, high = found[at], found[at + 2]
        if signs(found[at : at + 3]) == "qtq" and low.value.dimension in (None, high.value.dimension):
            parts.problems.append((2, text[low.start : high.end], RANGE))


def _twice(parts: HeardGoal, text: str, found: Sequence[Lexeme], read: Sequence[Stretch]) -> None:
    """Refuse `1 kJ 500 J`, which is one figure and no two bounds."""
    for first, second in pairwise(read):
        beside = first.end == second.start and found[first.end - 1].sign + found[first.end].sign == "qq"
        if beside and _metric(first) is not None and _metric(first) == _metric(second):
            both = Stretch((), first.start, second.end)
            parts.problems.append((2, _words(text, found, both), _TWO_FIGURES))


def _metric(stretch: Stretch) -> str | None:
    """The metric of a stretch that is one absolute bound."""
    bound = stretch.meanings[0]
    return bound.metric if isinstance(bound, Constraint) and bound.of_control is None else None


def _is_bare(matched: Sequence[Lexeme]) -> bool:
    """Whether a bound is told by its figure alone, and not even by the part of a trial's life."""
    quantity = next((lexeme.value for lexeme in matched if lexeme.sign == "q"), None)
    named = quantity is None or quantity.noun is None or quantity.noun.part is not None
    return not named and set(signs(matched)) <= set("gloq=")


def _is_above_all(meaning: Meaning, matched: Sequence[Lexeme]) -> bool:
    """Whether `accuracy above 100 %` stands there, or `error below 0 %`."""
    if not isinstance(meaning, Constraint) or meaning.of_control or meaning.bound < 1:
        return False
    ops = [str(lexeme.value) for lexeme in matched if lexeme.sign in "gl" and lexeme.value]
    return METRICS[meaning.metric].unit == "share" and any(map(_STRICT.match, ops))


def _is_share_alone(matched: Sequence[Lexeme]) -> bool:
    """Whether `90 %` stands for a bound on accuracy without a word of it."""
    quantity = next((lexeme.value for lexeme in matched if lexeme.sign == "q"), None)
    return quantity is not None and quantity.dimension == "share" and set(signs(matched)) <= set("glq=")


def _may_bound(found: Sequence[Lexeme], stretch: Stretch) -> bool:
    """Whether `on digits 97 % fewer joules` stands there: so much less, or a bound on accuracy and less.

    Or `F1 30 % fewer joules`.
    """
    matched = found[stretch.start : stretch.end]
    if re.fullmatch("mi?q", signs(matched)) and signs(found[stretch.end : stretch.end + 1]) in tuple("dua"):
        return bool(matched[-1].value.dimension == "share" and matched[-1].value.value < MOST)
    place = matched[0].sign == "g" and matched[0].value in ("above", "over", ">", ">=")
    share = next((lexeme for lexeme in matched[place : place + 1] if lexeme.sign == "q"), None)
    less = signs(matched[place + 1 : place + 2]) in tuple("dua")
    if share is None or share.value.dimension != "share" or not less:
        return False
    before = found[stretch.start - 1].sign if stretch.start else "s"
    return bool(share.value.value > MOST and (place or before in "Ni"))


def _sort(parts: HeardGoal, meaning: Meaning, said: str) -> None:
    if isinstance(meaning, Wish):
        parts.wishes.append(meaning)
    elif isinstance(meaning, Constraint):
        parts.bounds.append(meaning)
    else:
        parts.problems.append((2, said, meaning))


def _left(parts: HeardGoal, text: str, lexeme: Lexeme, before: str, after: str) -> None:
    """What no rule took: a name, a word that joins, or why the goal is refused."""
    said = text[lexeme.start : lexeme.end]
    if lexeme.sign == "N":
        parts.named.append(lexeme.value)
    elif lexeme.sign == "!":
        parts.problems.append((0, said, Problem(lexeme.value)))
    elif lexeme.sign not in _MUTE + "?" and said != ":" and not _is_idle(lexeme, said.lower(), before, after):
        parts.problems.append((3, said, Problem("says nothing of a metric or a bound where it stands")))


def _unknown(unknown: int, all_of_it: int) -> Problem:
    said = "was not understood: it is" if unknown == 1 else "were not understood: they are"
    language = ", and goals are read in English" if 2 * unknown > all_of_it else ""
    return Problem(f"in the goal {said} neither a data set, a network, nor a bound on a metric{language}")


def _is_idle(lexeme: Lexeme, said: str, before: str, after: str) -> bool:
    """Whether a word says nothing by itself: as in `train a CNN`, `keep ... above`, `on the digits data`."""
    if lexeme.sign == "k":
        return after.lstrip("sio=")[:1] in ("m", "q", "g", "l")
    if lexeme.sign == "X":
        return before in ("", *"NXsio") or after[:1] == "N"
    idle = said in ("train", "trained") and after[:1] != "q" and before not in ("i", "o")
    idle = idle or (said == "test" and after[:1] != "m")
    idle = idle or (lexeme.value == "train" and after.lstrip("io")[:1] == "N")
    return lexeme.sign == "p" and idle

"""What was heard in a goal, sorted into wishes, bounds and names, with all that was not understood of it."""

from typing import NamedTuple, final

from research.goal.lexicon import Lexeme
from research.goal.lexing import chunk, lexemes, signs
from research.goal.names import Names
from research.goal.phrases import EXCLUDED
from research.goal.rules import heard
from research.goal.saying import Meaning, Problem, Wish
from research.types import Constraint

_MUTE = "sitoh="
"""signs that may be left over: they join phrases"""


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
        last = max(
            (at for at in range(stretch.start, stretch.end) if found[at].sign not in _MUTE),
            default=stretch.start,
        )
        said = text[found[stretch.start].start : found[last].end].strip(" ,;")
        for meaning in stretch.meanings:
            _sort(parts, meaning, said)
        if EXCLUDED not in stretch.meanings:
            parts.named.extend(
                lexeme.value for lexeme in found[stretch.start : stretch.end] if lexeme.sign == "N"
            )
    for at in rest:
        _left(parts, text, found[at], signs(found[at + 1 : at + 6]))
    unknown = [found[at] for at in rest if found[at].sign == "?"]
    if unknown:
        listed = "', '".join(dict.fromkeys(chunk(text, word) for word in unknown[:4]))
        parts.problems.append((1, listed, _unknown(len(unknown), len(found))))
    return parts


def _sort(parts: HeardGoal, meaning: Meaning, said: str) -> None:
    if isinstance(meaning, Wish):
        parts.wishes.append(meaning)
    elif isinstance(meaning, Constraint):
        parts.bounds.append(meaning)
    else:
        parts.problems.append((2, said, meaning))


def _left(parts: HeardGoal, text: str, lexeme: Lexeme, after: str) -> None:
    """What no rule took: a name, a word that joins, or why the goal is refused."""
    said = text[lexeme.start : lexeme.end]
    if lexeme.sign == "N":
        parts.named.append(lexeme.value)
    elif lexeme.sign == "!":
        parts.problems.append((0, said, Problem(lexeme.value)))
    elif lexeme.sign not in _MUTE + "?" and not _is_verb(lexeme.sign, said.lower(), after):
        parts.problems.append((3, said, Problem("says nothing of a metric or a bound where it stands")))


def _unknown(unknown: int, all_of_it: int) -> Problem:
    said = "was not understood: it is" if unknown == 1 else "were not understood: they are"
    language = ", and goals are read in English" if 2 * unknown > all_of_it else ""
    return Problem(f"in the goal {said} neither a data set, a network, nor a bound on a metric{language}")


def _is_verb(sign: str, said: str, after: str) -> bool:
    """Whether `train a CNN` or `keep ... above` is meant, which says nothing by itself."""
    if sign == "k":
        return after.lstrip("sio=")[:1] in ("m", "q", "g", "l")
    return sign == "p" and (said in ("train", "trained", "test") or after.lstrip("io")[:1] == "N")

"""What is wrong with the values that one key or group is given, in one sentence that says what it takes."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from research.compose.grammar import Value, scalar
from research.space.knobs import Choices, Knob
from research.space.overrides import shown


def wrong_values(key: str, values: Sequence[Value], knob: Knob) -> list[str]:
    """The complaint about the first value that the knob does not take."""
    wrong = [value for value in values if not knob.takes(value.value)]
    return [f"{key} takes {knob.wants()}; {refused(value, knob)}." for value in wrong[:1]]


def refused(value: Value, knob: Knob) -> str:
    """That it is not taken, and whether quotes alone are at fault: `name=5` lacks them."""
    many = isinstance(value.value, list)
    items = value.value if many else [value.value]
    bare = [scalar(item) if isinstance(item, str) else item for item in items]
    texts = [str(item) for item in items]
    fault = ""
    if knob.takes(texts if many else texts[0]):
        fault = " without quotes"
    elif knob.takes(bare if many else bare[0]):
        fault = " with quotes"
    return f"{shown(value.text)} is not{fault}"


def wrong_options(group: str, values: Sequence[Value], options: Sequence[str], about: Choices) -> list[str]:
    """The complaint about the first value that is no option of the group, or no list of them."""
    if not options:
        return [f"{group} has no option that may be chosen: leave it out."]
    most = about.most if about.several else 1
    amount = f"one or a list of at most {most} of" if about.several else "one of"
    wrong = [value for value in values if not _is_choice(value.value, options, about.several, most)]
    return [
        f"{group} takes {amount} {', '.join(options)}; {shown(value.text)} is not{_bare(value, options)}."
        for value in wrong[:1]
    ]


def _bare(value: Value, options: Sequence[str]) -> str:
    return " without quotes" if not isinstance(value.value, str) and value.text in options else ""


def _is_choice(value: Any, options: Sequence[str], several: bool, most: int = 1) -> bool:
    if several and isinstance(value, list):
        known = all(_is_choice(item, options, False) for item in value)
        return known and len(set(value)) == len(value) <= most
    return isinstance(value, str) and value in options


_LOOKED_AT = 60
"""characters of a typed name that are compared; the cost grows with their square"""


def near(typed: str, names: Iterable[str]) -> list[str]:
    """At most three names: those that end alike, else initials (`wd`, `learning_rate`), spellings, or words.

    Where some of them lie in the group that was typed, the others are left out.
    """
    known = {_plain(name): name for name in names}
    wanted = _plain(typed)[-_LOOKED_AT:]
    last = _last(wanted)
    alike = (
        [name for name in known if _last(name) == last]
        or [name for name in known if _abbreviates(last, _last(name)) or _abbreviates(_last(name), last)]
        or get_close_matches(wanted, known, n=2, cutoff=0.7)
        or [name for name in known if _words(last) & _words(_last(name)) and _group(name) == _group(wanted)]
        or [name for name in known if _words(last) & _words(_last(name)) and not _group(wanted)]
    )
    inside = [name for name in alike if _group(name) == _group(wanted)]
    return [known[name] for name in (inside or alike)[:3]]


def _abbreviates(short: str, long: str) -> bool:
    words = long.split("_")
    return len(words) > 1 and short == "".join(word[:1] for word in words)


def _words(part: str) -> set[str]:
    return {word for word in part.split("_") if len(word) > 2}


def _group(name: str) -> str:
    return name.rpartition(".")[0].partition(".")[0]


def _plain(name: str) -> str:
    return name.replace("/", ".").lower()


def _last(name: str) -> str:
    return name.rpartition(".")[2]

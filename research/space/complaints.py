"""What is wrong with an override, told on its text before anything parses it and on its values after."""

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice, product
from typing import Any

from refusal import Refusal
from research.compose.override import Assignment, Odd, Value, override, read, scalar
from research.space.knobs import PRINTABLE, Caps, Choices, Knob

_CODE_KEY = re.compile(r"(?:^|[./])_[A-Za-z0-9_-]*_?(?=[./ =@]|$)")
_MOST_POINTS = 10_000
"""points that a person's sweep may expand to"""


def shown(text: str) -> str:
    """The text as it may be printed, stored and put into a prompt: ASCII, quoted, short."""
    return ascii(text[:57] + "..." if len(text) > 60 else text)


def listing(overrides: Any, caps: Caps) -> str | None:
    """The complaint about a proposal that is no list of texts, or is too long; None when it is fine."""
    if not isinstance(overrides, list | tuple):
        return 'Give the overrides as a list of texts, for example ["optimizer=lion", "optimizer.lr=3e-4"].'
    if len(overrides) > caps.overrides:
        return f"Give at most {caps.overrides} overrides; these are {len(overrides)}."
    return None


def form(text: Any, caps: Caps) -> str | None:
    """The complaint about one override's length, characters, nesting or operators; None when it is fine."""
    if not isinstance(text, str):
        return f"Write each override as a text key=value; one of these is of type {type(text).__name__}."
    if len(text) > caps.characters:
        return f"Keep each override within {caps.characters} characters; {shown(text)} has {len(text)}."
    if PRINTABLE.fullmatch(text) is None:
        return f"Use printable ASCII only, without tabs and line breaks: {shown(text)}."
    if _depth(text) > caps.depth:
        return f"Nest brackets at most {caps.depth} deep: {shown(text)}."
    return _key(text.lstrip(" +~")) or _operator(text.strip(" "))


def _operator(text: str) -> str | None:
    if not text or text.startswith("="):
        return "An override is empty: write key=value or group=option."
    if text.startswith("-"):
        return f"{shown(text)} is a command-line flag: write key=value or group=option."
    if text.startswith(("+", "~")):
        return f"{shown(text)} adds or removes a key: change one that exists, with no sign before it."
    if "@" in override(text).key:
        return f"{shown(text)} moves a group to another place with @: write group=option."
    if "$" in text:
        return f"{shown(text)} refers to something else with $: write the value itself."
    return None


def _key(text: str) -> str | None:
    key = override(text).key
    if re.match(r"hydra(?:[./]|$)", key):
        return f"{shown(key)} is Hydra's own setting, which nobody changes in a proposal: leave it out."
    if _CODE_KEY.search(key):
        return f"{shown(key)} selects the code that runs, which is fixed: choose another option of the group."
    return None


def _depth(text: str) -> int:
    """The deepest nesting of opening brackets; a closing one too many opens nothing."""
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}" and depth:
            depth -= 1
    return deepest


def parsed(text: str) -> Assignment | str:
    """The assignment, or the complaint about a text that is none."""
    try:
        return read(text)
    except Odd as odd:
        return f"{shown(text)} is not one override key=value or group=option: {odd}."


def points(assignments: Sequence[Assignment]) -> Iterator[tuple[tuple[str, Value], ...]]:
    """Every point of a sweep, the last axis fastest, as Hydra's own sweeper goes."""
    axes = [[(assignment.key, value) for value in assignment.each()] for assignment in assignments]
    return product(*axes)


def expanded(overrides: Sequence[str], options: Any) -> list[list[str]]:
    """The points of a person's sweep as lists of overrides; `options(group)` lists a group for `glob`.

    Each is spelt without the spaces that an agent may type around `=` and that Hydra refuses.
    Raises `Refusal` for what is no override, for an interval, and beyond 10,000 points.
    """
    axes = [_axis(text, options) for text in overrides]
    size = 1
    for axis in axes:
        size *= len(axis)
    if size > _MOST_POINTS:
        raise Refusal(f"This sweep has {size} points: sweep at most {_MOST_POINTS} at once.")
    return [list(point) for point in product(*axes)]


def _axis(text: str, options: Any) -> list[str]:
    try:
        assignment = read(text)
    except Odd:
        return _axis_by_hydra(text, options)
    if assignment.count() > _MOST_POINTS:
        raise Refusal(f"{shown(text)} has {assignment.count()} values: sweep at most {_MOST_POINTS} at once.")
    return [f"{assignment.key}={value.text}" for value in assignment.each()]


def _axis_by_hydra(text: str, options: Any) -> list[str]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob
    from hydra.errors import HydraException

    try:
        (swept,) = OverridesParser.create().parse_overrides([text])
        if not swept.is_sweep_override():
            return [text.strip(" ")]
        chosen = swept.value()
        if isinstance(chosen, Glob):
            values = chosen.filter(list(options(swept.key_or_group)))
        else:
            values = list(islice(swept.sweep_string_iterator(), _MOST_POINTS + 1))
    except (HydraException, ValueError, RecursionError, OverflowError, MemoryError) as error:
        raise Refusal(f"{shown(text)} cannot be expanded: sweep with a,b,c, choice() or range().") from error
    return [f"{swept.get_key_element()}={value}" for value in values]


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
    amount = f"one of, or as [a,b] together at most {most} of," if about.several else "one of"
    wrong = [value for value in values if not _is_choice(value.value, options, about.several, most)]
    faults = [f"{shown(value.text)} is not{_at_fault(value, options, about.several)}" for value in wrong[:1]]
    return [f"{group} takes {amount} {', '.join(options)}; {fault}." for fault in faults]


def _at_fault(value: Value, options: Sequence[str], several: bool) -> str:
    """That quotes alone are missing, or that a list of options names one twice."""
    if isinstance(value.value, list):
        known = several and all(isinstance(item, str) and item in options for item in value.value)
        return ", for each is given once" if known and len(set(value.value)) < len(value.value) else ""
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

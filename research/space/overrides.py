"""What may not be in an agent's override whatever it sets, checked on the text before anything parses it."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Any

from refusal import Refusal
from research.compose.grammar import Assignment, Odd, Value, read
from research.compose.override import override
from research.space.knobs import Caps

_PRINTABLE = re.compile(r"[ -~]*")
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
    if _PRINTABLE.fullmatch(text) is None:
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

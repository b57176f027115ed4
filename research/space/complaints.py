"""What is wrong with the values that one key or group is given, in one sentence that says what it takes."""

from collections.abc import Sequence
from typing import Any

from research.compose.grammar import Value, scalar
from research.space.knobs import Group, Knob
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


def wrong_options(group: str, values: Sequence[Value], options: Sequence[str], about: Group) -> list[str]:
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

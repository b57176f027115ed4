"""What a person's `base` says: what is fixed for every trial, and what may be turned within bounds."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, final

from refusal import Refusal
from research.compose.override import Odd, override, read, scalar, spelt, values_of

_HARNESS = ("seed", "store", "store.url", "root", "force")
_NUMBER = r"[-+]?[\d.]+(?:[eE][-+]?\d+)?"
_ENDS = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")


def parted(given: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines of `base` that fix a key, and those that leave it several values or the numbers between two.

    Raises `Refusal` for what is no list of overrides, and for what is not the person's to set there.
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise Refusal(
            "base is a list of overrides of train.py, for example base=[data=mnist1d,budget.steps=300]."
        )
    lines: list[str] = []
    for text in (spelt(one).strip() for one in given):
        if lines and "=" not in text:  # the b of [key=a,b]
            lines[-1] += f",{text}"
        else:
            lines.append(text)
    for line in lines:
        key, value, _ = override(line)
        if value is None or key in _HARNESS:
            raise Refusal(
                f"base cannot hold '{line}': it takes key=value of train.py, and seeds, store and folders "
                "are set in agent.py itself (screen.seeds, store.url, root)."
            )
    free = tuple(line for line in lines if _leaves_open(line))
    return tuple(line for line in lines if line not in free), free


def _leaves_open(line: str) -> bool:
    try:
        return read(line).swept or _ENDS.fullmatch(override(line).value or "") is not None
    except Odd:
        return False


@final
class Bounds:
    """The values, or the two ends, between which keys and groups may be turned."""

    def __init__(self, free: Sequence[str] = ()) -> None:
        self._said = values_of(free)

    def outside(self, overrides: Sequence[str]) -> list[str]:
        """A sentence for each override that leaves them."""
        return [
            f"{key}={value} lies outside of what the person leaves open, {key}={self._said[key]}."
            for key, value in values_of(overrides).items()
            if key in self._said and not self._holds(key, _meant(key, value))
        ]

    def narrowed(self, vocabulary: Mapping[str, Any], fixed: Sequence[str]) -> dict[str, Any]:
        """A vocabulary as `narrowed` gives it, with the bounded keys and groups within their bounds.

        Raises `Refusal` for one that may not be turned, one that the control has outside of its bounds, and a
        key of an option that is not fixed itself.
        """
        groups, keys, held = dict(vocabulary["groups"]), dict(vocabulary["keys"]), values_of(fixed)
        for key, said in self._said.items():
            if key in groups:
                groups[key] = self._group(key, groups[key])
            elif key in keys:
                keys[key] = self._key(key, keys[key], held)
            else:
                raise Refusal(f"base leaves {key}={said} open, which may not be turned: give it one value.")
        return {**vocabulary, "groups": groups, "keys": keys}

    def _group(self, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        self._check_usual(key, entry["default"])
        asked = [str(value) for value in self._values(key)]
        if strange := [option for option in asked if option not in entry["options"]]:
            offered = ", ".join(entry["options"])
            raise Refusal(f"base leaves {key}={strange[0]} open, which is none of {offered}.")
        cards = {option: card for option, card in entry["options"].items() if option in asked}
        return {**entry, "options": cards, "beside": {}}

    def _key(self, key: str, entry: Mapping[str, Any], held: Mapping[str, str]) -> dict[str, Any]:
        group = entry["group"]
        if group and held.get(group) not in entry["per"]:
            raise Refusal(f"base leaves {key} open and not {group}, of which it is: fix it, as {group}=NAME.")
        own = {**entry, **(entry["per"][held[group]] if group else {})}
        self._check_usual(key, own["default"])
        ends = _ENDS.fullmatch(self._said[key])
        if ends and own["type"] not in ("int", "float"):
            raise Refusal(f"base leaves {key}={self._said[key]} open, which is no number: write its values.")
        values = [scalar(end) for end in ends.groups()] if ends else self._values(key)
        for value in values:
            if not _takes(own, value):
                raise Refusal(f"base leaves {key}={spelt(value)} open, which the space does not take.")
        narrow = {"low": values[0], "high": values[1]} if ends else {"type": "enum", "of": values}
        per = {option: {**differs, **narrow} for option, differs in entry["per"].items()}
        return {**entry, **narrow, "per": per}

    def _check_usual(self, key: str, usual: Any) -> None:
        if not self._holds(key, usual):
            raise Refusal(
                f"base={key}={self._said[key]} leaves out {spelt(usual)}, which the control has: add it."
            )

    def _holds(self, key: str, value: Any) -> bool:
        if ends := _ENDS.fullmatch(self._said[key]):
            low, high = map(float, ends.groups())
            return isinstance(value, int | float) and low <= value <= high
        return value in self._values(key)

    def _values(self, key: str) -> list[Any]:
        return [one.value for one in read(f"{key}={self._said[key]}").each()]


def _meant(key: str, text: str) -> Any:
    """What a text means, quoted or bare; a sweep, which is refused elsewhere, is no value."""
    try:
        read_as = read(f"{key}={text}")
    except Odd:
        return text
    return text if read_as.swept else next(iter(read_as.each())).value


def _takes(entry: Mapping[str, Any], value: Any) -> bool:
    """Whether a value lies in what the space takes of a key."""
    if value is None:
        return bool(entry.get("nullable"))
    if entry["type"] == "enum":
        return value in entry["of"]
    if entry["type"] in ("int", "float"):
        whole = entry["type"] == "float" or isinstance(value, int)
        return whole and isinstance(value, int | float) and entry["low"] <= value <= entry["high"]
    return entry["type"] == "bool" and isinstance(value, bool)

"""An override, taken apart as anybody types it, and read as the plain one that an agent may write.

Hydra's own parser costs about 40 microseconds a character and recurses; a proposal of 32 overrides could
hold it for a second. `read` takes a part of its grammar in linear time. Whatever it reads, Hydra reads alike
(a property test compares the two); any other form raises `Odd`, and the caller refuses it or asks Hydra.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, final

_REMEMBERED = 4096
"""texts that were taken apart"""
_ID = r"[A-Za-z_][A-Za-z0-9_-]*"
_KEY = re.compile(rf"({_ID}(?:\.(?:{_ID}|0|[1-9][0-9]*))*|{_ID}(?:/{_ID})+) *= *(.*)", re.ASCII)
_FUNCTION = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*) *\((.*)\)", re.ASCII)
_ARGUMENT = re.compile(r" *(?:(start|stop|step) *= *)?([+-]?(?:0|[1-9](?:_?[0-9])*)) *", re.ASCII)
_NATURAL = r"(?:0|[1-9](?:_?[0-9])*)"
_POINT = rf"(?:{_NATURAL}?\.[0-9](?:_?[0-9])*|{_NATURAL}\.)"
_INT = re.compile(rf"[+-]?{_NATURAL}", re.ASCII)
_FLOAT = re.compile(
    rf"[+-]?(?:(?:{_NATURAL}|{_POINT})[eE][+-]?[0-9](?:_?[0-9])*|{_POINT}|[iI][nN][fF]|[nN][aA][nN])",
    re.ASCII,
)
_WORDS = {"true": True, "false": False, "null": None}
# An opening bracket, a quoted text, or bare words: `\` only before a character that Hydra lets one escape.
_ELEMENT = re.compile(
    r" *(?:(\[) *|('[^'\\]*'|\"[^\"\\]*\") *|((?:[A-Za-z0-9_/+.%*@?|: -]|\\[\\()\[\]{}:=, ])+))", re.ASCII
)
_NESTING = 8
_NO_VALUE = "a value is missing, or holds a character that needs quotes"
_INSTEAD = {
    "{": "no value is a dict, so set each key by an override of its own",
    "(": "a list is written in brackets, as [a,b]",
}


@final
class Override(NamedTuple):
    """`key=value` or `group=option`, in anybody's words: nothing of it is checked."""

    key: str
    """the key or group, without the spaces and the `+` that people type around it"""
    value: str | None
    """the text after the first `=`, without spaces around it; None where there is no `=`"""
    spelling: str
    """the whole text"""

    @property
    def group(self) -> str:
        """The first name of its key: `optimizer` of `optimizer=lion` and of `optimizer.lr=0.1`."""
        return self.key.partition(".")[0]


@lru_cache(maxsize=_REMEMBERED)
def override(text: str) -> Override:
    """One text as an override."""
    key, equals, value = text.partition("=")
    return Override(key.strip(" +"), value.strip(" ") if equals else None, text)


def is_open(key: str) -> bool:
    """Whether a key lies where any may: a server's own settings, arguments of what a person brings."""
    return key == "llm.extra" or key.startswith("llm.extra.") or key.partition(".")[2].split(".")[0] == "args"


def values_of(overrides: Iterable[str]) -> dict[str, str]:
    """What overrides set, key -> text: of two with the same key the last, and nothing for one without `=`."""
    return {given.key: given.value for given in map(override, overrides) if given.value is not None}


def keys_of(overrides: Iterable[str]) -> set[str]:
    """The keys and groups that overrides name, with a value or without."""
    return {override(text).key for text in overrides}


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested plain values as dotted keys with texts: `{"budget": {"seconds": 60}}` sets `budget.seconds`."""
    texts: dict[str, str] = {}
    for name, value in values.items():
        key = f"{before}{name}"
        texts |= flat(value, f"{key}.") if isinstance(value, Mapping) else {key: spelt(value)}
    return texts


def spelt(value: Any) -> str:
    """A plain value as it is typed: `null`, `true`, `[1,2]`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(spelt, value))}]" if isinstance(value, list | tuple) else str(value)


class Odd(Exception):
    """The text is not one plain override; the message says why, as the end of a sentence."""


@final
class Value(NamedTuple):
    """One value: what it means, and the text that was typed for it."""

    value: Any
    text: str


@final
@dataclass(frozen=True, slots=True)
class Assignment:
    """`key=value`, or `key=a,b,c` when `swept`; a range is not made before it is asked for."""

    key: str
    values: "tuple[Value, ...] | range"
    swept: bool

    def count(self) -> int:
        """How many points the values give, without making them: a range may span more than memory."""
        values = self.values
        if isinstance(values, range):
            return max(0, -((values.start - values.stop) // values.step))
        return len(values)

    @property
    def up(self) -> bool:
        """Whether the values of a range grow; true of all others."""
        return not isinstance(self.values, range) or self.values.step > 0

    def each(self) -> Iterable[Value]:
        """The values in the order in which they were written."""
        if isinstance(self.values, range):
            return (Value(number, str(number)) for number in self.values)
        return self.values


def read(text: str) -> Assignment:
    """Read one override. Raises `Odd` unless it is plain: no `+ ~ @ $ {}`, no function but choice, range."""
    match = _KEY.fullmatch(_stripped(text))
    if match is None:
        raise Odd("it is not of the form key=value")
    key, value = match.groups()
    if value == "":
        return Assignment(key, (Value("", ""),), swept=False)
    call = _FUNCTION.fullmatch(value)
    if call is not None:
        return Assignment(key, _called(*call.groups()), swept=True)
    values = _elements(value)
    return Assignment(key, values, swept=len(values) > 1)


def _called(name: str, arguments: str) -> "tuple[Value, ...] | range":
    if name == "choice":
        values = _elements(arguments)
        if any(value.value is None for value in values):
            raise Odd("choice(...) takes no null, a list with commas does: key=null,1")
        return values
    if name == "range":
        return _range(arguments)
    raise Odd("no function but choice(...) and range(...) is taken")


def _range(arguments: str) -> range:
    positional: list[int] = []
    named: dict[str, int] = {}
    for part in arguments.split(","):
        match = _ARGUMENT.fullmatch(part)
        if match is None or (named and match[1] is None) or match[1] in named:
            raise Odd("range takes whole numbers only, as range(start,stop) or range(start,stop,step)")
        if match[1] is None:
            positional.append(int(match[2]))
        else:
            named[match[1]] = int(match[2])
    bounds = dict(zip(("start", "stop", "step"), positional, strict=False))
    if len(positional) > 3 or bounds.keys() & named.keys() or "start" not in {**bounds, **named}:
        raise Odd("range takes a start, a stop and a step")
    bounds |= named
    start, stop = (bounds["start"], bounds["stop"]) if "stop" in bounds else (0, bounds["start"])
    if bounds.get("step", 1) == 0:
        raise Odd("the step of a range cannot be 0")
    return range(start, stop, bounds.get("step", 1))


def _elements(text: str) -> tuple[Value, ...]:
    values, end = _sequence(text, 0, 0)
    if end != len(text):
        quotes = "" if text[end] in "()[]{},'\"" else ", which only quotes may hold"
        raise Odd(f"it cannot be read from character {end + 1} of its value on{quotes}")
    return tuple(values)


def _sequence(text: str, start: int, depth: int) -> tuple[list[Value], int]:
    """Elements between commas from `start` on; returns them and where reading stopped."""
    values = []
    while True:
        value, start = _element(text, start, depth)
        values.append(value)
        if text[start : start + 1] != ",":
            return values, start
        start += 1


def _element(text: str, start: int, depth: int) -> tuple[Value, int]:
    """One element and the spaces around it; returns it and where the next character lies."""
    match = _ELEMENT.match(text, start)
    if match is None:
        raise Odd(_INSTEAD.get(text[start : start + 1], _NO_VALUE))
    bracket, quoted, bare = match.groups()
    if bracket:
        return _list(text, match.start(1), match.end(), depth + 1)
    if quoted:
        return Value(quoted[1:-1], quoted), match.end()
    stripped = _stripped(bare)
    if not stripped:
        raise Odd("a value is missing")
    return Value(scalar(stripped), stripped), match.end()


def _list(text: str, opened: int, inside: int, depth: int) -> tuple[Value, int]:
    if depth > _NESTING:
        raise Odd("its lists are nested too deep")
    values, end = ([], inside) if text[inside : inside + 1] == "]" else _sequence(text, inside, depth)
    if text[end : end + 1] != "]":
        raise Odd("a list is not closed")
    whole = text[opened : end + 1]
    return Value([value.value for value in values], whole), _skip(text, end + 1)


def _stripped(text: str) -> str:
    stripped = text.strip(" ")
    if stripped != text and (stripped.endswith(("\\", ":")) or stripped.startswith(":")):
        # Hydra keeps a space that is escaped or touches a colon: let it decide.
        raise Odd("spaces beside a colon or after a backslash need quotes")
    return stripped


def scalar(text: str) -> Any:
    """The value of one bare word, with Hydra's rules: `1e-3` is a float, `007` a text, `null` None."""
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    word = text.lower()
    return _WORDS[word] if word in _WORDS else re.sub(r"\\(.)", r"\1", text)


def _skip(text: str, start: int) -> int:
    while text[start : start + 1] == " ":
        start += 1
    return start

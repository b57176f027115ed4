"""Words of a command line as Hydra's grammar can read them: texts in quotes, `~` as the home folder."""

import re
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from refusal import Refusal
from research.compose.override import is_open, override, scalar

_SPOKEN = ("goal", "focus")
"""what people say: nothing in it is looked up or escaped"""
_TEXTS = ("id", "a", "b", "sweep", "before", "name")
_PATHS = ("path", "root", "store.url", "memory.store.url")
"""one text each, commas and all"""
_LISTS = ("readings", "base", "quiet", "objective.constraints", "compress.distill.teacher.recipe")
_OVERRIDES = ("base", "quiet", "compress.distill.teacher.recipe")
"""lists of what could be typed by itself"""
SWEEPS = ("-m", "--multirun")
_QUOTED = re.compile(r"'[^'$\\]*'|\"[^\"$\\]*\"")
_PART = re.compile(r"(?:'[^']*'(?=\s*(?:,|$))|\"[^\"]*\"(?=\s*(?:,|$))|\[[^\]]*\]|[^,])+")
_BARE = re.compile(r"(?:[A-Za-z0-9_/+.%*@?|:$ -]|\\.)*", re.ASCII)
"""what Hydra reads without quotes"""
_FUNCTION = re.compile(
    r"(?:choice|range|glob|interval|sort|shuffle|tag|str|int|float|bool|json_str)\s*\(.*\)"
)
_LINK = re.compile(r"(?<!\\)\$\{")
_HOME = re.compile(r"((?:--[\w-]+=)?(?:sqlite(?:\+\w+)?:///)?)(~(?:[\w.-]+(?=/))?)(/.*)?", re.DOTALL)


def quoted(arguments: Sequence[str]) -> list[str]:
    """The arguments with what Hydra could not read as it stands in quotes, such as blanks and letters like ä.

    Raises `Refusal` for the home folder of somebody whom this machine does not know, and for broken letters.
    """
    read = [_opened(_argument(argument)) for argument in arguments]
    # Hydra's own parser takes a flag between overrides for their end, and tells a page of usage.
    return sorted(read, key=lambda argument: argument not in SWEEPS)


def _opened(argument: str) -> str:
    """With `++` before a key that lies where any may: Hydra refuses a new one without it."""
    opened = is_open(override(argument).key) and not argument.startswith(("~", "-"))
    return f"++{argument.lstrip('+')}" if opened else argument


def as_typed(argument: str) -> str:
    """An override as a person types it: without what `quoted` would put around and before it."""
    argument = argument.removeprefix("++") if is_open(override(argument).key) else argument
    key, value, _ = override(argument)
    bare = f"{key}={value[1:-1]}" if value is not None and _is_quoted(value) else argument
    return bare if quoted([bare]) == [argument] else argument


def _argument(argument: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in argument):
        raise Refusal(
            f"{ascii(argument)[1:-1][:60]} is no text in UTF-8: type it on a terminal of that encoding."
        )
    if argument.startswith("-"):
        return _at_home(argument)
    key, value, _ = override(argument)
    if value in (None, "null") or not argument.startswith(key):
        return argument
    text = _taken(key, value)
    return argument if text == value else f"{key}={text}"


def _taken(key: str, value: str) -> str:
    if key in _SPOKEN:
        return _said(value)
    if key in _LISTS:
        inside = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        return f"[{','.join(_listed(key, part) for part in parts(inside))}]"
    if key in _TEXTS:
        return _text(value)
    return _text(_at_home(value)) if key in _PATHS else _value(value)


def _listed(key: str, part: str) -> str:
    """An element of a list of texts; one that is an override is read as if it stood alone."""
    if key not in _OVERRIDES:
        return part if _is_quoted(part) else _said(part)
    # What it links to is the trial's: ${seed} is of each trial, not of the campaign.
    linked = _LINK.sub(r"\\${", part)
    return linked if _is_quoted(part) else _quotation(_argument(linked))


def _said(text: str) -> str:
    """Words in quotes, and nothing but words: Hydra looks `${...}` up, and a backslash escapes."""
    if _QUOTED.fullmatch(text):
        return text
    return "'" + re.sub(r"[$\\]", " ", text).replace("'", "\u2019") + "'"


def _text(value: str) -> str:
    """One text, whatever is in it, unless it is quoted or asks for another key."""
    bare = _BARE.fullmatch(value) is not None and "\\" not in value  # which Hydra would take for an escape
    plain = bare and isinstance(scalar(value), str | bool)
    return value if plain or _is_quoted(value) or "${" in value else _quotation(value)


def _value(value: str) -> str:
    """A value with those of its elements in quotes that need them: what is swept or listed stays so."""
    if "${" in value or value.startswith("{") or _is_quoted(value) or _FUNCTION.fullmatch(value):
        return value
    if _is_list(value):
        return f"[{_value(value[1:-1])}]"
    apart = parts(value)
    if len(apart) > 1:
        read = list(map(_value, apart))
        return value if read == apart else ",".join(read)
    text = _at_home(value)
    return text if _BARE.fullmatch(text) else _quotation(text)


def _is_list(value: str) -> bool:
    """Whether a value is one list, and not several of which the first begins and the last ends it."""
    depths = list(accumulate((letter == "[") - (letter == "]") for letter in value))
    return bool(depths) and value[0] == "[" and 0 not in depths[:-1] and depths[-1] == 0


def parts(text: str) -> list[str]:
    """The parts between commas that stand outside brackets and quotes: `a=1,b=[c,d]` is two."""
    return [part.strip() for part in _PART.findall(text) if part.strip()]


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" and text[0] not in text[1:-1]


def _quotation(text: str) -> str:
    """A text between quotes that it does not hold, its backslashes kept as Hydra unescapes them."""
    mark = '"' if "'" in text else "'"
    inside = re.sub(rf"(\\*){mark}", lambda found: f"{found[1] * 2}\\{mark}", text)
    return mark + re.sub(r"(\\+)$", r"\1\1", inside) + mark


def _at_home(text: str) -> str:
    """A path that begins with `~`, by itself or in a database's URL, from the root of the disk."""
    found = _HOME.fullmatch(text)
    if found is None:
        return text
    before, whose, rest = found.groups()
    try:
        folder = Path(whose).expanduser()
    except RuntimeError:
        raise Refusal(f"{whose} is no home folder here: write the path from / on.") from None
    return f"{before}{folder}{rest or ''}"

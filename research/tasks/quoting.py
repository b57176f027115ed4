"""Words on the command line as Hydra can read them: its grammar knows no `>`, and no `=` inside a list."""

import re
from collections.abc import Sequence

from research.compose.override import override

_TEXTS = ("goal", "focus", "id", "a", "b", "path", "sweep", "before")
_LISTS = ("readings", "base", "quiet", "objective.constraints", "compress.distill.teacher.recipe")
_QUOTED = re.compile(r"'[^'$\\]*'|\"[^\"$\\]*\"")


def quoted(arguments: Sequence[str]) -> list[str]:
    """The arguments with texts such as the goal, and the elements of lists that hold words, in quotes."""
    return [_argument(one) for one in arguments]


def _argument(argument: str) -> str:
    key, value, _ = override(argument)
    if value in (None, "null") or not argument.startswith(key):
        return argument
    if key in _TEXTS:
        return f"{key}={_quote(value)}"
    if key in _LISTS:
        inside = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        return f"{key}=[{','.join(map(_quote, _elements(inside)))}]"
    return argument


def _elements(text: str) -> list[str]:
    """The parts between commas that stand outside brackets and quotes: `a=1,b=[c,d]` is two."""
    parts = re.findall(r"(?:'[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^,])+", text)
    return [part.strip() for part in parts if part.strip()]


def _quote(text: str) -> str:
    """A text in quotes, and nothing but text: Hydra looks `${...}` up, and a backslash escapes."""
    if _QUOTED.fullmatch(text):
        return text
    return "'" + re.sub(r"[$\\]", " ", text).replace("'", "\u2019") + "'"

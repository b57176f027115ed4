"""Foreign text in Markdown: it is read as it was written and can open no block, cell, link or tag.

What a model, a log or a person wrote goes through `plain`, `code` or `prose`; tables and code blocks are made
by `table` and `fenced` only. After CommonMark 0.31 and GitHub's extensions to it (tables, autolinks,
strikethrough, mathematics).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

_LONGEST = 400
"""characters of one foreign text in a report; the database has all of it"""
_ACTIVE = re.compile(
    r"[\\`*~$@]|<(?![=\s\d])"  # code, emphasis, strikethrough, mathematics, mentions, tags
    r"|(?<=\])[(\[:]"  # what makes a link of words in brackets
    r"|&(?=[#A-Za-z])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # entities, emphasis
    r"|(?<=:)//|(?<=www)\."  # addresses that become links by themselves
)
_OPENING = re.compile(r"[-+](?=[\s-]|$)|[=#>\[]|\d+(?=[.)](?:\s|$))")
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def plain(text: Any, longest: int = _LONGEST) -> str:
    """One line of text that is no markup, wherever it stands; a pipe, which ends cells, becomes a slash."""
    line = readable(text, longest).replace("|", "/")
    safe = _ACTIVE.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), line)
    first = _OPENING.match(safe)
    if first is None:
        return safe
    return f"{first[0]}\\{safe[first.end() :]}" if first[0].isdigit() else f"\\{safe}"


def code(text: Any, longest: int = _LONGEST) -> str:
    """One line of text as a code span; a dash where there is none."""
    line = readable(text, longest).replace("|", "/")
    if not line:
        return "-"
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def prose(text: Any, longest: int = 2 * _LONGEST) -> str:
    """One line of text that may hold code between single backticks, as the sentences of this lab do."""
    parts = readable(text, longest).split("`")
    if len(parts) % 2 == 0:
        return plain(text, longest)
    return "".join(
        code(part) if at % 2 else _joint(part, first=at == 0) for at, part in enumerate(parts) if part
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of cells that `plain`, `code` or `prose` made safe, or that are ours.

    One that a telephone cannot show becomes several, each with the first column.
    """
    columns = [[head, *cells] for head, *cells in zip(heads, *rows, strict=True)]
    lines: list[str] = []
    for some in _fitting(columns):
        first, *rest = zip(*some, strict=True)
        lines += [""] * bool(lines) + [_cells(first), "|---" * len(some) + "|", *map(_cells, rest)]
    return lines


_SCREEN, _LETTER, _BOLD, _ROOM = 330, 7.5, 8.5, 26
"""pixels that a table has on a screen of 360, that a letter takes, one of a head, and around each cell"""


def _fitting(columns: Sequence[Sequence[str]]) -> list[list[Sequence[str]]]:
    """Columns in as few tables as a small screen shows without scrolling, the first one in each."""
    first, *others = columns
    tables: list[list[Sequence[str]]] = [[first]]
    for column in others:
        if len(tables[-1]) > 1 and sum(map(_width, [*tables[-1], column])) > _SCREEN:
            tables.append([first])
        tables[-1].append(column)
    return tables


def _width(column: Sequence[str]) -> float:
    """How narrow a column can be: lines break at blanks."""
    head, *cells = (max(map(len, re.sub(r"[`\\]", "", cell).split()), default=0) for cell in column)
    return _ROOM + max(_BOLD * head, _LETTER * max(cells, default=0))


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def fenced(lines: Iterable[str]) -> list[str]:
    """A block of lines as they are, between fences that none of them can close."""
    kept = [readable(line, 100 * _LONGEST) for line in lines]
    longest = max((len(run) for line in kept for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *kept, fence]


def section(title: str, lines: Sequence[str]) -> list[str]:
    """A section with its heading; nothing where there are no lines."""
    return ["", f"## {title}", "", *lines] if lines else []


def capital(said: str) -> str:
    """A text as it begins a sentence."""
    return f"{said[:1].upper()}{said[1:]}"


def capped(lines: Sequence[str], most: int, rest: str) -> list[str]:
    """The first `most` lines, and how many `rest` are left out."""
    left = len(lines) - most
    return [*lines[:most], f"- and {left} more {rest}"] if left > 0 else list(lines)


def _joint(part: str, *, first: bool) -> str:
    """A piece between code spans keeps the blanks at its ends, and starts no line unless it is the first."""
    before, after = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
    if not part.strip():
        return " "
    longest = len(part) + 1  # the whole text has been cut already
    safe = plain(part, longest) if first else plain(f".{part.strip()}", longest)[1:]
    return f"{before}{safe}{after}" if not first else f"{safe}{after}"


def readable(text: Any, longest: int = _LONGEST) -> str:
    """Text in one line without what cannot be seen: control characters, and those that turn its direction."""
    blank = re.sub(r"\s+", " ", str(text))
    seen = "".join(letter for letter in blank if not unicodedata.category(letter).startswith("C")).strip()
    return seen if len(seen) <= longest else f"{seen[: longest - 1].rstrip()}…"

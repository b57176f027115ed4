"""Texts as they leave: the files of a report whole or not at all, lines no wider than a terminal."""

import html
import os
import re
import shutil
import stat
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import redact
from redact import shown
from refusal import Refusal

_HANGING = re.compile(r" *\S+ {2,}| *")
"""what stands in front of the text of a line, as a name and the gap behind it"""
_BOX = 'style="max-width:100%;overflow-x:auto"'
_CELL = 'style="text-align:left;vertical-align:top;overflow-wrap:anywhere"'


def written(text: str, out: TextIO) -> str:
    """A text as it is written to `out`: what would act on a terminal spelt out, wrapped where it is one."""
    plain = shown(text)
    return fitted(plain, shutil.get_terminal_size().columns) if out.isatty() else plain


def fitted(text: str, width: int) -> str:
    """The text in lines of at most `width` characters: nothing of it is left out, blanks at breaks but."""
    return "\n".join(piece for line in text.split("\n") for piece in _pieces(line, width))


def _pieces(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    found = _HANGING.match(line)
    hanging = found.end() if found else 0
    indent = " " * (hanging if hanging <= width // 2 else 4)
    fold = textwrap.TextWrapper(
        width, subsequent_indent=indent, break_on_hyphens=False, replace_whitespace=False, expand_tabs=False
    )
    return fold.wrap(line)


def flowed(parts: Iterable[str], width: int, indent: str = "") -> list[str]:
    """Parts side by side, three blanks apart, in lines of at most `width`; a long one is folded."""
    lines: list[str] = []
    for part in parts:
        beside = f"{lines[-1]}   {part}" if lines else ""
        if lines and len(beside) <= width:
            lines[-1] = beside
        else:
            lines.append(f"{indent}{part}")
    return [piece for line in lines for piece in _pieces(line, width)]


def put(text: str, folder: Path, name: str = "report.md") -> Path:
    """Write a file of a report in `folder`, which is made; `Refusal` when it cannot be written.

    Secrets in it are masked, and nobody else may read it, unless a file is there already that others may.
    """
    path = folder / name
    beside = path.with_name(f"{name}.new")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        rights = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
        with os.fdopen(
            os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(redact.text(text))
            os.fchmod(file.fileno(), rights)
        beside.replace(path)
    except OSError as error:
        raise Refusal(
            f"{folder} cannot be written ({error.strerror}): choose another root=FOLDER."
        ) from error
    return path


def in_html(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], below: str = "") -> str:
    """A table for a notebook, in a box of its own: a wide one moves in it, and the page stays as it is."""

    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag} {_CELL}>{_escaped(cell)}</{tag}>' for cell in cells)}</tr>"

    lines = [*([line(heads, "th")] if heads else []), *(line(row, "td") for row in rows)]
    after = f"<p>{_escaped(below)}</p>" if below else ""
    return f"<div {_BOX}><b>{_escaped(title)}</b><table>{''.join(lines)}</table>{after}</div>"


def _escaped(text: str) -> str:
    return html.escape(shown(text))


def counted(number: int, what: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def exact(number: float) -> str:
    """A number that somebody typed, with all of its digits: six would tell another bound than was judged."""
    short = f"{number:g}"
    return short if float(short) == number else f"{number:.15g}"

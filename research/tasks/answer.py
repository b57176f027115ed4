"""What every task answers with: a frozen record that is one JSON document, and the text that people read."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, final

from refusal import Refusal
from research.types import Record

KINDS = ("trial", "proposal", "insight", "sprint")
_FORMER = {"experiment": "proposal"}
"""what older reports and lines say of a row"""


class Answer(Record, ABC):
    """The result of one task."""

    told: ClassVar[bool] = False
    """whether a person was told all of it while it was made"""

    @abstractmethod
    def text(self) -> str:
        """The answer as people read it."""

    def document(self) -> str:
        """The answer as one JSON document; what is not a number is null."""
        return self.model_dump_json(indent=2)


def short(text: str, longest: int = 90) -> str:
    """A text in one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def pairs(fields: Mapping[str, Any], indent: str = "") -> list[str]:
    """One line for each field, its names aligned; what is empty or None is left out."""
    told = {name: _told(value) for name, value in fields.items()}
    width = max((len(name) for name, text in told.items() if text), default=0)
    return [f"{indent}{name:<{width}}  {text}" for name, text in told.items() if text]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their longest cell; the last one is as long as it likes."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads) - 1)]
    return [
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]
        ).rstrip()
        for line in lines
    ]


def _told(value: Any) -> str:
    if value is None or value == "" or value == {} or value == () or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, default=str) if isinstance(value, dict | list | tuple) else str(value)


class Reference(NamedTuple):
    """A row of one of the tables."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}"


def reference(given: Any, key: str, kinds: Sequence[str] = KINDS) -> Reference:
    """Read what was given for `key`; a bare number is of the first of `kinds`. Raises `Refusal`."""
    text = "" if given is None else str(given).strip()
    read = re.fullmatch(r"(?:([a-z]+)[: ])?([1-9][0-9]{0,17})", text)
    kind = (_FORMER.get(read[1], read[1]) or kinds[0]) if read else ""
    if not read or kind not in kinds:
        forms = " or ".join(
            [f"the number of one {kinds[0]}, as {key}=12", *(f"{key}={one}:3" for one in kinds[1:])]
        )
        shown = f"{key}={text} names nothing here" if text else f"{key} is missing"
        raise Refusal(f"{shown}: give {forms}.")
    return Reference(kind, int(read[2]))


def absent(wanted: Reference) -> Refusal:
    """What to say of a row that is not there."""
    what = {"trial": "trials", "proposal": "proposals", "insight": "insights"}.get(wanted.kind)
    hint = f"task=list what={what} lists what there is" if what else "task=status lists what there is"
    return Refusal(f"There is no {wanted.kind} {wanted.number} in this database: {hint}.")


@final
class Page(Answer):
    """A page of help: of a task with its own keys, or of all."""

    task: str | None
    page: str
    keys: dict[str, str] = {}
    """key -> what it takes, and what it is"""

    def text(self) -> str:
        """The page."""
        return self.page

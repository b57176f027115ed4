"""One piece of literature as a proposal may cite it: an id that stays, and text that instructs nobody."""

import re
from collections.abc import Iterable
from typing import final

from pydantic import Field

from research.llm.prompt import data, one_line
from research.types import Record

TITLE, ABSTRACT = 300, 3000
"""characters that are kept"""
_IN_ID = re.compile(r"[^\w.:/+-]+", re.ASCII)
_YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")


@final
class Source(Record):
    """Title, abstract and what else is known; each text is one printable line of bounded length."""

    id: str = Field(pattern=r"^(arxiv|bib|file):[\w.:/+-]+$", max_length=80)
    title: str = Field(min_length=1, max_length=TITLE)
    abstract: str = Field(max_length=ABSTRACT)
    year: int | None = None
    authors: tuple[str, ...] = Field(default=(), max_length=20)
    url: str | None = None


def source(
    kind: str, name: str, title: str, abstract: str, *, year: str = "", authors: Iterable[str] = ()
) -> Source | None:
    """A source of hostile text; None when nothing printable is left of its name or its title."""
    plain, label = one_line(title, TITLE), _IN_ID.sub("_", name).strip("_")
    if not plain or not label:
        return None
    found = _YEAR.search(year)
    return Source(
        id=f"{kind}:{label}"[:80],
        title=plain,
        abstract=one_line(abstract, ABSTRACT),
        year=int(found[1]) if found else None,
        authors=tuple(name for author in list(authors)[:20] if (name := one_line(author, 80))),
    )


def shown(sources: Iterable[Source], limit: int = 1500) -> str:
    """Sources for a prompt: each in a marked block of its own that is named by its id, cut to `limit`."""
    return "\n".join(
        data(f"{found.title}{f' ({found.year})' if found.year else ''}\n{found.abstract}", found.id, limit)
        for found in sources
    )

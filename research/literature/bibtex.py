"""The entries of a BibTeX file; one that cannot be read loses no other."""

import logging
from typing import Any

from research.literature.source import Source, source


def entries(text: str) -> tuple[list[Source], list[int]]:
    """The readable entries with a title as `bib:key`, and the lines at which unreadable ones begin.

    A key that stands twice is read where it stands first. LaTeX's accents become characters. Takes about
    4 s per megabyte at worst, whatever the text holds.
    """
    from bibtexparser import middlewares
    from bibtexparser.entrypoint import parse_string

    # It repeats each unreadable entry on stderr; we tell their lines.
    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL + 1)
    accents = middlewares.LatexDecodingMiddleware(allow_inplace_modification=True)
    found = parse_string(text, append_middleware=[accents])
    sources, bad = [], [(block.start_line or 0) + 1 for block in found.failed_blocks]
    for entry in found.entries:
        fields = {name.lower(): str(field.value) for name, field in entry.fields_dict.items()}
        read = _source(entry.key, fields)
        if read is None:
            bad.append((entry.start_line or 0) + 1)
        else:
            sources.append(read)
    return sources, sorted(bad)


def _source(key: Any, fields: dict[str, str]) -> Source | None:
    return source(
        "bib",
        str(key),
        _braceless(fields.get("title", "")),
        _braceless(fields.get("abstract", fields.get("keywords", ""))),
        year=fields.get("year", fields.get("date", "")),
        authors=_braceless(fields.get("author", "")).split(" and "),
    )


def _braceless(text: str) -> str:
    return text.replace("{", "").replace("}", "")

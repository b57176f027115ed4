"""Tables of a report as a reader has them: the parts of one that a small screen splits are one again."""

import re

WIDTH, LETTER, BOLD, ROOM = 330, 7.5, 8.5, 26
"""pixels for a table on a screen of 360, a letter, one of a head, and what is around a cell"""


def tables(text: str) -> list[list[list[str]]]:
    """Every table of a text, its head first, each as its rows of cells."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [[rows[0], *rows[2:]] for rows in found if rows]


def rows(report: str, title: str) -> list[dict[str, str]]:
    """The rows of the first table of a section, by the heads of its columns."""
    section = report[report.index(f"## {title}") + 1 :].split("\n## ")[0]
    first, *more = tables(section)
    parts = [first]
    for table in more:
        if [row[0] for row in table] != [row[0] for row in first]:
            break
        parts.append(table)
    found: list[dict[str, str]] = [{} for _ in first[1:]]
    for part in parts:
        for row, cells in zip(found, part[1:], strict=True):
            row |= dict(zip(part[0], cells, strict=True))
    return found


def arms(report: str) -> dict[str, str]:
    """Name of each arm -> its overrides, as the report's one table of them has it."""
    return {
        row[0]: row[1].split("`, ")[0].strip("`") for row in tables(report[report.index("## Arms") :])[0][1:]
    }


def narrowest(table: list[list[str]]) -> float:
    """Pixels that a table needs, for lines break at blanks."""
    longest = 0.0
    for column in zip(*table, strict=True):
        head, *cells = (max(map(len, re.sub(r"[`\\]", "", cell).split()), default=0) for cell in column)
        longest += ROOM + max(BOLD * head, LETTER * max(cells, default=0))
    return longest

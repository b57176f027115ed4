"""The control arm of the search itself: what the same budget found without the language model."""

from collections.abc import Sequence

from research.objective import rank, screening_objective
from research.report.arms import Arm, joules, method
from research.report.findings import RAN, Findings, Row, ids
from research.report.markdown import plain, table
from research.report.quantity import quantity
from research.report.sentences import method_words
from research.report.tables import figure

_LANES = {"team": "with the model", "control": "without the model"}


def lanes(found: Findings) -> list[str]:
    """A row for each lane with what it ran, spent and found; nothing where the sprint had one lane only."""
    rows = {lane: [row for row in found.experiments if row["facts"].get("lane") == lane] for lane in _LANES}
    if not all(rows.values()):
        return []
    asked = screening_objective(found.objective)
    heads = ["lane", "proposed", "ran", "joules", f"best {asked.metric}", "proposal", "supported"]
    cells = [_cells(found, lane, rows[lane]) for lane in _LANES]
    arms = [arm for lane in _LANES for arm in _arms(found, rows[lane])]
    return [
        "Each lane was given the same budget and the same default. The best are means of the screening, "
        "which claims nothing; the model's own joules are not in these. "
        f"{_first(method_words(method(arms)))}.",
        "",
        *table(heads, cells),
    ]


def _cells(found: Findings, lane: str, rows: Sequence[Row]) -> list[str]:
    asked = screening_objective(found.objective)
    arms = sorted(_arms(found, rows), key=lambda arm: rank(asked, arm.means))
    best = figure(asked.metric, arms[0].of(asked.metric)) if arms else "-"
    return [
        _LANES[lane],
        str(len(rows)),
        str(sum(row["status"] in RAN for row in rows)),
        quantity("train/energy_j", joules(arms)) if arms else "-",
        best,
        arms[0].name if arms else "-",
        str(sum(row["status"] == "supported" for row in rows)),
    ]


def _arms(found: Findings, rows: Sequence[Row]) -> list[Arm]:
    """The lane's own arms as they were screened; a configuration of both lanes stands in both."""
    return [found.arm(row, "screened") for row in rows if ids(row, "screened")]


def _first(words: str) -> str:
    return plain(f"{words[:1].upper()}{words[1:]}")

"""report.md of a sprint or a campaign: the answer first, its table, what was tried, what it cost."""

from collections.abc import Sequence
from pathlib import Path

from research.metrics import screening
from research.page import put
from research.report import pictures
from research.report.answer import answer, asked, repeat
from research.report.arms import arms_table
from research.report.cost import cost
from research.report.findings import Findings
from research.report.fronts import fronts
from research.report.lanes import lanes
from research.report.markdown import plain, section
from research.report.tried import memory, own_claims, proposers, read, reviews, sprints, team
from research.stats.arms import Arm
from research.store.store import Store

_SHOWN = 10
"""screened arms in the table; the database has them all"""


def write(store: Store, sprint_id: int, folder: Path) -> Path:
    """Write report.md of a sprint and its pictures, each whole or not at all; returns the report's path.

    Raises `Refusal` when the folder cannot be written, `KeyError` for an unknown sprint.
    """
    return written(Findings(store, sprint_id), folder)[0]


def written(found: Findings, folder: Path) -> list[Path]:
    """Write the report of these sprints with its pictures; the report's path first."""
    drawn = pictures.of_campaign(found)
    paths = [put(one.svg, folder, one.file) for one in drawn]
    return [put(text(found, drawn), folder), *paths]


def text(found: Findings, drawn: Sequence[pictures.Picture] = ()) -> str:
    """The report as Markdown."""
    confirmed = found.arms("confirmed")
    several = [*sprints(found)] if len(found.sprints) > 1 else []
    notes = [f"- {plain(note)}" for note in found.notes()]
    rest = [
        *_table(found, "Confirmed on fresh seeds, test split", confirmed, "confirmed"),
        *section("Score against cost", fronts(confirmed, found.asked, found.names)),
        *pictures.shown(drawn),
        *_screened(found),
        *section("With and without the model", lanes(found)),
        *section("Who proposed", proposers(found)),
        *section("Reviews", reviews(found)),
        *section("The team", team(found)),
        *section("What proposals said of themselves", own_claims(found)),
        *section("Sprints", several),
        *section("What was remembered", memory(found)),
        *section("What was read", read(found)),
        *section("What the search cost", cost(found)),
        *section("Repeat it", repeat(found.fixed, [*confirmed, *_best(found)[0]])),
        *section("Notes", notes),
    ]
    head = [f"# {plain(found.sprint['goal'])}", *answer(found), *section("What was asked", asked(found))]
    return "\n".join([*head, *section("Arms", found.names.table()), *rest]) + "\n"


def _table(found: Findings, title: str, arms: Sequence[Arm], stage: str) -> list[str]:
    """The figures of a stage that more than one arm has, or that were asked for."""
    asked = {screening(one) for one in found.asked}
    columns = [
        one
        for one in found.columns(stage)
        if screening(one) in asked or len(arms) < 2 or sum(arm.of(one).n > 0 for arm in arms) > 1
    ]
    return section(title, arms_table(arms, columns, found.names)) if arms else []


def _screened(found: Findings) -> list[str]:
    """The best of the screening: a cheap look, nothing is claimed of it."""
    arms, left = _best(found)
    others = sum(not (arm.control or arm.stopped) for arm in arms)
    shown = f"control and the best {others} of {others + left}" if others else "the control alone"
    return _table(found, f"Screened, validation split ({shown})", arms, "screened")


def _best(found: Findings) -> tuple[list[Arm], int]:
    """The control and the best screened arms, and how many more there are."""
    held = sum(arm.control or arm.stopped for arm in found.best)
    shown = found.best[: held + _SHOWN]
    return shown, len(found.best) - len(shown)

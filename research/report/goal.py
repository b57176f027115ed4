"""What a goal leaves behind over all its sprints: report.md, research_summary.md, statistical_analysis.md."""

from pathlib import Path

from refusal import Refusal
from research.page import put
from research.report import analysis, campaign, summary
from research.report.findings import NO_CAMPAIGN, of_campaign
from research.store.store import Store


def write(store: Store, name: str, folder: Path) -> list[Path]:
    """Write the three papers of the campaign `name` with the pictures; the paths, report.md first.

    Raises `Refusal` when the database has no such campaign, or the folder cannot be written.
    """
    try:
        found = of_campaign(store, name)
    except KeyError:
        raise Refusal(NO_CAMPAIGN.format(name[:80])) from None
    report = campaign.written(found, folder)
    papers = [
        put(summary.text(found), folder, "research_summary.md"),
        put(analysis.text(found), folder, "statistical_analysis.md"),
    ]
    return [report[0], *papers, *report[1:]]

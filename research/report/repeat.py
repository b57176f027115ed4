"""The commands that repeat what a report shows."""

from collections.abc import Iterable, Sequence

from research.report.markdown import fenced
from research.stats.arms import Arm
from research.stats.draws import shared
from research.stats.sentences import command

SAID = "Row by row; known trials are looked up, `force=true` trains them again."


def repeat(fixed: Sequence[str], arms: Iterable[Arm]) -> list[str]:
    """A command for each row of the tables, in their order."""
    lines = [command([*fixed, *arm.overrides, *shared(arm.rows)], arm.seeds) for arm in arms]
    return [SAID, "", *fenced(lines)] if lines else []

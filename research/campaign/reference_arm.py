"""What a sprint compares with: the defaults, or what an earlier sprint has shown to keep the goal's bounds.

Where the defaults break a bound, the first claim of a campaign is that something keeps it. From then on that
is the control, for a cost is compared among configurations that do what the goal asks for.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

from research.metrics import compares
from research.store.store import Store
from research.types import Record


@final
class Baseline(Record):
    """The control of a sprint beside what is fixed."""

    overrides: tuple[str, ...] = ()
    """none: the defaults"""
    sprint: int | None = None
    """the sprint that confirmed it"""

    @property
    def confirmed(self) -> bool:
        """Whether it is known to keep every bound of the goal."""
        return self.sprint is not None


def baseline(store: Store, earlier: Sequence[Mapping[str, Any]], metric: str) -> Baseline:
    """The control after the `earlier` sprints of a campaign, whose goal is about `metric`."""
    for number, sprint in reversed(list(enumerate(earlier, start=1))):
        for row in store.insights(sprint_id=sprint["id"]):
            if row["word"] == "supported" and not compares(row["insight"].verdict, metric):
                overrides = _overrides(store, sprint["id"], row["proposal_id"])
                return Baseline(overrides=overrides, sprint=number)
    return Baseline()


def _overrides(store: Store, sprint_id: int, proposal_id: int) -> tuple[str, ...]:
    found = [row for row in store.proposals(sprint_id=sprint_id) if row["id"] == proposal_id]
    return tuple(found[0]["proposal"].overrides)

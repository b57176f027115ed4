"""What a sprint compares with: the defaults, or what an earlier sprint has shown to keep the goal's bounds.

Where the defaults break a bound, the first claim of a campaign is that something keeps it. From then on that
is the control, for a cost is compared among configurations that do what the goal asks for.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

from research.campaigns.confirm import Confirm
from research.objective import compares
from research.store import Store
from research.types import Record


@final
class Baseline(Record):
    """The control of a sprint beside what is fixed, and the first of the seeds that are fresh to it."""

    overrides: tuple[str, ...] = ()
    """none: the defaults"""
    first_seed: int
    sprint: int | None = None
    """the sprint that confirmed it"""

    @property
    def confirmed(self) -> bool:
        """Whether it is known to keep every bound of the goal."""
        return self.sprint is not None


def baseline(store: Store, earlier: Sequence[Mapping[str, Any]], metric: str, confirm: Confirm) -> Baseline:
    """The control after the `earlier` sprints of a campaign, whose goal is about `metric`."""
    for number, sprint in reversed(list(enumerate(earlier, start=1))):
        for row in store.insights(sprint_id=sprint["id"]):
            if row["word"] == "supported" and not compares(row["insight"].verdict, metric):
                return Baseline(
                    overrides=_overrides(store, sprint["id"], row["experiment_id"]),
                    first_seed=confirm.first_seed + confirm.seeds * confirm.looks,
                    sprint=number,
                )
    return Baseline(first_seed=confirm.first_seed)


def _overrides(store: Store, sprint_id: int, experiment_id: int) -> tuple[str, ...]:
    found = [row for row in store.experiments(sprint_id=sprint_id) if row["id"] == experiment_id]
    return tuple(found[0]["proposal"].overrides)

"""What a campaign does about a busy neighbour: how often it tries again, and what it says at last."""

from collections.abc import Iterable
from typing import final

from research.metrics import is_timed
from research.stats.comparable import disturbed
from research.types import Result

REPEATS = 2
"""how often a disturbed trial is run again, alone and as a replicate of its key"""
_PATIENCE = 4
"""repeats in a row that were disturbed as well, after which none is tried any more: the neighbour stays"""


@final
class Quiet:
    """Counts the trials whose watched windows somebody disturbed."""

    def __init__(self, watched: Iterable[str] = ()) -> None:
        """`watched` are the metrics that decide; those that no clock takes are never disturbed."""
        self.watched = tuple(dict.fromkeys(one for one in watched if is_timed(one)))
        self._looked = self._in_vain = 0
        self._reasons: list[str] = []

    @property
    def patient(self) -> bool:
        """Whether another repeat is worth its joules."""
        return bool(self.watched) and self._in_vain < _PATIENCE

    def reason(self, result: Result | None) -> str | None:
        """Why a trial's watched figures are used nowhere; None where they may be."""
        if result is None:
            return None
        return next(filter(None, (disturbed(metric, result) for metric in self.watched)), None)

    def look(self, result: Result | None, *, again: bool = False) -> bool:
        """Count a trial that was run, `again` a repeat; whether its watched windows were undisturbed."""
        why = self.reason(result)
        self._looked += 1
        self._reasons += [why] if why else []
        if again:
            self._in_vain = self._in_vain + 1 if why else 0
        return why is None

    def sentence(self, why: str) -> str:
        """That the machine is too busy for an answer, with the figures that show it."""
        counted = f"{len(self._reasons)} of {self._looked} trials were disturbed" if self._looked else ""
        return (
            f"the machine is too busy to settle {' and '.join(self.watched)}: "
            f"{f'{counted}, repeats included, ' if counted else 'what is known was disturbed '}for example "
            f"in the {why}; the same command goes on when the machine is quieter"
        )

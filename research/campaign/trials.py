"""The trials of a campaign: how they are typed, and which of them a neighbour disturbed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from research.metrics import is_timed
from research.space.gate import Space
from research.stats.comparable import disturbed
from research.stats.draws import own_split
from research.types import Result


@final
class Typed:
    """Overrides and configs of trials; what is resolved once for all seeds of an arm is kept."""

    def __init__(
        self,
        space: Space,
        fixed: Sequence[str],
        quiet: Sequence[str],
        harness: Mapping[str, Any],
        fresh: float,
    ) -> None:
        """Seeds from `fresh` on draw their own split, where the data can; those below tune, and share one."""
        self._space, self._fresh, self._harness = space, fresh, harness
        self._fixed, self._quiet = tuple(fixed), tuple(quiet)
        self._splits: dict[tuple[str, ...], tuple[str, ...]] = {}

    def line(self, overrides: Sequence[str], seed: int) -> list[str]:
        """Every override of a trial but those that change no result."""
        split = self.split(overrides) if seed >= self._fresh else ()
        return [*self._fixed, *overrides, *split, f"seed={seed}"]

    def config(self, overrides: Sequence[str], seed: int) -> dict[str, Any]:
        """The resolved config of a trial. Raises `Refusal` for an unknown key or option."""
        return self._space.resolve([*self._quiet, *self.line(overrides, seed)]) | dict(self._harness)

    def split(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """The override by which each fresh seed of an arm draws its own split; none where data is fixed."""
        if math.isinf(self._fresh):
            return ()
        given = (*self._fixed, *overrides)
        if given not in self._splits:
            self._splits[given] = own_split(self._space.resolve(given), given)
        return self._splits[given]


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

"""How the trials of an arm are typed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

from research.space.gate import Space
from research.stats.draws import own_split


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
        """`fresh` is the first seed that draws its own split, where the data can be drawn anew.

        Those below it are what configurations are tuned on, and share one split.
        """
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

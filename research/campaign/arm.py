"""One configuration of a campaign, and what became of it over seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from research.space.gate import Space
from research.stats.draws import own_split


@final
@dataclass(eq=False)
class Arm:
    """One configuration: its overrides, and for each seed the trial that ran it or why there is none."""

    overrides: tuple[str, ...]
    proposer: str
    proposal_id: int
    trials: dict[int, int] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    """wall seconds of the trials that this run of the campaign paid for"""
    facts: dict[str, Any] = field(default_factory=dict)
    """what its row in the experiment table says: signature, reasons, and trial ids of each stage"""

    def failed(self, seeds: Sequence[int]) -> str | None:
        """Why one of these seeds has no result, None when all have."""
        missing = [seed for seed in seeds if seed not in self.trials]
        return self.failures.get(missing[0], "it was not run") if missing else None

    def cut(self, seeds: Sequence[int]) -> bool:
        """Whether a seed has neither a result nor a failure: its time was over before it ended."""
        return any(seed not in self.trials and seed not in self.failures for seed in seeds)


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

"""One configuration of a campaign, and what became of it over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final


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

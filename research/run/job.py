"""One trial to run, and how it ended."""

import math
import time
from dataclasses import dataclass, field
from typing import Any, Literal, final

from redact import redact

Status = Literal["done", "known", "failed", "died", "hung", "timeout", "interrupted"]


@final
@dataclass(frozen=True)
class Job:
    """One trial to run: the resolved plain config and where it comes from, as it may be told."""

    config: dict[str, Any]
    overrides: list[str]
    sweep: str | None = None
    source: str = "person"
    until: float | None = None
    """when it must have ended by `time.monotonic`: it is interrupted then, or not started at all"""
    apart: bool = False
    """whether only who asks for it may run it: its clocks are held against others of this machine"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", redact(list(self.overrides)))

    @property
    def left_s(self) -> float:
        """Seconds that it may still take."""
        return math.inf if self.until is None else self.until - time.monotonic()


@final
@dataclass(frozen=True)
class Outcome:
    """How a job ended; `reason` says why in one sentence unless it is done or known.

    Seconds are its process's, for its own turn; memory is the most that the process had held, with all parts.
    """

    job: Job
    status: Status
    reason: str | None = None
    trial_id: int | None = None
    score: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    by: str | None = None
    """who has run it where that was another process, as `slurm on node3`"""

    @property
    def ok(self) -> bool:
        """True when the numbers of this job are known."""
        return self.status in ("done", "known")

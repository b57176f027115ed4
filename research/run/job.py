"""One trial to run, and how it ended: in one word and one sentence, from what the fork server tells of it."""

import json
import math
import signal
import time
from dataclasses import dataclass, field
from typing import Any, Literal, final

from redact import redact
from research.store.faults import Fault

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


OVER = "the time for it was over; the same command goes on with it"
_LOST = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT")
"""signals that others send; no arithmetic of its own ends a process by them"""


def answer_of(text: bytes) -> dict[str, Any]:
    """What the process wrote at its end; empty where that is nothing, or was cut off by its death."""
    try:
        told: dict[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return told


def how_it_ended(
    about: dict[str, Any], answered: dict[str, Any], late: bool, timeout_s: float | None
) -> tuple[Status, str]:
    """How a process without a result ended, and why; `late` where its job's own time is over."""
    ended_by = about.get("ended_by")
    if ended_by == "timeout" and late:
        return "interrupted", OVER
    if ended_by == "timeout":
        return "timeout", f"it did not end within launcher.timeout_s={timeout_s:g} and was killed"
    if ended_by == "hung":
        return "hung", f"{about['silent']}, so it was killed; what it waited in stands at the end of its log"
    if ended_by == "interrupted" or "interrupted" in answered:
        return "interrupted", "stopped before its end; the same command finishes it"
    if "refused" in answered or "failed" in answered:
        return "failed", answered.get("refused") or answered["failed"]
    return "died", _death(about)


def _death(about: dict[str, Any]) -> str:
    if about.get("server"):
        how = f"showed {about['silent']}" if about.get("silent") else "ended"
        return (
            f"the process that forks the trials {how}, and its children with it [printed: {about['server']}]"
        )
    if about["code"] >= 0:
        return f"its process exited with code {about['code']} and no result"
    name = signal.Signals(-about["code"]).name
    held = f"it held {about['peak_bytes'] / 2**30:.1f} GiB"
    if name == "SIGKILL" and about.get("out_of_memory"):
        return f"its process was killed by the kernel while {held}, for want of memory"
    hint = ", perhaps by the kernel for want of memory: try fewer launcher.jobs" if name == "SIGKILL" else ""
    return f"its process was killed by {name} while {held}{hint}"


def kept_reason(status: Status, reason: str, answered: dict[str, Any]) -> str:
    """The reason as a row keeps it: its class comes first, see `research/store/faults.py`."""
    if status == "failed":
        return f"refused: {reason}" if "refused" in answered else reason
    return f"{_fault(reason) if status == 'died' else status}: {reason}"


def _fault(reason: str) -> Fault:
    if reason.endswith("for want of memory"):
        return "oom"
    lost = reason.startswith("the process that forks") or any(f"by {name} " in reason for name in _LOST)
    return "lost" if lost else "crashed"

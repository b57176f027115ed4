"""What a trial may be, and how an attempt at it ends."""

from typing import Literal

HELD = ("leased", "running")
"""statuses of a trial that somebody holds: taken, and training"""
OPEN = ("queued", *HELD)
BROKEN = ("failed", "dead")
FAILED = (*BROKEN, "stopped")
"""statuses of a trial without figures that waits for no attempt; one that is `dead` gets none by itself"""
AttemptOutcome = Literal[
    "done", "configuration", "infrastructure", "lost", "hung", "timeout", "cancelled", "interrupted"
]
"""how an attempt at a trial ends; only `configuration` says anything of what was tried"""

"""What every source of proposals is: it sees the state of the search, proposes, and is told the outcome."""

from abc import ABC, abstractmethod
from typing import Any, Literal

from research.types import Objective, Proposal, Record

SeenStatus = Literal["done", "failed", "refused", "repeat"]


class Seen(Record):
    """One proposal and what came of it: screened figures, or why there are none."""

    overrides: tuple[str, ...]
    proposer: str
    status: SeenStatus
    metrics: dict[str, float] = {}
    """means over the screening seeds, validation split only; empty unless done"""
    reason: str | None = None
    """why it was refused or failed, in one sentence"""


class State(Record):
    """What a proposer may know of a search: never a test figure."""

    goal: str
    objective: Objective
    """as screened: `val/accuracy` where the goal decides on `test/accuracy`"""
    fixed: tuple[str, ...]
    """overrides of every trial; a proposal may not set these keys or groups again"""
    control: Seen | None
    incumbent: Seen | None
    """the best that was screened so far, the controls included"""
    stopped: Seen | None = None
    """the control stopped at the goal's bound, which a claim about a cost must beat; None for none"""
    seen: tuple[Seen, ...] = ()
    """everything proposed so far, oldest first, the control left out"""
    spread: dict[str, float] = {}
    """sample standard deviation over seeds of the control's figures; empty where one seed was run"""


class Proposer(ABC):
    """A source of proposals; what it says is hostile until the gate, which the sprint asks, accepts it."""

    name: str
    first = False
    """whether it has a short list that is worth trying before any search begins"""

    @abstractmethod
    def ask(self, state: State) -> Proposal | None:
        """The next proposal, with `proposer` set to its name; None when it has nothing to say now."""

    @abstractmethod
    def tell(self, proposal: Proposal, seen: Seen) -> None:
        """Learn what came of a proposal: of its own ones and of those of all others."""

    def spent(self) -> dict[str, Any]:
        """What proposing itself cost so far, for example calls, tokens, dollars; empty when nothing."""
        return {}

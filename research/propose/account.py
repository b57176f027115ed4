"""What a source of proposals brought and what it cost, and what one result is worth."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from research.metrics import is_ratio, rank
from research.propose.proposer import Seen, State
from research.types import Record

_KEPT = 0.95
"""of an earlier turn at each later one of anybody: what helped at the start may not help at the end"""
_PRIOR = 3.0
"""turns of the usual gain and cost that each source is credited with before it had any"""
_NOTHING = 1e-9
"""a gain or a cost below which there was none"""


@final
class Asked(Record):
    """What questions to the language model cost."""

    joules: float = 0.0
    """known or estimated, the upper end of the estimate"""
    unknown: int = 0
    """calls whose joules nobody knows: they are in no sum, so whoever shows the sum says so"""


NOTHING = Asked()


@final
@dataclass
class Account:
    """One source's gain and joules: in all, and as sums in which older turns fade."""

    told: int = 0
    gained: float = 0.0
    paid: float = 0.0
    gain: float = 0.0
    cost: float = 0.0
    turns: float = 0.0
    asked: float = 0.0
    """joules of the model's own questions, which `paid` holds too"""
    unknown: int = 0
    """calls of the model whose joules are in none of these sums"""

    @staticmethod
    def of(accounts: Iterable["Account"]) -> "Account":
        """The sum of some accounts."""
        found = Account()
        for one in accounts:
            for name, value in vars(one).items():
                setattr(found, name, getattr(found, name) + value)
        return found

    @property
    def each(self) -> float:
        """Joules of a usual turn; 1 before the first: where nothing is measured, turns are compared."""
        return self.cost / self.turns if self.turns else 1.0

    def age(self) -> None:
        """Let what was earned count for less."""
        self.gain, self.cost, self.turns = _KEPT * self.gain, _KEPT * self.cost, _KEPT * self.turns

    def add(self, gain: float, joules: float) -> None:
        """Count one turn."""
        self.told, self.gained, self.paid = self.told + 1, self.gained + gain, self.paid + joules
        self.gain, self.cost, self.turns = self.gain + gain, self.cost + joules, self.turns + 1

    def pay(self, asked: Asked, counted: bool) -> None:
        """Count questions, which are no turn; `counted` says whether turns are compared by their joules."""
        self.paid, self.asked = self.paid + asked.joules, self.asked + asked.joules
        self.cost, self.unknown = self.cost + asked.joules * counted, self.unknown + asked.unknown

    def quality(self, everyone: "Account") -> float:
        """Gain per joule as a multiple of everyone's, shrunk: 1 where nothing is known, never 0."""
        if everyone.gain < _NOTHING or everyone.cost < _NOTHING:
            return 1.0
        usual, prior = everyone.gain / everyone.cost, _PRIOR * everyone.each
        return (self.gain + prior * usual) / (self.cost + prior) / usual


def gain(state: State, seen: Seen) -> float:
    """How much a result improves on the incumbent of `state`, in 0..1; 0 where it does not.

    Bounds first: while the incumbent misses some, the gain is the fall of what is missed. Then the figure:
    for a cost the logarithm of the ratio, so that halving counts alike at any size, and for a score the rise
    as a share of what has been gained over the control with it.
    """
    if seen.status != "done" or state.incumbent is None:
        return 0.0
    before, after = (rank(state.objective, one.metrics) for one in (state.incumbent, seen))
    if after >= before or math.isinf(after[0]):
        return 0.0
    if before[0] > 0:
        return min(1.0, before[0] - after[0]) if after[0] > 0 else 1.0
    return _risen(state, before[1], after[1])


def _risen(state: State, before: float, after: float) -> float:
    """Both are minimised."""
    if is_ratio(state.objective.metric):
        old, new = abs(before), abs(after)
        return min(1.0, abs(math.log(old / new))) if old and new else 1.0
    start = rank(state.objective, state.control.metrics)[1] if state.control else before
    gone = abs(start - before) if math.isfinite(start) else 0.0
    return (before - after) / (before - after + gone)

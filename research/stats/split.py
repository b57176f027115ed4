"""A gain in two parts: what training the control shorter brings, and what is new beyond that.

Costs are compared by their ratios, and ratios multiply: over the same seeds, contender / control is stopped
control / control times contender / stopped control, exactly, for all three are geometric means of one set of
triples. So the parts of a gain are told one after the other, each in percent of what the one before it left.
Where the size of a chosen gain is told corrected for having been chosen, they multiply up to that correction.
"""

import math
from collections.abc import Sequence
from typing import final

from research.stats.intervals import compare
from research.stats.spelling import interval
from research.types import Comparison, Record, Values, Verdict, VerdictWord


@final
class Split(Record):
    """A contender's gain over the control, beside the control stopped at the bound."""

    stopped: tuple[str, ...]
    """overrides of the stopped control"""
    shorter: Comparison
    """stopped control against the control: what training shorter brings"""
    new: Comparison | None = None
    """contender against the stopped control; None where the contender is the stopped control itself"""
    word: VerdictWord | None = None
    """whether something new is shown; None where nothing is claimed to be"""
    kept: bool = True
    """whether the stopped control's means over the fresh seeds keep the goal's bounds"""

    @property
    def shown(self) -> bool:
        """Whether the gain goes beyond training shorter."""
        return self.word == "supported"

    @property
    def words(self) -> str:
        """For example `-79 % by training shorter (budget.steps=40), then -14 % [-20, -8] by what is new`."""
        line = " ".join(self.stopped)
        first = f"{_percent(self.shorter)} by training shorter (`{line}`)"
        if self.new is None:
            return f"{first}; nothing new was shown beyond it"
        unsettled = "" if self.shown else ", which shows nothing new"
        missed = (
            "" if self.kept else "; stopped there the control misses a bound, so this part is told too small"
        )
        rest = f"{_percent(self.new)} {interval(self.new)} of the rest"
        return f"{first}, then {rest} by what is new{unsettled}{missed}"


def parted(
    stopped: Sequence[str],
    control: Values,
    shorter: Values,
    metric: str,
    level: float,
    beyond: Verdict | None = None,
    kept: bool = True,
) -> Split:
    """The parts of a gain in a cost; `beyond` is the verdict of the contender against the stopped control.

    Where that is supported and the seeds that tell its size leave open whether there is one, nothing new is
    shown.
    """
    new = None if beyond is None else beyond.comparison
    word = None if beyond is None else beyond.word
    if word == "supported" and (new is None or new.low * new.high <= 0):
        word = "open"
    return Split(
        stopped=tuple(stopped),
        shorter=compare(control, shorter, metric, level, "relative"),
        new=new,
        word=word,
        kept=kept,
    )


def _percent(found: Comparison) -> str:
    return f"{found.difference:+.3g} %" if math.isfinite(found.difference) else "an unknown part"

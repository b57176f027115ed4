"""Two one-sided tests: whether a treatment is as good as the control within a margin."""

import math
from typing import NamedTuple

from refusal import Refusal
from research.stats.decide import Errors, Region
from research.stats.examples import Ground
from research.stats.intervals import ALONE, USUAL, Arm, Said, Scale, settle
from research.types import Direction, Verdict


class Margin(NamedTuple):
    """The changes between which two arms count as alike; an infinite end is not tested."""

    low: float
    high: float

    def __str__(self) -> str:
        if math.isinf(self.low) or math.isinf(self.high):
            return f"the margin of {self.high if math.isinf(self.low) else self.low:+.4g}"
        return f"the margin [{self.low:+.4g}, {self.high:+.4g}]"

    @property
    def region(self) -> Region:
        """What a claim says that keeps to it."""
        return Region(self.low, self.high)

    @property
    def said(self) -> Said:
        """How each word of such a claim is put."""
        return Said(f"inside {self}", f"outside {self}", f"does not settle {self}")


def as_good_as(
    control: Arm,
    treatment: Arm,
    *,
    metric: str,
    direction: Direction | None = None,
    margin: float,
    scale: Scale = "difference",
    rate: Errors = USUAL,
    trial_ids: tuple[int, ...] = (),
    ground: Ground = ALONE,
) -> Verdict:
    """Say whether the treatment is as good as the control within `margin`, paired by seed.

    Two one-sided tests, each at the error rate of supporting (Schuirmann 1987, Journal of Pharmacokinetics
    and Biopharmaceutics 15; Lakens 2017, Social Psychological and Personality Science 8). A difference that
    is not significant is no evidence of equality; this is.

    - with a `direction`: `supported` when a loss of the margin is excluded, and the reason says whether a
      gain of the margin is excluded too, so that both are alike; `refuted` when the loss exceeds the margin.
    - without one neither side is better: `supported` only when both are excluded, `refuted` beyond either.

    The margin is in the metric's unit, in percent of the control with `scale="ratio"`; it is settled before
    anything is run. `rate` is that of the ledger's next comparison, and the verdict is recorded there as any
    other. Raises `Refusal` for a margin that is none.
    """
    _check(margin, direction, scale)
    given = (control, treatment, metric)
    lost = _losing(margin, direction)
    word, reason, found = settle(*given, lost.region, lost.said, scale, rate, ground)
    if word == "supported" and direction is not None:
        both = Margin(-margin, margin)
        alike, _, _ = settle(*given, both.region, both.said, scale, rate, ground)
        reason += ", and alike" if alike == "supported" else ", and it may be better by more"
    return Verdict(word=word, comparison=found, reason=reason, trial_ids=trial_ids)


def _losing(margin: float, direction: Direction | None) -> Margin:
    """The margin of which only the worse side is tested, where one side is worse."""
    return Margin(
        -math.inf if direction == "min" else -margin,
        math.inf if direction == "max" else margin,
    )


def _check(margin: float, direction: Direction | None, scale: Scale) -> None:
    if not 0 < margin < math.inf:
        raise Refusal(f"margin={margin}: give the largest loss that does not matter, above zero.")
    if scale == "ratio" and direction != "min" and margin >= 100:
        raise Refusal(f"margin={margin}: nothing falls by 100 %, so give less.")

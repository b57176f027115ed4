"""Two one-sided tests: whether a treatment is as good as the control within a margin."""

import math
from typing import NamedTuple

from refusal import Refusal
from research.objective import EXACT
from research.statistics.spelling import over_seeds
from research.stats import ENOUGH, Arm, Scale, compare, missing
from research.types import Comparison, Direction, Verdict, VerdictWord


class Margin(NamedTuple):
    """The changes between which two arms count as alike; an infinite end is not tested."""

    low: float
    high: float

    def __str__(self) -> str:
        if math.isinf(self.low) or math.isinf(self.high):
            return f"the margin of {self.high if math.isinf(self.low) else self.low:+.4g}"
        return f"the margin [{self.low:+.4g}, {self.high:+.4g}]"


def as_good_as(
    control: Arm,
    treatment: Arm,
    *,
    metric: str,
    direction: Direction | None = None,
    margin: float,
    scale: Scale = "difference",
    level: float = 0.95,
    trial_ids: tuple[int, ...] = (),
) -> Verdict:
    """Say whether the treatment is as good as the control within `margin`, paired by seed.

    Two one-sided tests, each at 1 - `level`: the interval of level 1 - 2 alpha against the margin (Schuirmann
    1987, Journal of Pharmacokinetics and Biopharmaceutics 15; Lakens 2017, Social Psychological and
    Personality Science 8). A difference that is not significant is no evidence of equality; this is.

    - with a `direction`: `supported` when a loss of the margin is excluded, and the reason says whether a
      gain of the margin is excluded too, so that both are alike; `refuted` when the loss exceeds the margin.
    - without one neither side is better: `supported` only when both are excluded, `refuted` beyond either.

    The margin is in the metric's unit, in percent of the control with `scale="ratio"`; it is settled before
    anything is run. `level` is a campaign's level for the next comparison, and the verdict is recorded there
    as any other: claimed falsely, this errs in at most a share 1 - `level` of cases. A trial of either arm
    without a value is never `supported`: what is missing is rarely missing by chance. Raises `Refusal` for a
    margin that is none.
    """
    _check(margin, direction, scale)
    found = compare(control, treatment, metric, _both(level), scale)
    word, reason = within(found, metric, _losing(margin, direction))
    if word == "supported" and direction is not None:
        alike, _ = within(found, metric, Margin(-margin, margin))
        reason += ", and alike" if alike == "supported" else ", and it may be better by more"
    lost = missing(control) + missing(treatment)
    if word == "supported" and lost:
        word, reason = "open", f"{lost} of {len(control) + len(treatment)} trials have no value"
    return Verdict(word=word, comparison=found, reason=reason, trial_ids=trial_ids)


def within(found: Comparison, metric: str, margin: Margin) -> tuple[VerdictWord, str]:
    """Word and reason of a comparison made at level 1 - 2 alpha, against the ends of a margin."""
    shown = over_seeds(found)
    if found.n < ENOUGH:
        return "open", f"{found.n} of the {ENOUGH} paired seeds that a decision needs"
    alike = found.effect_size is None and not metric.startswith(EXACT)
    if alike and found.difference:
        return "open", f"{shown}: all differences are equal; add seeds"
    if margin.low < found.low and found.high < margin.high:
        return "supported", f"{shown}: inside {margin}"
    if found.high < margin.low or found.low > margin.high:
        return "refuted", f"{shown}: outside {margin}"
    return "open", f"{shown}: does not settle {margin}"


def _both(level: float) -> float:
    """The level of the interval whose two ends are the two tests."""
    if not 0.5 < level < 1:
        raise Refusal(f"level={level} is no confidence of two one-sided tests: give one above 0.5, as 0.95.")
    return 1 - 2 * (1 - level)


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

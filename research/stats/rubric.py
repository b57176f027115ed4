"""The rating of a finding from 1 to 10: a rubric over facts that code has checked, never an opinion.

Everyone starts at 1, and each fact adds its points where the facts that it rests on hold too:

| fact         | points | it counts when                                                                   |
|--------------|--------|----------------------------------------------------------------------------------|
| `ran`        | 1      | every trial of the arm has a result                                              |
| `compared`   | 1      | it ran, beside a control, over three or more paired seeds                        |
| `settled`    | 1      | it was compared, and the verdict is `supported` or `refuted`                     |
| `supported`  | 1      | the verdict is `supported`                                                       |
| `fresh`      | 1      | it is settled on seeds that chose nothing and a split that nobody tuned on       |
| `new`        | 1      | it is settled, no earlier finding says the same, and it is more than less training|
| `reproduced` | 1      | it is supported, and so it was on other seeds, another machine or another day    |
| `saves`      | 1      | it is supported, and fewer joules than the control's are supported as well       |
| `efficient`  | 1      | it is supported on fresh seeds, and E > 2 with the accuracy at its floor or above|

| score | it is never reached without                                              | words         |
|-------|--------------------------------------------------------------------------|---------------|
| 9, 10 | E > 2 at the accuracy floor, confirmed                                   | outstanding   |
| 8     | a gain over the control stopped at the bound too, where one was asked    | publishable   |
| 7     | `supported` on fresh seeds, and one of new, reproduced, saves            | publishable   |
| 5, 6  | a settled verdict                                                        | worth keeping |
| 3, 4  | a comparison                                                             | a hint        |
| 1, 2  |                                                                          | no finding    |

A cost of training falls by training less, so a claim about one is held to the control stopped at the bound: a
gain that is not shown beyond that is not new, and comes to 7 at most.

A fact that comes true never lowers the score. What a language model says of a finding is no fact.

E is the efficiency against a baseline, (accuracy / baseline accuracy) x (baseline energy / energy).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from pydantic import Field

from research.metrics import is_energy
from research.page import exact
from research.stats.comparable import comparable
from research.stats.decide import ENOUGH
from research.types import Record, Result, Trial, Verdict, VerdictWord

PUBLISHABLE = 7
OUTSTANDING = 9
Words = Literal["no finding", "a hint", "worth keeping", "publishable", "outstanding"]
_E = 2.0
_ACCURACY, _ENERGY = "test/accuracy", "train/energy_j"
_WORDS: tuple[tuple[int, Words], ...] = (
    (OUTSTANDING, "outstanding"),
    (PUBLISHABLE, "publishable"),
    (5, "worth keeping"),
    (3, "a hint"),
    (1, "no finding"),
)


@final
class RubricFacts(Record):
    """What code has checked of a finding; what is not known is false."""

    ran: bool = False
    pairs: int = Field(default=0, ge=0)
    """seeds that control and arm share, each with a value"""
    word: VerdictWord | None = None
    fresh: bool = False
    """on seeds that no screening or promotion used, on the test split"""
    reproduced: bool = False
    """the same claim was `supported` before, by other trials"""
    new: bool = False
    beyond: bool | None = None
    """a gain over the control stopped at the bound, `supported`; None where it is no such cost"""
    saves_energy: bool = False
    """fewer joules than the control's, `supported` at the campaign's level, by one method"""
    efficiency: float | None = None
    """the smallest E over the seeds; None where it must not be shown, as below the accuracy floor"""


@final
class Credit(Record):
    """What one fact adds, and why."""

    points: int
    holds: bool
    why: str


@final
class Rating(Record):
    """The score from 1 to 10, the points behind it, and what it is called."""

    score: int = Field(ge=1, le=10)
    points: dict[str, Credit]
    words: Words


@final
@dataclass(frozen=True)
class Efficiency:
    """E, or None with the reason that it must not be shown."""

    value: float | None
    reason: str | None


def rating(facts: RubricFacts) -> Rating:
    """Rate a finding by the table above."""
    held = _held(facts)
    points = {name: Credit(points=int(holds), holds=holds, why=why) for name, (holds, why) in held.items()}
    most = _most(points) if facts.beyond is not False else min(_most(points), PUBLISHABLE)
    score = min(1 + sum(point.points for point in points.values()), most)
    return Rating(score=score, points=points, words=next(word for least, word in _WORDS if score >= least))


def gathered(
    verdict: Verdict,
    *,
    ran: bool,
    fresh: bool,
    new: bool,
    reproduced: bool = False,
    energy: Verdict | None = None,
    efficiency: Efficiency | None = None,
    beyond: bool | None = None,
) -> RubricFacts:
    """The facts of a verdict. `energy` is the one on its joules: the same where the claim is on them."""
    compared = verdict.comparison
    return RubricFacts(
        ran=ran,
        pairs=0 if compared is None else compared.n,
        word=verdict.word,
        fresh=fresh,
        new=new,
        beyond=beyond,
        reproduced=reproduced,
        saves_energy=energy is not None and energy.word == "supported" and _falls(energy),
        efficiency=None if efficiency is None else efficiency.value,
    )


def _falls(verdict: Verdict) -> bool:
    compared = verdict.comparison
    return compared is not None and is_energy(compared.metric) and compared.high < 0


def _held(given: RubricFacts) -> dict[str, tuple[bool, str]]:
    """Each fact of the table: whether it counts, and why."""
    compared = given.ran and given.pairs >= ENOUGH
    settled = compared and given.word in ("supported", "refuted")
    supported = settled and given.word == "supported"
    e, told = given.efficiency, "E is not known"
    if e is not None and not math.isnan(e):
        told = f"E of the worst seed is {e:.3g}, and counts above {_E:g} when confirmed"
    return {
        "ran": (given.ran, "every trial has a result" if given.ran else "a trial has no result"),
        "compared": (compared, f"{given.pairs} pairs of the {ENOUGH} that a comparison needs"),
        "settled": (settled, f"the verdict is {given.word or 'not given'}"),
        "supported": (supported, f"the verdict is {given.word or 'not given'}"),
        "fresh": _rests(given.fresh, settled, "judged on fresh seeds"),
        "new": _new(given, settled),
        "reproduced": _rests(given.reproduced, supported, "supported by other trials too"),
        "saves": _rests(given.saves_energy, supported, "fewer joules than the control, supported"),
        "efficient": (supported and given.fresh and e is not None and e > _E, told),
    }


def _new(given: RubricFacts, settled: bool) -> tuple[bool, str]:
    if given.beyond is False:
        return False, "not shown beyond what training shorter brings"
    if not given.new:
        return False, "said by an earlier finding too"
    return _rests(True, settled, "said by no earlier finding")


def _rests(true: bool, carried: bool, said: str) -> tuple[bool, str]:
    """Whether a fact counts, which the verdict must carry, and why."""
    if not true:
        return False, f"not {said}"
    return carried, said if carried else f"{said}, but the verdict does not carry it"


def _most(points: dict[str, Credit]) -> int:
    """The highest score that these facts allow."""
    confirmed = points["supported"].holds and points["fresh"].holds
    if not confirmed:
        return PUBLISHABLE - 1
    return 10 if points["efficient"].holds else OUTSTANDING - 1


def efficiency(trial: Trial, baseline: Trial, results: Mapping[int, Result], *, floor: float) -> Efficiency:
    """E of a trial; above 1 is better than the baseline.

    None where E would mislead: energies of different methods or hardware, a figure that is missing or not
    above zero, or an accuracy below `floor`, because alone E rewards small bad models.
    """
    complaint = comparable(_ENERGY, (trial, baseline), results)
    if complaint:
        return Efficiency(None, complaint)
    figures = []
    for arm in (trial, baseline):
        metrics = results[arm.id].metrics if arm.id in results else {}
        for name in (_ACCURACY, _ENERGY):
            value = metrics.get(name, math.nan)
            if not 0 < value < math.inf:
                return Efficiency(None, f"Trial {arm.id} has no {name} above zero.")
            figures.append(value)
    reached, spent, base_reached, base_spent = figures
    if reached < floor:
        return Efficiency(None, f"{_ACCURACY} {reached:.4g} is below the floor of {exact(floor)}.")
    return Efficiency((reached / base_reached) * (base_spent / spent), None)

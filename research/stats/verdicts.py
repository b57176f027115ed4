"""What the figures of two arms say of a claim: a word, why, and the comparison that it rests on.

An interval has the ends that the two one-sided tests have: it lies wholly where a supported claim says. What
a word takes, with too few values, without spread or with some missing, is said in one place,
`research.stats.decide`.

An experiment of K claims judges each at alpha / K (Bonferroni), so that it says anything false of all of them
together with a chance of at most alpha. A claim of several parts is `supported` only when every part is, each
at the claim's own error rate; it is `refuted` when one part is, and for that the rate is shared out over the
parts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

from refusal import Refusal
from research.metrics import shown as bound_words
from research.page import exact
from research.stats.alpha import Errors, errors
from research.stats.claims import Claim, Kind, Part, Size
from research.stats.decide import ENOUGH, Region, decide
from research.stats.draws import Ground
from research.stats.intervals import ALONE, ROUNDING, described, estimate, mean_of, over_seeds, rests_on
from research.types import Comparison, Constraint, Direction, Scale, Values, Verdict, VerdictWord

USUAL = errors(0.05)
"""the error rate of a comparison that stands alone"""
_FLAT = "are equal, which says nothing of their spread; add seeds"


@final
class Said(NamedTuple):
    """How each word of a claim is put."""

    supported: str
    refuted: str
    open: str


def settle(
    control: Values,
    treatment: Values,
    metric: str,
    claimed: Region,
    said: Said,
    scale: Scale,
    rate: Errors,
    ground: Ground = ALONE,
) -> tuple[VerdictWord, str, Comparison]:
    """Word, reason and comparison of a claim about the change, in percent of the control for a ratio."""
    measured, tails = estimate(control, treatment, metric, scale, ground), rate.tails
    absent = missing(control, scale) + missing(treatment, scale)
    word = decide(measured, _scaled(claimed, scale), tails, absent)
    if math.isfinite(claimed.low) and math.isfinite(claimed.high):
        ends, level = (tails[0], tails[0]), 1 - 2 * rate.supported
    else:
        ends, level = tails if claimed.low > -math.inf else tails[::-1], rate.level
    compared = described(measured, metric, scale, ends, level, ground, tails[0])
    if absent:
        return word, _absent([*control.values(), *treatment.values()], scale), compared
    if compared.n < ENOUGH:
        return word, f"{compared.n} of the {ENOUGH} paired seeds that a decision needs", compared
    shown = over_seeds(compared)
    if word == "open" and not measured.error:
        return word, f"{shown}: all differences {_FLAT}", compared
    return word, f"{shown}: {getattr(said, word)}", compared


def judge(
    control: Values,
    treatment: Values,
    *,
    metric: str,
    direction: Direction = "max",
    smallest_effect: float = 0.0,
    scale: Scale = "absolute",
    rate: Errors = USUAL,
    trial_ids: Sequence[int] = (),
    ground: Ground = ALONE,
) -> Verdict:
    """Say whether the treatment improves `metric` by more than `smallest_effect`.

    `supported` at the error rate of supporting, `refuted` when an improvement of the smallest effect is
    excluded at that of refuting, else `open`. The smallest effect is in the metric's unit, in percent with
    `scale="relative"`. `ground` is what the change rests on (`research.stats.draws.ground`). Over a campaign
    the rate comes from its question's (`research.stats.alpha.rate`), else every test errs by itself.
    """
    if not smallest_effect >= 0 or math.isinf(smallest_effect):
        raise Refusal(f"smallest_effect={smallest_effect}: give the size of an improvement, zero or more.")
    claimed = Region(low=smallest_effect) if direction == "max" else Region(high=-smallest_effect)
    sized, beyond = (f" {w} {exact(smallest_effect)}" if smallest_effect else "" for w in ("of", "beyond"))
    said = Said(f"an improvement{beyond}", f"no improvement{sized}", f"does not settle an improvement{sized}")
    word, reason, compared = settle(control, treatment, metric, claimed, said, scale, rate, ground)
    return Verdict(word=word, comparison=compared, reason=reason, trial_ids=tuple(trial_ids))


def missing(arm: Values, scale: Scale = "absolute") -> int:
    """How many of an arm's trials have no value."""
    return sum(not math.isfinite(value) or (scale == "relative" and value <= 0) for value in arm.values())


def _absent(values: Sequence[float], scale: Scale) -> str:
    """Why some trials of a comparison do not count: a share of what is zero or negative is not defined."""
    lost, gone = (missing(dict(enumerate(values)), of) for of in ("absolute", scale))
    told = {"no value": lost, "a value of 0 or less, of which no change in percent is defined": gone - lost}
    return ", and ".join(f"{n} of {len(values)} trials have {what}" for what, n in told.items() if n)


def check(
    constraint: Constraint, values: Iterable[float], rate: Errors = USUAL, ground: Ground = ALONE
) -> tuple[VerdictWord, str]:
    """Say whether the mean keeps its bound, as word and reason."""
    measured = [float(value) for value in values]
    finite = [value for value in measured if math.isfinite(value)]
    least = constraint.op == ">="
    claimed = Region(*((constraint.bound, math.inf) if least else (-math.inf, constraint.bound)), closed=True)
    rounding = ROUNDING * max(map(abs, finite), default=0.0)
    mean = mean_of(finite, rounding, constraint.metric, ground=ground)
    absent = len(measured) - len(finite)
    word = decide(mean, claimed, rate.tails, absent)
    shown = bound_words(constraint)
    if absent:
        return word, f"{shown}: {absent} of {len(measured)} trials have no value"
    if mean.n < ENOUGH:
        return word, f"{shown}: {mean.n} of the {ENOUGH} values that a decision needs"
    if word == "open" and not mean.error:
        return word, f"{shown}: all values {_FLAT}"
    half = abs(mean.most(rate.tails[0]) - mean.mean)
    rests = f", {rests_on(ground.over, mean.n)}" if ground.over else ""
    if word == "open":
        return word, f"{shown}: mean {mean.mean:.6g} ± {half:.2g} does not settle it{rests}"
    told = "is kept" if word == "supported" else "is broken"
    return word, f"{shown} {told}: mean {mean.mean:.6g}{rests}"


def _scaled(claimed: Region, scale: Scale) -> Region:
    """A claim in percent of the control as one about logarithms; ends that it takes in stay in it."""
    if scale == "absolute":
        return claimed
    low, high = (math.log1p(end / 100) if end > -100 else -math.inf for end in (claimed.low, claimed.high))
    slack = ROUNDING if claimed.closed else 0.0
    return Region(low - slack, high + slack, claimed.closed)


@final
@dataclass(frozen=True)
class PartVerdict:
    """One part of a claim as judged; the comparison is None for a bound on the arm alone."""

    part: Part
    word: VerdictWord
    reason: str
    comparison: Comparison | None


@final
@dataclass(frozen=True)
class ClaimVerdict:
    """One claim of one arm as judged."""

    claim: Claim
    arm: str
    against: str
    word: VerdictWord
    parts: tuple[PartVerdict, ...]
    alpha: float

    @property
    def reason(self) -> str:
        """The parts that decided the word, with their reasons."""
        decided = [part for part in self.parts if part.word == self.word]
        return "; ".join(f"{part.part.metric} {part.reason}" for part in decided)


def claim_word(parts: Sequence[PartVerdict]) -> VerdictWord:
    """The word of a claim: `refuted` by any part, `supported` by all."""
    words = {part.word for part in parts}
    if "refuted" in words:
        return "refuted"
    return "supported" if words == {"supported"} else "open"


def verdict(parts: Sequence[PartVerdict], trial_ids: Iterable[int] = ()) -> Verdict:
    """The verdict on a claim whose first part is what an arm is compared in, the others bounds.

    The reason is the first part's where it is supported, what refuted it first, else all that is open.
    """
    word = claim_word(parts)
    told = [bound_reason(part) if at else (part.part.metric, part.reason) for at, part in enumerate(parts)]
    deciding = [said for said, part in zip(told, parts, strict=True) if part.word == word]
    by, reasons = zip(*(deciding if word == "open" else deciding[:1]), strict=True)
    reason, compared = "; ".join(reasons), parts[0].comparison
    return Verdict(word=word, comparison=compared, reason=reason, trial_ids=tuple(trial_ids), by=by)


def bound_reason(found: PartVerdict) -> tuple[str, str]:
    """The bound as it is shown, and a reason that begins with it."""
    bound = found.part.kept
    said = found.part.words if bound is None else bound_words(bound)
    return said, found.reason if found.reason.startswith(said) else f"{said}: {found.reason}"


def distance(
    part: Part, control: Values, arm: Values, rate: Errors = USUAL, ground: Ground = ALONE
) -> float | None:
    """How far inside its bound an arm's mean would have to lie to keep it, in the metric's unit.

    None where the bound is settled already, or too few figures say.
    """
    found, bound = judged(part, control, arm, rate, ground), part.kept
    if found.word != "open" or bound is None:
        return None
    if part.bound is not None:
        finite = [value for value in arm.values() if math.isfinite(value)]
        mean = mean_of(finite, 0.0, bound.metric, ground=ground)
        return mean.most(rate.tails[0]) - mean.mean if mean.n >= ENOUGH else None
    compared = found.comparison
    if compared is None or compared.n < ENOUGH:
        return None
    short = abs(compared.difference - (compared.low if bound.op == ">=" else compared.high))
    if compared.scale == "absolute":
        return short
    figures = [value for value in control.values() if math.isfinite(value)]
    return short / 100 * math.fsum(figures) / len(figures)


def judged(part: Part, control: Values, arm: Values, rate: Errors, ground: Ground = ALONE) -> PartVerdict:
    """Judge one part of a claim; `rate` is that of the part, see `Errors.among`, `ground` its figure's."""
    if part.bound is not None:
        return PartVerdict(part, *check(part.bound, arm.values(), rate, ground), None)
    scale = part.size.scale
    if part.kind not in ("less_by", "more_by"):
        given = (control, arm, part.metric, part.region, _kept_within(part.region), scale, rate, ground)
        return PartVerdict(part, *settle(*given))
    verdict = judge(
        control,
        arm,
        metric=part.metric,
        direction=part.direction,
        smallest_effect=abs(part.size.change(-1 if part.direction == "min" else 1)),
        scale=scale,
        rate=rate,
        ground=ground,
    )
    return PartVerdict(part, verdict.word, verdict.reason, verdict.comparison)


def _kept_within(margin: Region) -> Said:
    """How a claim to stay within a margin is put; an infinite end is not tested."""
    ends = [end for end in (margin.low, margin.high) if math.isfinite(end)]
    told = ", ".join(f"{end:+.4g}" for end in ends)
    told = f"the margin [{told}]" if len(ends) == 2 else f"the margin of {told}"
    return Said(f"inside {told}", f"outside {told}", f"does not settle {told}")


_LOSS: Mapping[Direction | None, Kind] = {"max": "not_less_by", "min": "not_more_by", None: "equal_within"}


def as_good_as(
    control: Values,
    treatment: Values,
    *,
    metric: str,
    direction: Direction | None = None,
    margin: float,
    scale: Scale = "absolute",
    rate: Errors = USUAL,
    trial_ids: tuple[int, ...] = (),
    ground: Ground = ALONE,
) -> Verdict:
    """Say whether the treatment is as good as the control within `margin`, paired by seed.

    Two one-sided tests, each at the error rate of supporting (Schuirmann 1987, Journal of Pharmacokinetics
    and Biopharmaceutics 15; Lakens 2017, Social Psychological and Personality Science 8): a difference that
    is not significant is no evidence of equality. With a `direction` only a loss of the margin must be
    excluded, and the reason says whether a gain is too; without one neither side is better, and both must.

    The margin is in the metric's unit, in percent of the control with `scale="relative"`; it is settled
    before anything is run. Raises `Refusal` for a margin that is none.
    """
    if not 0 < margin < math.inf:
        raise Refusal(f"margin={margin}: give the largest loss that does not matter, above zero.")
    if scale == "relative" and direction != "min" and margin >= 100:
        raise Refusal(f"margin={margin}: nothing falls by 100 %, so give less.")
    size = Size(margin, "%" if scale == "relative" else "")
    lost = judged(Part.of(metric, _LOSS[direction], size), control, treatment, rate, ground)
    reason = lost.reason
    if lost.word == "supported" and direction is not None:
        both = judged(Part.of(metric, "equal_within", size), control, treatment, rate, ground)
        reason += ", and alike" if both.word == "supported" else ", and it may be better by more"
    return Verdict(word=lost.word, comparison=lost.comparison, reason=reason, trial_ids=trial_ids)

"""Confirmation: contender against control on fresh seeds and the test split, at the ledger's error rate."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, final

from research.campaign.bench import Arm, Bench
from research.campaign.charter import Confirm
from research.campaign.judging import Finding, Question, Turn, ground, judge, method, undisturbed
from research.metrics import METRICS, is_ratio, is_test, screening, shortfall
from research.stats.alpha import Errors
from research.stats.claims import Claim
from research.stats.decide import ENOUGH
from research.stats.effects import Gain, chosen, parted
from research.stats.intervals import compare
from research.stats.verdicts import as_good_as, distance, verdict
from research.types import Direction, Objective, Verdict

_LEVEL = 0.95
"""confidence of a size that is told"""
_SCORES = ("test/accuracy", "test/bits_per_byte", "test/loss")


def claim(
    objective: Objective, smallest_effect: float, control: Mapping[str, float], *, confirmed: bool = False
) -> Claim:
    """What is claimed of a contender: the objective, or a bound that the control's figures miss.

    A `confirmed` control keeps every bound, whatever its screening says. A bound that is relative to the
    control is part of either claim, and judged beside it by pairs: a loss within a margin is non-inferiority.
    """
    bounds = objective.constraints
    for bound in bounds if not confirmed else ():
        if bound.of_control is None and shortfall(bound, control.get(screening(bound.metric), math.nan)) > 0:
            direction: Direction = "max" if bound.op == ">=" else "min"
            because = "the control breaks this bound"
            return Claim.improvement(bound.metric, direction, bounds=bounds, because=because)
    effect = 100 * smallest_effect if is_ratio(objective.metric) else smallest_effect
    return Claim.improvement(objective.metric, objective.direction, effect, bounds)


@final
class Confirmation:
    """Runs control and contender side by side on seeds that no screening has used."""

    def __init__(self, bench: Bench, settings: Confirm, question: Question, seed: int) -> None:
        self._bench, self._settings, self._question = bench, settings, question
        self._rng = random.Random(f"confirm {seed}")

    def judge(self, control: Arm, arm: Arm, claim: Claim, stopped: Arm | None = None) -> Finding:
        """Look, and look again with more seeds while the verdict is open and the budget allows.

        `stopped` is the control stopped at the bound, which may be the arm itself: trained beside both, it
        tells what of a gain is new.
        """
        arms = tuple(dict.fromkeys(side for side in (control, stopped, arm) if side is not None))
        verdict = Verdict(word="open", comparison=None, reason="nothing was confirmed", trial_ids=())
        seeds, counts, held = list[int](), list[int](), 0
        turn = self._turn(arm, claim)
        for _ in range(self._settings.looks):
            more, short = self._affordable(arms, turn.first + len(seeds) + held)
            if not more:
                verdict = verdict.model_copy(update={"reason": f"{verdict.reason}; {short}"})
                break
            self._bench.run(self._interleaved(arms, more), alone=claim.timed)
            whole, busy = self._whole(arms, more)
            held += len(busy)
            if not whole or len(seeds) + len(whole) < ENOUGH:
                over = busy[0] if busy else "the time of its box was over"
                verdict = verdict.model_copy(update={"reason": f"{verdict.reason}; {over}"})
                break
            seeds += whole
            counts.append(len(seeds))
            verdict = self._verdict(control, arm, claim, seeds, turn.rate.at(counts, self._settings.looks))
            if verdict.word != "open":
                break
        self._question.end(turn, verdict.word, counts)
        more, told = [], dict[str, Any]()
        if verdict.word == "supported":
            more = self._estimating(arms, claim, turn.first + len(seeds) + held)
            verdict = self._told(control, arm, claim, verdict, more, (seeds, turn.rate, counts))
            told["split"] = self._split(control, arm, stopped, claim, (seeds, counts, more))
            told["alike"] = self._alike(control, arm, claim, seeds)
        elif verdict.word == "open":
            told["unsettled"] = self._unsettled(control, arm, claim, seeds, turn.rate)
        return Finding(
            arm=arm,
            claim=claim,
            verdict=verdict,
            seeds=tuple(seeds),
            energy_method=method(self._bench, arm, seeds),
            turn=turn,
            counts=tuple(counts),
            estimated=tuple(more),
            **told,
        )

    def _whole(self, arms: Sequence[Arm], seeds: Sequence[int]) -> tuple[list[int], list[str]]:
        """The seeds that every arm was run with in time and undisturbed, and why others were disturbed."""
        ended = [seed for seed in seeds if not any(side.cut([seed]) for side in arms)]
        why = {
            seed: next(filter(None, (self._bench.held(side, [seed]) for side in arms)), "") for seed in ended
        }
        return [seed for seed in ended if not why[seed]], list(filter(None, why.values()))

    def _turn(self, arm: Arm, claim: Claim) -> Turn:
        """Its turn in the ledger, with seeds that nobody has had: it is taken before they are run."""
        name = f"{claim.first.metric} {self._bench.signature(arm.overrides)[:16]}"
        return self._question.turn(name, self._settings.first_seed, self._settings.each)

    def _estimating(self, arms: Sequence[Arm], claim: Claim, first: int) -> list[int]:
        """Seeds that were run to tell the size, as many as the budget allows; none when those are too few."""
        more, _ = self._affordable(arms, first, self._settings.estimate)
        self._bench.run(self._interleaved(arms, more), alone=claim.timed)
        kept = undisturbed(self._bench, arms, more)
        return kept if len(kept) >= ENOUGH else []

    def _told(
        self,
        control: Arm,
        arm: Arm,
        claim: Claim,
        verdict: Verdict,
        more: Sequence[int],
        decided: tuple[Sequence[int], Errors, Sequence[int]],
    ) -> Verdict:
        """A supported verdict with its size from seeds that did not decide, else given that it was chosen."""
        (seeds, rate, counts), part = decided, claim.first
        before, after = (self._bench.values(side, part.metric, more or seeds) for side in (control, arm))
        rests = ground(self._bench, part.metric, more or seeds, arm, control, part.size.scale)
        if more:
            size = compare(before, after, part.metric, _LEVEL, part.size.scale, rests)
            return verdict.model_copy(update={"told": size, "told_by": f"{size.n} seeds that did not decide"})
        looks = [rate.at(counts[:look], self._settings.looks) for look in range(1, len(counts) + 1)]
        claimed = (part.metric, part.direction, part.size.number, part.size.scale)
        size = chosen(before, after, *claimed, looks)
        # What was chosen is known given its spread over the seeds, without that of the examples.
        size = size.model_copy(update={"over": "seeds" if rests.spread else rests.over})
        return verdict.model_copy(update={"told": size, "told_by": "given that it was chosen"})

    def _affordable(self, arms: Sequence[Arm], first: int, most: int | None = None) -> tuple[list[int], str]:
        """Fresh seeds for one look, as many as the budget allows; none when that is too few to decide."""
        short: str | None = ""
        for count in range(self._settings.seeds if most is None else most, ENOUGH - 1, -1):
            seeds = list(range(first, first + count))
            short = self._bench.short(self._bench.price([(side, seed) for seed in seeds for side in arms]))
            if short is None:
                return seeds, ""
        return [], short or ""

    def _interleaved(self, arms: Sequence[Arm], seeds: Sequence[int]) -> list[tuple[Arm, int]]:
        """Seed by seed, in an order by lot in which each arm has each place equally often.

        By lot alone one of two arms would come first in all of five pairs every sixteenth time, and what
        drifts on the machine would be a finding.
        """
        pairs: list[tuple[Arm, int]] = []
        turns: list[int] = []
        for seed in seeds:
            if not turns:
                order = self._rng.sample(arms, len(arms))
                turns = self._rng.sample(range(len(arms)), len(arms))
            at = turns.pop()
            pairs += [(arm, seed) for arm in (*order[at:], *order[:at])]
        return pairs

    def _verdict(self, control: Arm, arm: Arm, claim: Claim, seeds: Sequence[int], rate: Errors) -> Verdict:
        trials = [trial.id for side in (control, arm) for trial in self._bench.trials(side, seeds)]
        return verdict(judge(self._bench, claim, control, arm, seeds, rate), trials)

    def _unsettled(
        self, control: Arm, arm: Arm, claim: Claim, seeds: Sequence[int], rate: Errors
    ) -> dict[str, float]:
        """The bounds that its seeds leave open, with how far inside its mean would have to be."""
        told: dict[str, float | None] = {}
        for part in claim.all[1:]:
            before, after = (self._bench.values(side, part.metric, seeds) for side in (control, arm))
            beside = None if part.bound else control
            rests = ground(self._bench, part.metric, seeds, arm, beside, part.size.scale)
            told[part.metric] = distance(part, before, after, rate, rests)
        return {metric: short for metric, short in told.items() if short is not None}

    def _alike(self, control: Arm, arm: Arm, claim: Claim, seeds: Sequence[int]) -> dict[str, Verdict]:
        """Whether what was found cheaper is as good in the score that the goal bounds, else the usual one.

        It is one more comparison of the campaign, and none where the goal has a margin of its own.
        """
        measured = self._bench.means(control, seeds).keys() & self._bench.means(arm, seeds).keys()
        bounded = [one.metric for one in claim.constraints if is_test(one.metric)]
        score = next((one for one in (*bounded, *_SCORES) if one in measured), None)
        if self._settings.margin is None or score is None or not is_ratio(claim.first.metric):
            return {}
        if any(one.metric == score and one.of_control for one in claim.constraints):
            return {}
        trials = [*self._bench.trials(control, seeds), *self._bench.trials(arm, seeds)]
        turn = self._question.turn(f"{score} as good {self._bench.signature(arm.overrides)[:16]}")
        verdict = as_good_as(
            self._bench.values(control, score, seeds),
            self._bench.values(arm, score, seeds),
            metric=score,
            direction=METRICS[score].better,
            margin=self._settings.margin,
            rate=turn.rate,
            trial_ids=tuple(trial.id for trial in trials),
            ground=ground(self._bench, score, seeds, arm, control),
        )
        self._question.end(turn, verdict.word, [len(seeds)])
        return {score: verdict}

    def _split(
        self,
        control: Arm,
        arm: Arm,
        stopped: Arm | None,
        claim: Claim,
        ran: tuple[Sequence[int], Sequence[int], Sequence[int]],
    ) -> Gain | None:
        """The parts of a gain, from the seeds that tell its size, else from those that decided.

        Whether there is a new one is one more comparison of the question, with the looks of the first.
        """
        if stopped is None or not is_ratio(claim.first.metric):
            return None
        bare = Claim.improvement(claim.first.metric, claim.first.direction)
        seeds, counts, more = ran
        beyond = None if stopped is arm else self._new(stopped, arm, bare, seeds, counts)
        before, shorter, own = (
            self._bench.values(side, claim.first.metric, more or seeds) for side in (control, stopped, arm)
        )
        if beyond is not None and more:
            size = compare(shorter, own, claim.first.metric, _LEVEL, "relative")
            beyond = beyond.model_copy(update={"comparison": size})
        given, means = (self._bench.means(side, seeds) for side in (control, stopped))
        bounds = [bound.resolved(given) for bound in claim.constraints]
        kept = all(shortfall(bound, means.get(bound.metric, math.nan)) <= 0 for bound in bounds)
        return parted(stopped.overrides, before, shorter, claim.first.metric, _LEVEL, beyond, kept)

    def _new(
        self, stopped: Arm, arm: Arm, claim: Claim, seeds: Sequence[int], counts: Sequence[int]
    ) -> Verdict:
        """Whether the contender is cheaper than the control stopped at the bound."""
        turn = self._question.turn(f"{claim.first.metric} new {self._bench.signature(arm.overrides)[:16]}")
        verdict = self._verdict(stopped, arm, claim, seeds, turn.rate.at(counts, self._settings.looks))
        self._question.end(turn, verdict.word, counts)
        return verdict

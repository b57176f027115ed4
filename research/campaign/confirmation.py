"""Confirmation: contender against control on fresh seeds and the test split, at the ledger's error rate."""

import math
import random
from collections.abc import Callable, Sequence
from typing import final

from research.campaign.bench import Arm, Bench
from research.campaign.charter import Confirm
from research.campaign.claimed import Claim, Finding
from research.campaign.grounds import ground
from research.campaign.question import Question, Turn
from research.metrics import METRICS, is_ratio, is_test, scale, shortfall
from research.stats.alpha import Errors
from research.stats.comparable import comparable, energy_method
from research.stats.decide import ENOUGH
from research.stats.effects import Gain, chosen, parted
from research.stats.intervals import compare
from research.stats.verdicts import Bounded, as_good_as, judge, margin
from research.types import Verdict

_LEVEL = 0.95
"""confidence of a size that is told"""
_SCORES = ("test/accuracy", "test/bits_per_byte", "test/loss")


@final
class Confirmation:
    """Runs control and contender side by side on seeds that no screening has used."""

    def __init__(
        self,
        bench: Bench,
        settings: Confirm,
        question: Question,
        seed: int,
        boxed: Callable[[float], str | None] = lambda seconds: None,
    ) -> None:
        """`boxed` says why so many seconds do not fit into the time that is left, None when they do."""
        self._bench, self._settings, self._question, self._boxed = bench, settings, question, boxed
        self._rng = random.Random(f"confirm {seed}")

    def judge(self, control: Arm, arm: Arm, claim: Claim, stopped: Arm | None = None) -> Finding:
        """Look, and look again with more seeds while the verdict is open and the budget allows.

        `stopped` is the control stopped at the bound, which may be the arm itself: trained beside both, it
        tells what of a gain is new.
        """
        arms = tuple(dict.fromkeys(one for one in (control, stopped, arm) if one is not None))
        seeds: list[int] = []
        verdict = Verdict(word="open", comparison=None, reason="nothing was confirmed", trial_ids=())
        counts: list[int] = []
        held, turn = 0, self._turn(arm, claim)
        for _ in range(self._settings.looks):
            more, short = self._affordable(arms, turn.first + len(seeds) + held)
            if not more:
                verdict = verdict.model_copy(update={"reason": f"{verdict.reason}; {short}"})
                break
            self._bench.run(self._interleaved(arms, more), alone=claim.alone)
            whole = [seed for seed in more if not any(one.cut([seed]) for one in arms)]
            busy = {
                seed: next(filter(None, (self._bench.held(one, [seed]) for one in arms)), None)
                for seed in whole
            }
            whole, held = [seed for seed in whole if not busy[seed]], held + sum(map(bool, busy.values()))
            if not whole or len(seeds) + len(whole) < ENOUGH:
                over = next(filter(None, busy.values()), "the time of its box was over")
                reason = f"{verdict.reason}; {over}"
                verdict = verdict.model_copy(update={"reason": reason})
                break
            seeds += whole
            counts.append(len(seeds))
            verdict = self._verdict(control, arm, claim, seeds, turn.rate.at(counts, self._settings.looks))
            if verdict.word != "open":
                break
        self._question.end(turn, verdict.word, counts)
        supported = verdict.word == "supported"
        more = self._estimating(arms, claim, turn.first + len(seeds) + held) if supported else []
        if supported:
            verdict = self._told(control, arm, claim, verdict, more, (seeds, turn.rate, counts))
        split = self._split(control, arm, stopped, claim, (seeds, counts, more)) if supported else None
        alike = self._alike(control, arm, claim, seeds) if supported else {}
        return Finding(
            arm=arm,
            claim=claim,
            verdict=verdict,
            seeds=tuple(seeds),
            energy_method=self._method(arm, seeds),
            turn=turn,
            looks=len(counts),
            alike=alike,
            split=split,
            estimated=tuple(more),
            unsettled=self._unsettled(arm, claim, seeds, turn.rate) if verdict.word == "open" else {},
        )

    def _turn(self, arm: Arm, claim: Claim) -> Turn:
        """Its turn in the ledger, with seeds that nobody has had: it is taken before they are run."""
        name = f"{claim.metric} {self._bench.signature(arm.overrides)[:16]}"
        return self._question.turn(name, self._settings.first_seed, self._settings.each)

    def _estimating(self, arms: Sequence[Arm], claim: Claim, first: int) -> list[int]:
        """Seeds that were run to tell the size, as many as the budget allows; none when those are too few."""
        more, _ = self._affordable(arms, first, self._settings.estimate)
        self._bench.run(self._interleaved(arms, more), alone=claim.alone)
        whole = [seed for seed in more if not any(self._lost(one, seed) for one in arms)]
        return whole if len(whole) >= ENOUGH else []

    def _lost(self, arm: Arm, seed: int) -> bool:
        return arm.failed([seed]) is not None or self._bench.held(arm, [seed]) is not None

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
        seeds, rate, counts = decided
        before, after = (self._bench.values(one, claim.metric, more or seeds) for one in (control, arm))
        rests = ground(self._bench, claim.metric, more or seeds, arm, control)
        if more:
            size = compare(before, after, claim.metric, _LEVEL, scale(claim.metric), rests)
            return verdict.model_copy(update={"told": size, "told_by": f"{size.n} seeds that did not decide"})
        looks = [rate.at(counts[:look], self._settings.looks) for look in range(1, len(counts) + 1)]
        size = chosen(
            before, after, claim.metric, claim.direction, claim.smallest_effect, scale(claim.metric), looks
        )
        # What was chosen is known given its spread over the seeds, without that of the examples.
        size = size.model_copy(update={"over": "seeds" if rests.spread else rests.over})
        return verdict.model_copy(update={"told": size, "told_by": "given that it was chosen"})

    def _affordable(self, arms: Sequence[Arm], first: int, most: int | None = None) -> tuple[list[int], str]:
        """Fresh seeds for one look, as many as the budget allows; none when that is too few to decide."""
        short = ""
        for count in range(self._settings.seeds if most is None else most, ENOUGH - 1, -1):
            seeds = list(range(first, first + count))
            pairs = [(one, seed) for seed in seeds for one in arms]
            price = self._bench.price(pairs)
            reason = self._bench.spend.short(price) or self._boxed(price.seconds)
            if reason is None:
                return seeds, ""
            short = reason
        return [], short

    def _interleaved(self, arms: Sequence[Arm], seeds: Sequence[int]) -> list[tuple[Arm, int]]:
        """Seed by seed, in an order by lot in which each arm has each place equally often.

        What drifts on the machine meets all alike: by lot alone one of two would come first in all of five
        pairs every sixteenth time, and a drift would be a finding.
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
        trials = [*self._bench.trials(control, seeds), *self._bench.trials(arm, seeds)]
        results = {one.id: told for one in trials if (told := self._bench.result(one.id))}
        verdict = judge(
            self._bench.values(control, claim.metric, seeds),
            self._bench.values(arm, claim.metric, seeds),
            metric=claim.metric,
            direction=claim.direction,
            smallest_effect=claim.smallest_effect,
            scale=scale(claim.metric),
            rate=rate,
            constraints=self._bounds(arm, claim, seeds),
            trial_ids=[trial.id for trial in trials],
            ground=ground(self._bench, claim.metric, seeds, arm, control),
        )
        complaint = comparable(claim.metric, trials, results)
        if complaint:
            verdict = verdict.model_copy(update={"word": "open", "reason": complaint})
        return verdict

    def _bounds(self, arm: Arm, claim: Claim, seeds: Sequence[int]) -> list[Bounded]:
        values = {one.metric: self._bench.values(arm, one.metric, seeds) for one in claim.constraints}
        return [
            Bounded(one, list(values[one.metric].values()), ground(self._bench, one.metric, seeds, arm))
            for one in claim.constraints
        ]

    def _unsettled(self, arm: Arm, claim: Claim, seeds: Sequence[int], rate: Errors) -> dict[str, float]:
        """The bounds that its seeds leave open, with how far inside its mean would have to be."""
        told = {one.constraint.metric: margin(one, rate) for one in self._bounds(arm, claim, seeds)}
        return {metric: distance for metric, distance in told.items() if distance is not None}

    def _alike(self, control: Arm, arm: Arm, claim: Claim, seeds: Sequence[int]) -> dict[str, Verdict]:
        """Whether what was found cheaper is as good in the score that the goal bounds, else the usual one.

        It is one more comparison of the campaign.
        """
        measured = self._bench.means(control, seeds).keys() & self._bench.means(arm, seeds).keys()
        bounded = [one.metric for one in claim.constraints if is_test(one.metric)]
        score = next((one for one in (*bounded, *_SCORES) if one in measured), None)
        if self._settings.margin is None or score is None or not is_ratio(claim.metric):
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

        Whether there is a new one is one more comparison of the question. It has the looks of the first: that
        one has decided how many seeds there are.
        """
        if stopped is None or not is_ratio(claim.metric):
            return None
        bare = Claim(claim.metric, claim.direction, 0.0, ())
        seeds, counts, more = ran
        beyond = None if stopped is arm else self._new(stopped, arm, bare, seeds, counts)
        before, shorter, own = (
            self._bench.values(one, claim.metric, more or seeds) for one in (control, stopped, arm)
        )
        if beyond is not None and more:
            size = compare(shorter, own, claim.metric, _LEVEL, "relative")
            beyond = beyond.model_copy(update={"comparison": size})
        means = self._bench.means(stopped, seeds)
        kept = all(shortfall(bound, means.get(bound.metric, math.nan)) <= 0 for bound in claim.constraints)
        return parted(stopped.overrides, before, shorter, claim.metric, _LEVEL, beyond, kept)

    def _new(
        self, stopped: Arm, arm: Arm, claim: Claim, seeds: Sequence[int], counts: Sequence[int]
    ) -> Verdict:
        """Whether the contender is cheaper than the control stopped at the bound."""
        turn = self._question.turn(f"{claim.metric} new {self._bench.signature(arm.overrides)[:16]}")
        verdict = self._verdict(stopped, arm, claim, seeds, turn.rate.at(counts, self._settings.looks))
        self._question.end(turn, verdict.word, counts)
        return verdict

    def _method(self, arm: Arm, seeds: Sequence[int]) -> str:
        methods = {energy_method(result) for result in self._bench.results(arm, seeds).values()}
        return "+".join(sorted(method for method in methods if method)) or "not measured"

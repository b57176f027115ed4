"""Simulated campaigns whose proposals have claims of their own: two rows of `false_findings.py`.

A campaign has four sprints. Each judges two arms as the lab does, with a second look where the first leaves
them open; then the lab's own `OwnClaims` judges what the two proposals say of themselves, on the same seeds,
and one of them against the other on fresh ones. All spend from the one ledger, in that order. Only the
trainings and the database are stood in for, by figures by lot and by `AlphaLedger`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, NamedTuple, final

import numpy as np

from benchmarks.alpha_ledger import AlphaLedger
from research.campaign.budget import NO_PRICE, Price
from research.campaign.charter import Confirm
from research.campaign.judging import Finding, OwnClaims, Turn
from research.stats.alpha import Errors
from research.stats.arms import Arm, between
from research.stats.claims import Claim
from research.types import Key, Proposal, Result, Trial, Verdict, VerdictWord

SPRINTS, LOOKS = 4, 2
SCORE, COST = "test/accuracy", "train/energy_j"
MAIN = Claim.improvement(COST, "min")
PLAIN = (f"{SCORE} less", "test/f1 less", f"{SCORE} more")
"""claims of which neither word is right where nothing differs"""
SIZED = (f"{SCORE} less by 0.01", f"{COST} less by 10 %")
"""claims that are false of arms which are worse, and cheaper, by exactly so much: only refuting is right"""
_ROW: dict[str, Any] = {"key": Key("", "", "", "cpu"), "replicate": 0, "overrides": (), "status": "done"}
_ROW |= {"reason": None, "name": None, "sweep": "a", "source": "agent", "folder": None}
_ROW |= {"config": {}, "started": 0.0, "finished": 1.0}


class Effect(NamedTuple):
    """What an arm differs in from its control."""

    score: float = 0.0
    cost: float = 1.0


@final
@dataclass
class PaperBench:
    """Where trials stand whose figures are drawn by lot."""

    rng: np.random.Generator
    effects: dict[tuple[str, ...], Effect]
    rows: dict[int, tuple[Trial, Result]] = field(default_factory=dict)
    tested: list[tuple[str, VerdictWord]] = field(default_factory=list)
    """what proposals said would refute them, and what came of it"""

    def short(self, price: Price) -> None:
        """All can be paid."""

    def price(self, pairs: object) -> Price:
        """Nothing costs anything."""
        return NO_PRICE

    def held(self, arm: Arm, seeds: object) -> None:
        """Nobody disturbs them."""

    def signature(self, overrides: Sequence[str]) -> str:
        """What names a configuration."""
        return " ".join(overrides)

    def note(self, arm: Arm, status: str, *, tested: Mapping[str, Any]) -> None:
        """Keep what was judged of a proposal's own claim."""
        self.tested.append((tested["claim"], tested["word"]))

    def run(self, pairs: Iterable[tuple[Arm, int]], alone: bool = False) -> None:
        """Draw what is missing."""
        for arm, seed in pairs:
            arm.trials[seed] = self._trained(arm, seed)

    def trials(self, arm: Arm, seeds: Iterable[int]) -> list[Trial]:
        """The rows of an arm's trials."""
        return [self.rows[arm.trials[seed]][0] for seed in seeds]

    def result(self, number: int) -> Result:
        """What a trial measured."""
        return self.rows[number][1]

    def taken(self, arm: Arm, seeds: Sequence[int]) -> Arm:
        """The arm with its figures."""
        rows = [self.rows[arm.trials[seed]] for seed in seeds]
        return Arm(arm.overrides, rows=tuple(row for row, _ in rows), results=tuple(one for _, one in rows))

    def _trained(self, arm: Arm, seed: int) -> int:
        effect, number = self.effects.get(arm.overrides, Effect()), len(self.rows) + 1
        score, cost, f1 = self.rng.normal(size=3)
        metrics = {SCORE: 0.9 + effect.score + 0.01 * score, COST: 10 * effect.cost * math.exp(0.05 * cost)}
        metrics["test/f1"] = metrics[SCORE] + 0.005 * f1
        facts = {"energy_method": "estimated", "energy_basis": "cpu"}
        self.rows[number] = (
            Trial.model_construct(id=number, seed=seed, **_ROW),
            Result.model_construct(trial_id=number, metrics=metrics, facts=facts),
        )
        return number


@final
@dataclass
class PaperQuestion:
    """The ledger of one question, without a database."""

    ledger: AlphaLedger = field(default_factory=AlphaLedger)
    first: int = 1000

    def turn(self, name: str, first: int = 0, seeds: int = 0) -> Turn:
        """The next comparison's rates and fresh seeds."""
        rate, start = self.ledger.rate, self.first
        self.first += seeds
        told = {"supported": rate.supported, "refuted": rate.refuted, "alpha": self.ledger.total, "left": 0.0}
        return Turn(id=self.ledger.count, number=self.ledger.count + 1, first=start, **told)

    def end(self, turn: Turn, word: VerdictWord, looks: Sequence[int] = ()) -> None:
        """Count it unless nothing was looked at."""
        if looks:
            self.ledger.record(Verdict(word=word, comparison=None, reason="", trial_ids=()))


def any_false(said: Sequence[str], effect: Effect, rng: np.random.Generator, n: int) -> bool:
    """Whether one campaign, whose arms all have one effect, says anything false; n pairs are a look.

    Where there is no effect every word is. Else it is what was claimed at exactly the size of the effect, if
    that is supported, and every word on one arm against the other, for these do not differ.
    """
    names = [(f"arm={sprint}{letter}",) for sprint in range(SPRINTS) for letter in "ab"]
    bench, question, claims = PaperBench(rng, dict.fromkeys(names, effect)), PaperQuestion(), cycle(said)
    settings: Any = (bench, Confirm(seeds=n, looks=LOOKS), question)
    own, words = OwnClaims(*settings), list[VerdictWord]()
    for first, second in zip(names[::2], names[1::2], strict=True):
        control = Arm(())
        arms = [Arm(line, proposal_id=at) for at, line in enumerate((first, second, second), 1)]
        findings = [_confirmed(bench, question, control, arm, n) for arm in arms[:2]]
        rows = [_row(arm, next(claims)) for arm in arms[:2]]
        own.judge([*rows, _row(arms[2], f"{COST} less", arms[0])], control, findings, arms)
        words += [finding.verdict.word for finding in findings]
    beside = [word for claim, word in bench.tested if claim == f"{COST} less"]
    alone = [word for claim, word in bench.tested if claim != f"{COST} less"]
    null = [*beside, *(alone + words if effect == Effect() else ())]
    return any(word != "open" for word in null) or "supported" in alone


def _confirmed(bench: PaperBench, question: PaperQuestion, control: Arm, arm: Arm, n: int) -> Finding:
    """The arm's claim of costing less, with a second look while it is open."""
    turn, seeds, counts = question.turn("main", seeds=n * LOOKS), list[int](), list[int]()
    word: VerdictWord = "open"
    while word == "open" and len(counts) < LOOKS:
        more = range(turn.first + len(seeds), turn.first + len(seeds) + n)
        bench.run([(side, seed) for seed in more for side in (control, arm)])
        seeds += more
        counts.append(len(seeds))
        sides = (bench.taken(side, seeds) for side in (control, arm))
        word = between(MAIN.first, *sides, _rate(turn, counts), seeds).word
    question.end(turn, word, counts)
    verdict = Verdict(word=word, comparison=None, reason="", trial_ids=())
    return Finding(arm, MAIN, verdict, tuple(seeds), "estimated", counts=tuple(counts))


def _rate(turn: Turn, counts: Sequence[int]) -> Errors:
    return turn.rate.at(counts, LOOKS)


def _row(arm: Arm, refuted_by: str, against: Arm | None = None) -> dict[str, Any]:
    control = () if against is None else against.overrides
    proposal = Proposal(hypothesis="h", overrides=arm.overrides, control=control, refuted_by=refuted_by)
    return {"id": arm.proposal_id, "proposal": proposal, "status": "open", "facts": {}}

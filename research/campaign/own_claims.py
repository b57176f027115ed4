"""What a proposal itself says would refute it, and an arm against another arm: judged by the one decider.

Such a claim is one more comparison of the campaign's question and spends from the same error rate. Against
the control it is judged on the fresh seeds on which the arm was confirmed, so it costs no training; an
ablation, an arm against another arm of the plan, trains both on seeds that nobody has had, where the budget
allows it. It decides nothing else: the goal is reached by what the campaign claims.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from research.campaign.bench import Arm, Bench
from research.campaign.charter import Confirm
from research.campaign.confirmation import Finding
from research.campaign.judging import judge
from research.campaign.question import Question
from research.stats.alpha import Errors
from research.stats.claims import Claim, Part
from research.stats.verdicts import verdict
from research.types import Proposal, ProposalFacts, VerdictWord

Row = Mapping[str, Any]


@final
class OwnClaims:
    """Judges the claims of one sprint's proposals; what came out is in the facts of each as `tested`."""

    def __init__(
        self, bench: Bench, settings: Confirm, question: Question, boxed: Callable[[float], str | None]
    ) -> None:
        """`boxed` says why so many seconds do not fit into the time that is left, None when they do."""
        self._bench, self._settings, self._question, self._boxed = bench, settings, question, boxed
        self.notes: list[str] = []

    def judge(
        self, rows: Sequence[Row], control: Arm, findings: Sequence[Finding], arms: Sequence[Arm]
    ) -> None:
        """Judge what is not judged yet of the proposals in `rows`; `arms` are those that have figures."""
        found = {finding.arm.proposal_id: finding for finding in findings}
        known = {arm.proposal_id: arm for arm in arms} | {number: one.arm for number, one in found.items()}
        # A control of earlier sprints is no arm of the plan.
        planned = {row["proposal"].overrides for row in rows} - {(), control.overrides}
        for row in rows:
            arm, proposal = known.get(row["id"]), row["proposal"]
            if arm is None or ProposalFacts.of(row).tested:
                continue
            other = next((one for one in arms if one.overrides == proposal.control), None)
            if proposal.control in planned:
                self._ablation(row, arm, other)
            elif row["id"] in found and (part := _asked(proposal, found[row["id"]].claim)):
                self._of_confirmed(row, part, control, found[row["id"]])

    def _of_confirmed(self, row: Row, part: Part, control: Arm, finding: Finding) -> None:
        """On the seeds that confirmed the arm, with the looks that were taken at them."""
        if not finding.counts:
            return
        turn = self._question.turn(f"own {part.words} {self._bench.signature(finding.arm.overrides)[:16]}")
        rate = turn.rate.at(finding.counts, self._settings.looks)
        word = self._told(row, part, (control, finding.arm), finding.seeds, rate)
        self._question.end(turn, word, finding.counts)

    def _ablation(self, row: Row, arm: Arm, other: Arm | None) -> None:
        """On fresh seeds of both; what cannot be trained stays unjudged, and a note says why."""
        proposal = row["proposal"]
        if other is None:
            self.notes.append(f"{_line(arm)} was not judged against its other arm, which has no figures")
            return
        part = _read(proposal)
        if part is None:
            return
        name = f"own {part.words} {self._bench.signature(arm.overrides)[:16]} {_line(other)}"
        turn = self._question.turn(name, self._settings.first_seed, self._settings.seeds)
        seeds = range(turn.first, turn.first + self._settings.seeds)
        short = self._short(arm, other, seeds)
        whole = [seed for seed in seeds if not any(self._lost(side, seed) for side in (arm, other))]
        if short or not whole:
            self._question.end(turn, "open", [])
            self.notes.append(f"{_line(arm)} was not judged against {_line(other)}: {short or 'no seed ran'}")
            return
        word = self._told(row, part, (other, arm), whole, turn.rate.at([len(whole)], 1))
        self._question.end(turn, word, [len(whole)])

    def _short(self, arm: Arm, other: Arm, seeds: Sequence[int]) -> str | None:
        """Train both, each first in turn; why the budget does not allow it, None when it does."""
        orders = ((arm, other), (other, arm))
        pairs = [(side, seed) for place, seed in enumerate(seeds) for side in orders[place % 2]]
        price = self._bench.price(pairs)
        short = self._bench.spend.short(price) or self._boxed(price.seconds)
        if short is None:
            self._bench.run(pairs, alone=True)
        return short

    def _lost(self, arm: Arm, seed: int) -> bool:
        return arm.failed([seed]) is not None or self._bench.held(arm, [seed]) is not None

    def _told(
        self, row: Row, part: Part, sides: tuple[Arm, Arm], seeds: Sequence[int], rate: Errors
    ) -> VerdictWord:
        """The word on a claim of the second arm against the first, written down with what it rests on."""
        control, arm = sides
        claim = Claim(says=part.words, all=(part,))
        trials = [trial.id for side in sides for trial in self._bench.trials(side, seeds)]
        said = verdict(judge(self._bench, claim, control, arm, seeds, rate), trials)
        told: dict[str, Any] = {
            "claim": part.words,
            "against": _line(control),
            "word": said.word,
            "reason": said.reason,
        }
        told["trials"] = trials
        self._bench.note(arm, row["status"], tested=told)
        return said.word


def _read(proposal: Proposal) -> Part | None:
    try:
        return Part.read(proposal.refuted_by)
    except ValueError:
        return None


def _asked(proposal: Proposal, claimed: Claim) -> Part | None:
    """What would refute it; None where that is no claim, or the campaign's own verdict answers it."""
    part = _read(proposal)
    first = claimed.first
    answered = part is not None and part.metric == first.metric and not part.size.number
    return None if part is None or answered else part


def _line(arm: Arm) -> str:
    return " ".join(arm.overrides) or "the control"

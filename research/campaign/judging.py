"""What two arms' trials say of a claim: the campaign's, a recipe's, or what would refute a proposal.

All comparisons of one question of a database share one error rate. A question is what is made better, which
way, and what is fixed for every trial: asked again with other words, bounds or seeds, or searched and trained
for another time, it spends from the same rate. Fresh seeds are those that no trial on this data has had.

A proposal's own claim is one more comparison of the campaign's question and spends from its error rate.
Against the control it is judged on the fresh seeds that confirmed the arm, at no cost; an ablation, an arm
against another of the plan, trains both on new seeds where the budget allows. It decides nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

from pydantic import Field

from refusal import Refusal
from research.campaign.bench import Arm, Bench
from research.campaign.charter import Confirm
from research.run import teachers
from research.space.gate import Space
from research.stats.alpha import Errors, left, rate
from research.stats.arms import between
from research.stats.claims import Claim, Part
from research.stats.comparable import energy_method
from research.stats.draws import Ground
from research.stats.effects import Gain
from research.stats.verdicts import PartVerdict, verdict
from research.store.store import Store
from research.types import Proposal, ProposalFacts, Record, Scale, SprintFacts, Verdict, VerdictWord

Row = Mapping[str, Any]
_FREE = ("budget.", "data.split_seed=", "seed=")
"""beginnings of overrides with which it is still the same question"""


@final
class Turn(Record):
    """The turn of one comparison in its question's ledger."""

    id: int
    number: int = Field(ge=1)
    alpha: float
    """the question's own error rate"""
    left: float
    """what of it is left for comparisons after this one"""
    supported: float
    refuted: float
    first: int
    """the first of its seeds: no trial had them when it was begun"""

    @property
    def rate(self) -> Errors:
        """Its error rates."""
        return Errors(self.supported, self.refuted)


@final
class Question:
    """Hands out turns, and the same turn again to a comparison that is continued after a kill."""

    def __init__(
        self, store: Store, key: str, alpha: float, place: str, data: str = "", before: int = 0
    ) -> None:
        """`place` names the campaign and its sprint, `data` the data whose seeds count by its digest,
        `before` counts comparisons that a version without a ledger has made.
        """
        self._store, self.key, self._alpha = store, key, alpha
        self._place, self._data, self._before = place, data, before
        self._told: dict[int, Row] = {}
        self.words: list[VerdictWord] = []
        """what came out of the comparisons that were ended here"""

    def facts(self) -> dict[str, Any]:
        """What a sprint's facts say of it."""
        return {"question": self.key, "comparisons": tuple(self.words)}

    def turn(self, name: str, first: int = 0, seeds: int = 0) -> Turn:
        """The turn of a comparison, whose seeds are the first so many from `first` on that nobody has had."""
        seen = self._store.seeds(self._data) if seeds else set[int]()

        def facts(rows: Sequence[Row]) -> dict[str, Any]:
            return {**self._rates(rows), "first": _unseen(rows, seen, first, seeds), "seeds": seeds}

        row = self._store.open_comparison(self.key, f"{self._place} {name}", facts)
        self._told[row["id"]] = row["facts"]
        return Turn(id=row["id"], **{key: row["facts"][key] for key in Turn.model_fields if key != "id"})

    def end(self, turn: Turn, word: VerdictWord, looks: Sequence[int] = ()) -> None:
        """Write down what came out of it, and the pairs at each look; without a look it has spent nothing."""
        if not looks:
            self._store.drop_comparison(turn.id)
            return
        self.words.append(word)
        self._store.end_comparison(turn.id, word, {**self._told[turn.id], "looks": list(looks)})

    def _rates(self, rows: Sequence[Row]) -> dict[str, float]:
        number = self._before + len(rows) + 1
        supported = bool(rows) and rows[-1]["word"] == "supported"
        rates = rate(self._alpha, number, float(rows[-1]["facts"]["supported"]) if supported else 0.0)
        told = {"number": number, "alpha": self._alpha, "left": left(self._alpha, number)}
        return told | {"supported": rates.supported, "refuted": rates.refuted}


def _unseen(rows: Sequence[Row], seen: set[int], first: int, seeds: int) -> int:
    """The first of so many seeds in a row that no trial on this data has had, forgotten ones included."""
    if seeds:
        kept = (range(row["facts"]["first"], row["facts"]["first"] + row["facts"]["seeds"]) for row in rows)
        seen = seen.union(*kept)
    while taken := seen & set(range(first, first + seeds)):
        first = max(taken) + 1
    return first


def asked(space: Space, objective: Mapping[str, Any], fixed: Sequence[str], quiet: Sequence[str] = ()) -> str:
    """The name of a question; raises `Refusal` for overrides that do not compose."""
    held = [one for one in fixed if not one.lstrip("+").startswith(_FREE)]
    own = space.signature(space.resolve([*quiet, *held]))
    return f"{objective['direction']} {objective['metric']} {own[:16]}"


def digest_of_data(config: Mapping[str, Any]) -> str:
    """Where a resolved config's data comes from, as trials' keys have it; empty where it is not here."""
    try:
        return teachers.key(config, "").data
    except Refusal:
        return ""


def unkept(space: Space, sprints: Iterable[Row], key: str) -> int:
    """Comparisons of a question that sprints made before there was a ledger."""
    old = [facts for facts in map(SprintFacts.of, sprints) if facts.question is None and facts.charter]
    same = (facts for facts in old if facts.comparisons and _named(space, facts.charter) == key)
    return sum(len(facts.comparisons) for facts in same)


def _named(space: Space, charter: Row) -> str | None:
    try:
        return asked(space, charter["goal"]["objective"], charter["fixed"], charter.get("quiet", ()))
    except (Refusal, KeyError):
        return None  # of another tree of configurations, so nobody can ask it here


@final
@dataclass(frozen=True)
class Finding:
    """A contender's verdict, and the seeds and method that it rests on."""

    arm: Arm
    claim: Claim
    verdict: Verdict
    seeds: tuple[int, ...]
    energy_method: str
    turn: Turn | None = None
    """in the ledger of its question"""
    counts: tuple[int, ...] = ()
    """pairs at each look"""
    alike: dict[str, Verdict] = field(default_factory=dict)
    """score -> whether an arm that was found cheaper is as good in it as the control"""
    split: Gain | None = None
    """the gain beside that of the control stopped at the bound; None where there is no such control"""
    estimated: tuple[int, ...] = ()
    """seeds that did not decide and tell its size"""
    unsettled: dict[str, float] = field(default_factory=dict)
    """bounds that were left open: metric -> how far inside the mean would have to be"""


def judge(
    bench: Bench, claim: Claim, control: Arm, arm: Arm, seeds: Sequence[int], rate: Errors
) -> tuple[PartVerdict, ...]:
    """Each part of a claim, at the claim's error rate."""
    own = rate.among(len(claim.all))
    before, after = (taken(bench, side, seeds) for side in (control, arm))
    return tuple(between(part, before, after, own, seeds) for part in claim.all)


def ground(
    bench: Bench,
    metric: str,
    seeds: Sequence[int],
    arm: Arm,
    control: Arm | None = None,
    scale: Scale = "absolute",
) -> Ground:
    """What the arm's mean over the seeds rests on; with a control, its difference from that."""
    beside = None if control is None else taken(bench, control, seeds)
    return taken(bench, arm, seeds).ground(metric, beside, scale=scale)


def taken(bench: Bench, arm: Arm, seeds: Sequence[int]) -> Arm:
    """The arm with the rows and results of its trials of these seeds."""
    measured = [(trial, bench.result(trial.id)) for trial in bench.trials(arm, seeds)]
    pairs = [(trial, result) for trial, result in measured if result is not None]
    return replace(arm, rows=tuple(row for row, _ in pairs), results=tuple(told for _, told in pairs))


def method(bench: Bench, arm: Arm, seeds: Sequence[int]) -> str:
    """How the joules of the arm's trials were taken."""
    results = bench.results(arm, seeds).values()
    methods = {energy_method(result) for result in results if "train/energy_j" in result.metrics}
    return "+".join(sorted(filter(None, methods))) or "not measured"


def undisturbed(bench: Bench, arms: Sequence[Arm], seeds: Iterable[int]) -> list[int]:
    """The seeds with which every arm has an undisturbed result."""
    return [seed for seed in seeds if not any(arm.failed([seed]) or bench.held(arm, [seed]) for arm in arms)]


@final
class OwnClaims:
    """Judges the claims of one sprint's proposals; what came out is in the facts of each as `tested`."""

    def __init__(self, bench: Bench, settings: Confirm, question: Question) -> None:
        self._bench, self._settings, self._question = bench, settings, question
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
            finding = found.get(row["id"])
            if proposal.control in planned:
                self._ablation(row, arm, other)
            elif finding and finding.counts and (part := _asked(proposal, finding.claim)):
                self._of_confirmed(row, part, control, finding)

    def _of_confirmed(self, row: Row, part: Part, control: Arm, finding: Finding) -> None:
        """On the seeds that confirmed the arm, with the looks that were taken at them."""
        turn = self._question.turn(f"own {part.words} {self._bench.signature(finding.arm.overrides)[:16]}")
        rate = turn.rate.at(finding.counts, self._settings.looks)
        word = self._told(row, part, (control, finding.arm), finding.seeds, rate)
        self._question.end(turn, word, finding.counts)

    def _ablation(self, row: Row, arm: Arm, other: Arm | None) -> None:
        """On fresh seeds of both; what cannot be trained stays unjudged, and a note says why."""
        if other is None:
            self.notes.append(f"{_line(arm)} was not judged against its other arm, which has no figures")
            return
        if (part := _read(row["proposal"])) is None:
            return
        name = f"own {part.words} {self._bench.signature(arm.overrides)[:16]} {_line(other)}"
        turn = self._question.turn(name, self._settings.first_seed, self._settings.seeds)
        seeds = range(turn.first, turn.first + self._settings.seeds)
        short = self._short(arm, other, seeds)
        kept = undisturbed(self._bench, (arm, other), seeds)
        if short or not kept:
            self._question.end(turn, "open", [])
            self.notes.append(f"{_line(arm)} was not judged against {_line(other)}: {short or 'no seed ran'}")
            return
        word = self._told(row, part, (other, arm), kept, turn.rate.at([len(kept)], 1))
        self._question.end(turn, word, [len(kept)])

    def _short(self, arm: Arm, other: Arm, seeds: Sequence[int]) -> str | None:
        """Train both, each first in turn; why the budget does not allow it, None when it does."""
        orders = ((arm, other), (other, arm))
        pairs = [(side, seed) for place, seed in enumerate(seeds) for side in orders[place % 2]]
        short = self._bench.short(self._bench.price(pairs))
        if short is None:
            self._bench.run(pairs, alone=True)
        return short

    def _told(
        self, row: Row, part: Part, sides: tuple[Arm, Arm], seeds: Sequence[int], rate: Errors
    ) -> VerdictWord:
        """The word on a claim of the second arm against the first, written down with what it rests on."""
        (control, arm), claim = sides, Claim(says=part.words, all=(part,))
        trials = [trial.id for side in sides for trial in self._bench.trials(side, seeds)]
        said = verdict(judge(self._bench, claim, control, arm, seeds, rate), trials)
        told = {"claim": part.words, "against": _line(control), "word": said.word, "reason": said.reason}
        self._bench.note(arm, row["status"], tested={**told, "trials": trials})
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
    return None if part is None or part.is_foregone or answered else part


def _line(arm: Arm) -> str:
    return " ".join(arm.overrides) or "the control"

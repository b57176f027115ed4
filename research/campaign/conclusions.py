"""What is written down of a finding: the sentence, its rating by the rubric, its power, words, the recipe."""

import datetime
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.campaign.bench import Arm, Bench
from research.campaign.charter import Charter
from research.campaign.discovery import write_recipe
from research.campaign.judging import Finding
from research.campaign.stopped_control import COSTS
from research.goal.saying import sentence
from research.llm.prompt import data
from research.metrics import compares, is_energy
from research.stats import power, rubric
from research.stats.rubric import Efficiency, Rating, efficiency
from research.stats.sentences import claim_sentence, command
from research.team.judges import Quotable, Worded, worded
from research.team.roles import Team
from research.types import Insight

UNWRITTEN = "no recipe was written of the discovery"
"""how a note begins that says why"""


@final
class Conclusions:
    """Keeps the findings of one sprint; a sprint that continues keeps none twice."""

    def __init__(
        self,
        charter: Charter,
        bench: Bench,
        sprint_id: int,
        team: Team | None,
        lessons: Callable[[], Sequence[str]],
        discovered: Path | None,
        unheld: bool,
    ) -> None:
        """`discovered` is the folder that recipes are written to; `unheld` says that the control could not be
        stopped at the bound, so that no claim about a cost of training is held to that.
        """
        self._charter, self._bench, self._sprint_id = charter, bench, sprint_id
        self._team, self._lessons, self._discovered, self._unheld = team, lessons, discovered, unheld
        self._kept = {row["proposal_id"] for row in bench.store.insights(sprint_id=sprint_id)}
        self.notes: list[str] = []

    def keep(self, control: Arm, finding: Finding, stopped: Arm | None = None) -> Callable[[], None]:
        """Write a finding down: the experiments' words and the trials behind it.

        What is returned writes the insight with the validator's words, which may wait for a server: call it
        before the next finding is kept. `stopped` is the control stopped at the bound, if it was trained.
        """
        arm, seeds = finding.arm, finding.seeds
        sides = dict.fromkeys(side for side in (control, stopped, arm) if side is not None)
        for side in sides:
            ids = [side.trials[seed] for seed in seeds if seed in side.trials]
            confirmed = list(dict.fromkeys([*side.facts.get("confirmed", []), *ids]))
            more = {"looks": len(finding.counts)} if side is arm else {}
            status = finding.verdict.word if side is arm else "control"
            self._bench.note(side, status, confirmed=confirmed, **more)
        if arm.proposal_id in self._kept:
            return lambda: None
        insight = self._insight(control, finding)
        facts, told = self._facts(control, finding, insight), self._told()

        def write() -> None:
            words = self._words(finding, insight, facts["rating"], told)
            said = {"words": {"text": words.text, "by": words.by, "cites": words.cites}, "next": words.next}
            links = {"sprint_id": self._sprint_id, "proposal_id": arm.proposal_id}
            self._bench.store.add_insight(insight, facts=facts | said, **links)

        return write

    def _insight(self, control: Arm, finding: Finding) -> Insight:
        asked, verdict = finding.claim, finding.verdict
        overrides, method = finding.arm.overrides, finding.energy_method
        bounds, base = asked.constraints, control.overrides
        said = claim_sentence(overrides, verdict, asked.first.direction, bounds, method, base, finding.split)
        return Insight(
            claim=f"{said.removesuffix('.')}; {asked.because}." if asked.because else said,
            verdict=verdict,
            energy_method=method,
            command=command(self._line(finding.arm), finding.seeds),
        )

    def _line(self, arm: Arm) -> list[str]:
        """The overrides of an arm's trials without their seeds."""
        return [*self._charter.fixed, *arm.overrides, *self._bench.typed.split(arm.overrides)]

    def _facts(self, control: Arm, finding: Finding, insight: Insight) -> dict[str, Any]:
        rated, margin = self._rating(control, finding), self._charter.confirm.margin
        compared, asked = finding.verdict.comparison, finding.claim
        trials = [
            side.trials[seed]
            for side in (control, finding.arm)
            for seed in finding.estimated
            if seed in side.trials
        ]
        powered = power.told(compared, asked.first.size.number) if compared else None
        facts: dict[str, Any] = {
            "rating": rated.score,
            "rubric": {name: point.model_dump() for name, point in rated.points.items()},
            "power": None if powered is None else powered.model_dump(),
            "looks": len(finding.counts),
            "unsettled": finding.unsettled,
            "estimated": {"seeds": finding.estimated, "trials": trials},
            "ledger": None if finding.turn is None else finding.turn.model_dump(),
            "split": None if finding.split is None else finding.split.model_dump(mode="json"),
            "equivalent": {
                score: {"word": verdict.word, "margin": margin, "reason": verdict.reason}
                for score, verdict in finding.alike.items()
            },
        }
        return facts | {"recipe": self._recipe(control, finding, insight, rated)}

    def _rating(self, control: Arm, finding: Finding) -> Rating:
        """The rubric over what the store says of this finding and of those before it."""
        verdict, seeds, arm = finding.verdict, finding.seeds, finding.arm
        line, metric = _typed(command(self._line(arm), ())), finding.claim.first.metric
        earlier = [row["insight"] for row in self._bench.store.insights(word=verdict.word)]
        same = [one for one in earlier if _typed(one.command) == line and compares(one.verdict, metric)]
        others = [insight for insight in same if not set(insight.verdict.trial_ids) & set(verdict.trial_ids)]
        energy = verdict if verdict.comparison and is_energy(verdict.comparison.metric) else None
        return rubric.rating(
            rubric.gathered(
                verdict,
                ran=bool(seeds) and arm.failed(seeds) is None,
                fresh=bool(seeds),
                new=not same,
                reproduced=verdict.word == "supported" and bool(others),
                energy=energy,
                efficiency=self._efficiency(control, finding),
                beyond=self._beyond(finding),
            )
        )

    def _beyond(self, finding: Finding) -> bool | None:
        """Whether the gain goes beyond that of training shorter; None where that is no question."""
        if finding.split is not None:
            return finding.split.shown
        return False if self._unheld and finding.claim.first.metric in COSTS else None

    def _efficiency(self, control: Arm, finding: Finding) -> Efficiency | None:
        """The smallest E over the fresh seeds, where the goal has an accuracy floor."""
        bounds = finding.claim.constraints
        floors = [one for one in bounds if one.metric == "test/accuracy" and one.op == ">="]
        pairs = [(finding.arm.trials.get(seed), control.trials.get(seed)) for seed in finding.seeds]
        whole = [(mine, other) for mine, other in pairs if mine is not None and other is not None]
        if not floors or not whole:
            return None
        numbers = [number for pair in whole for number in pair]
        trials = {trial.id: trial for trial in self._bench.store.trials(ids=numbers)}
        results = {number: known for number in numbers if (known := self._bench.result(number))}
        floor = floors[0].resolved(self._bench.means(control, finding.seeds)).bound
        told = [efficiency(trials[a], trials[b], results, floor=floor) for a, b in whole]
        unknown = [share for share in told if share.value is None]
        return unknown[0] if unknown else min(told, key=lambda share: share.value or 0.0)

    def _words(self, finding: Finding, insight: Insight, rating: float, told: Sequence[str]) -> Worded:
        """A validator's words that hold, else the computed sentence; `told` are lessons for its prompt."""
        verdict = finding.verdict
        evidence = Quotable(
            word=verdict.word,
            sentence=insight.claim,
            figures={
                "comparison": verdict.size.model_dump() if verdict.size else None,
                "size told": verdict.told_by or "by the seeds that decided",
                "reason": verdict.reason,
                "energy": finding.energy_method,
                "rating": rating,
                "seeds": len(finding.seeds),
            },
            rows=frozenset(f"trial {number}" for number in verdict.trial_ids),
        )
        asked = f"Objective: {sentence(self._charter.goal)}"
        return worded(self._team, evidence, lambda: [asked, *told])

    def _told(self) -> list[str]:
        """Lessons as a marked block, for others wrote what is in them; none where no model is told them."""
        lessons = self._lessons() if self._team else ()
        return [data("\n".join(lessons), "lessons of earlier trials")] if lessons else []

    def _recipe(self, control: Arm, finding: Finding, insight: Insight, rated: Rating) -> str | None:
        """The path of the discovery's recipe; None where nothing is discovered or none can be written."""
        if self._discovered is None or finding.verdict.word != "supported":
            return None
        trials = self._bench.trials(finding.arm, finding.seeds)
        try:
            path = write_recipe(
                self._discovered,
                insight,
                finding.claim,
                self._charter.fixed,
                finding.arm.overrides,
                finding.seeds,
                rated,
                self._charter.name,
                datetime.datetime.now(datetime.UTC).date().isoformat(),
                space=self._bench.space,
                baseline=control.overrides,
                machine=" / ".join(sorted({trial.key.hardware for trial in trials})),
                split=finding.split,
            )
        except Refusal as reason:
            self.notes.append(f"{UNWRITTEN}: {reason}")
            return None
        return str(path)


def _typed(line: str) -> list[str]:
    """The overrides of a line that repeats an arm, without its seeds."""
    return [text for text in shlex.split(line) if text != "-m" and not text.startswith("seed=")]

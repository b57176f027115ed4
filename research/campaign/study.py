"""`agent.py experiment=NAME`: the recipe's trials, its verdicts, its report; what is known is not run again.

The trials are those of `train.py -m experiment=NAME`: the same overrides and seeds, so either command finds
what the other has done. Every row and every figure of the report is read from the database, and nothing in it
depends on when the command was typed: typed again it writes the same report.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.campaign.alone import alone, running, shares
from research.campaign.bench import Arm, Bench, Run
from research.campaign.budget import Spend
from research.campaign.campaign import Campaign
from research.campaign.judging import judge, method
from research.campaign.question import digest_of_data
from research.campaign.recipe import ArmLine, Study, counts, earlier, ordered, recipe, unseen
from research.campaign.trials import unshared
from research.compose.override import keys_of
from research.report import study as report
from research.report.arms import measured
from research.space import profiles
from research.stats.alpha import errors
from research.stats.sentences import command
from research.stats.verdicts import ClaimVerdict, claim_word
from research.types import Insight, Objective, Proposal, Verdict


def conduct(campaign: Campaign, name: str) -> Path:
    """Run the experiment of a recipe to its verdicts; returns the path of the report.

    Raises `Refusal` for a recipe that is not there, has no study, or does not compose.
    """
    lines, space = campaign.lines, campaign.space
    study = recipe(campaign.conf, name).study
    if study is None:
        raise Refusal(f"experiment={name} claims nothing: run it by python train.py -m experiment={name}.")
    fixed = (f"experiment={name}", *map(str, campaign.asked["base"]))
    clash = study.turned & keys_of(fixed)
    if clash:
        raise Refusal(f"base cannot set {min(clash)}: the arms of experiment={name} differ in it.")
    composed = space.resolve(fixed)
    lines.say(f"question   {study.question}", style="bold")
    lines.say(f"claim      {study.claim}")
    # The recipe's own launcher, as in `train.py -m`, where agent.py says nothing else.
    typed, own = campaign.config["launcher"], composed["launcher"]
    launcher = {key: typed.get(key) or own.get(key) for key in own}
    experiment = Experiment(campaign, name, study, fixed, launcher)
    path = experiment.run(study.at_hand(composed))
    lines.say(f"report     {path}")
    return path


@final
class Experiment:
    """One run of one study."""

    def __init__(
        self,
        campaign: Campaign,
        name: str,
        study: Study,
        fixed: tuple[str, ...],
        launcher: Mapping[str, Any],
    ) -> None:
        self._name, self._study, self._store, self._lines = name, study, campaign.store, campaign.lines
        self._fixed, self._campaign, self._launcher = fixed, campaign, launcher
        self._trained: Run
        self._looks: tuple[int, ...] = (len(study.seeds),)
        own = "-".join([name, *(text.replace("=", "-") for text in fixed[1:])])
        self.folder = campaign.root / "experiments" / "".join(_letters(own))
        self._bench = Bench(
            space=campaign.space,
            store=campaign.store,
            run=lambda jobs: self._trained(jobs),
            spend=Spend(),
            fixed=fixed,
            quiet=campaign.config["quiet"],
            harness=campaign.harness,
            sweep=self.folder.name,
            lines=campaign.lines,
            fresh=0 if study.split == "seed" else math.inf,
            watched=study.metrics,
            launcher=None if campaign.given_run else launcher,
        )
        campaign.lines.shown = study.metrics[:3]

    def run(self, lines: Sequence[ArmLine]) -> Path:
        """Run the trials that are missing, judge, and write the report; `lines` are the arms at hand.

        Raises `Refusal`, before anything is run, for an arm that does not compose or exceeds its profile;
        `KeyboardInterrupt` goes on once what is done is written down.
        """
        for line in lines:
            profiles.refuse(self._bench.config(line.overrides, self._study.seeds[0]))
        campaign, lease = self._campaign, f"recipe {self.folder}"
        own, logs = self._launcher, campaign.root / "experiments" / self._name / "logs"
        shared = shares(campaign, unshared(self._study.metrics, alone=self._study.timed))
        of = lease if shared else None
        with (
            running(campaign, self.folder.name, own=own, lease=of, logs=logs) as self._trained,
            alone(campaign, lease, self.folder, own if shared else None),
        ):
            return self._run(lines)

    def _run(self, lines: Sequence[ArmLine]) -> Path:
        before = earlier(self._store.sprints(), str(self.folder), self._study)
        if self._name.startswith("discovered/"):
            self._study = self._on_fresh_seeds(before)
        self._looks = counts(before, self._study.seeds)
        sprint = self._sprint()
        arms = {line.line: self._arm(line, sprint) for line in lines}
        pairs = [(arms[line.line], seed) for line, seed in ordered(lines, self._study.seeds)]
        try:
            self._bench.run(pairs, alone=self._study.timed)
        except KeyboardInterrupt:
            self._store.set_sprint(sprint, "interrupted")
            raise
        missing = tuple(arm.line for arm in self._study.arms if arm.line not in arms)
        verdicts = tuple(self._verdicts(arms))
        for arm in arms.values():
            ids = [arm.trials[seed] for seed in self._study.seeds if seed in arm.trials]
            self._bench.note(arm, self._status(arm, verdicts), confirmed=ids)
        self._keep(sprint, arms, verdicts)
        self._store.set_sprint(sprint, "done")
        for verdict in verdicts:
            self._lines.say(f"{verdict.word}: {report.sentence(verdict)}", style="bold")
        return report.write(self._report(list(arms.values()), verdicts, missing), self._store, self.folder)

    def _report(
        self, arms: Sequence[Arm], verdicts: tuple[ClaimVerdict, ...], missing: tuple[str, ...]
    ) -> report.StudyReport:
        study = self._study
        held = f" base=[{','.join(self._fixed[1:])}]" if self._fixed[1:] else ""
        return report.StudyReport(
            name=self._name,
            question=study.question,
            claim=study.claim,
            metrics=study.metrics,
            seeds=study.seeds,
            alpha=study.alpha,
            timed=study.timed,
            arms=tuple(sorted(map(self._measured, arms), key=lambda arm: not arm.control)),
            verdicts=verdicts,
            commands=(f"python agent.py {self._fixed[0]}{held}", *map(self._command, arms)),
            failures=tuple(
                (seed, " ".join(arm.overrides), why)
                for arm in arms
                for seed, why in sorted(arm.failures.items())
            ),
            left_out=missing,
        )

    def _measured(self, arm: Arm) -> Arm:
        """The arm as a row of the report, read from the store."""
        ids = [arm.trials[seed] for seed in self._study.seeds if seed in arm.trials]
        status = "control" if arm.proposer == "control" else "ran"
        return measured(self._store, arm.overrides, arm.proposer, status, ids)

    def _command(self, arm: Arm) -> str:
        """The line that repeats an arm."""
        split = self._bench.typed.split(arm.overrides)
        return command([*self._fixed, *arm.overrides, *split], self._study.seeds)

    def _on_fresh_seeds(self, before: Sequence[Sequence[int]]) -> Study:
        """The study on seeds that did not choose what it claims."""
        data = digest_of_data(self._bench.config(self._study.control.split(), self._study.seeds[0]))
        seeds = unseen(before, self._study.seeds, self._store.seeds(data))
        return self._study.model_copy(update={"seeds": seeds})

    def _sprint(self) -> int:
        """The row of this experiment; the one that an earlier run of the same command opened, if any."""
        study = self._study
        asked = study.claims[0].all[0]
        facts = {"campaign": self.folder.name, "study": study.model_dump(mode="json"), "fixed": self._fixed}
        objective = Objective(metric=asked.metric, direction="min" if "less" in asked.kind else "max")
        for row in self._store.sprints():
            if row["folder"] == str(self.folder) and row["facts"].get("study") == facts["study"]:
                return int(row["id"])
        return self._store.add_sprint(
            study.question, objective=objective.model_dump(), folder=str(self.folder), facts=facts
        )

    def _arm(self, line: ArmLine, sprint: int) -> Arm:
        proposer = "control" if line.line == self._study.control else "recipe"
        for row in self._store.proposals(sprint_id=sprint):
            if row["proposal"].overrides == line.overrides:
                return Arm(line.overrides, proposer, row["id"])
        proposal = Proposal(
            hypothesis=self._study.claim,
            overrides=line.overrides,
            control=tuple(self._study.control.split()),
            metric=self._study.metrics[0],
            proposer=proposer,
        )
        return Arm(
            line.overrides, proposer, self._store.add_proposal(proposal, sprint_id=sprint, status="running")
        )

    def _verdicts(self, arms: Mapping[str, Arm]) -> Iterator[ClaimVerdict]:
        """Every claim of every arm at hand, each at its share of the experiment's alpha."""
        asked = self._study.comparisons(arms)
        for claim, line, against in asked:
            alpha = self._study.alpha / len(asked)
            rate = errors(alpha).at(self._looks, None)
            parts = judge(self._bench, claim, arms[against], arms[line], self._study.seeds, rate)
            yield ClaimVerdict(claim, line, against, claim_word(parts), parts, alpha)

    def _status(self, arm: Arm, verdicts: Sequence[ClaimVerdict]) -> str:
        if arm.proposer == "control":
            return "control"
        words = {verdict.word for verdict in verdicts if verdict.arm == " ".join(arm.overrides)}
        return next((word for word in ("refuted", "open", "supported") if word in words), "open")

    def _keep(self, sprint: int, arms: Mapping[str, Arm], verdicts: Sequence[ClaimVerdict]) -> None:
        """Write each verdict down as an insight, once."""
        known = [row["insight"] for row in self._store.insights(sprint_id=sprint)]
        for judged in verdicts:
            arm, first = arms[judged.arm], judged.parts[0].comparison
            sides = (arms[judged.against], arm)
            ids = tuple(side.trials[seed] for side in sides for seed in sorted(side.trials))
            insight = Insight(
                claim=report.sentence(judged),
                verdict=Verdict(word=judged.word, comparison=first, reason=judged.reason, trial_ids=ids),
                energy_method=method(self._bench, arm, self._study.seeds),
                command=self._command(arm),
            )
            if insight not in known:
                self._store.add_insight(insight, sprint_id=sprint, proposal_id=arm.proposal_id)


def _letters(text: str) -> Iterator[str]:
    return (letter if letter.isalnum() or letter in "_-." else "-" for letter in text)

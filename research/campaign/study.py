"""`agent.py experiment=NAME`: the recipe's trials, its verdicts, its report; what is known is not run again.

The trials are those of `train.py -m experiment=NAME`, so either command finds what the other has done. Every
figure of the report is read from the database: typed again the command writes the same report.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.campaign.bench import Bench, Run
from research.campaign.budget import Spend
from research.campaign.campaign import Campaign
from research.campaign.judging import digest_of_data, method, taken
from research.campaign.recipe import ArmLine, Study, counts, earlier, ordered, recipe, unseen
from research.campaign.trials import alone, running, shares, unshared
from research.compose.override import keys_of
from research.report import study as report
from research.report.arms import Read, measured
from research.space import profiles
from research.stats.alpha import errors
from research.stats.arms import Arm, between
from research.stats.draws import shared
from research.stats.sentences import command
from research.stats.verdicts import ClaimVerdict, claim_word
from research.store.states import FAILED
from research.store.store import Store
from research.types import Insight, Objective, Proposal, ProposalFacts, Verdict

Row = Mapping[str, Any]
Failures = Sequence[tuple[int, str, str]]
"""seed, overrides and reason of each trial that failed"""


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
        self, campaign: Campaign, name: str, study: Study, fixed: tuple[str, ...], launcher: Mapping[str, Any]
    ) -> None:
        self._name, self._study, self._store, self._lines = name, study, campaign.store, campaign.lines
        self._fixed, self._campaign, self._launcher = fixed, campaign, launcher
        self._trained: Run
        own = "-".join([name, *(text.replace("=", "-") for text in fixed[1:])])
        self.folder = campaign.root / "experiments" / re.sub(r"[^\w.-]", "-", own)
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

        Raises `Refusal`, before anything is run, for an arm that does not compose or exceeds its profile.
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
        sprint = self._sprint()
        arms = {line.line: self._arm(line, sprint) for line in lines}
        pairs = [(arms[line.line], seed) for line, seed in ordered(lines, self._study.seeds)]
        try:
            self._bench.run(pairs, alone=self._study.timed)
        except KeyboardInterrupt:
            self._store.set_sprint(sprint, "interrupted")
            raise
        own = {line: taken(self._bench, arm, self._study.seeds) for line, arm in arms.items()}
        verdicts = _verdicts(self._study, own, counts(before, self._study.seeds))
        for arm in arms.values():
            ids = [arm.trials[seed] for seed in self._study.seeds if seed in arm.trials]
            self._bench.note(arm, self._status(arm, verdicts), confirmed=ids)
        self._keep(sprint, arms, verdicts)
        self._store.set_sprint(sprint, "done")
        for verdict in verdicts:
            self._lines.say(f"{verdict.word}: {report.sentence(verdict)}", style="bold")
        failed = [
            (seed, " ".join(arm.overrides), why)
            for arm in arms.values()
            for seed, why in sorted(arm.failures.items())
        ]
        read = {line: self._measured(arm) for line, arm in arms.items()}
        commands = [self._command(arm) for arm in arms.values()]
        told = _report(self._study, self._fixed, read, verdicts, commands, failed)
        return report.write(told, self._store, self.folder)

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
        number = self._store.add_proposal(proposal, sprint_id=sprint, status="running")
        return Arm(line.overrides, proposer, number)

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


def written_again(store: Store, sprint: Row) -> Path:
    """Write the report of an experiment from its rows alone: nothing is run, whatever the code is by now.

    Raises `Refusal` for rows of another version, and a folder that cannot be written.
    """
    try:
        study = Study.model_validate(sprint["facts"]["study"])
    except ValueError:
        again = "type its agent.py experiment=NAME again"
        raise Refusal(f"sprint:{sprint['id']} was kept by another version of joulelab: {again}.") from None
    folder, fixed = Path(sprint["folder"]), tuple(map(str, sprint["facts"]["fixed"]))
    arms = {" ".join(arm.overrides): arm for arm in _arms(store, sprint, study)}
    before = earlier((row for row in store.sprints() if row["id"] <= sprint["id"]), sprint["folder"], study)
    verdicts = _verdicts(study, arms, counts(before, study.seeds))
    commands = [command([*fixed, *arm.overrides, *shared(arm.rows)], study.seeds) for arm in arms.values()]
    failed = _failed(store, folder.name, study, arms.values())
    return report.write(_report(study, fixed, arms, verdicts, commands, failed), store, folder)


def _arms(store: Store, sprint: Row, study: Study) -> list[Arm]:
    rows = store.proposals(sprint_id=sprint["id"])
    trials = {row["id"]: [one for one in ProposalFacts.of(row).confirmed if one is not None] for row in rows}
    read = Read(store, [number for own in trials.values() for number in own])
    arms = []
    for row in rows:
        overrides = tuple(row["proposal"].overrides)
        status = "control" if " ".join(overrides) == study.control else "ran"
        arms.append(read.arm(overrides, row["proposal"].proposer, status, trials[row["id"]]))
    return arms


def _verdicts(study: Study, arms: Mapping[str, Arm], looks: Sequence[int]) -> tuple[ClaimVerdict, ...]:
    """Every claim of every arm at hand, each at its share of the experiment's alpha."""
    asked, verdicts = study.comparisons(arms), []
    alpha = study.alpha / max(1, len(asked))
    for claim, line, against in asked:
        rate = errors(alpha).at(looks, None).among(len(claim.all))
        parts = tuple(between(part, arms[against], arms[line], rate, study.seeds) for part in claim.all)
        verdicts.append(ClaimVerdict(claim, line, against, claim_word(parts), parts, alpha))
    return tuple(verdicts)


def _failed(store: Store, sweep: str, study: Study, arms: Iterable[Arm]) -> Failures:
    failed = sorted(store.trials(sweep=sweep, status=FAILED), key=lambda trial: trial.seed)
    return [
        (trial.seed, " ".join(arm.overrides), str(trial.reason))
        for arm in arms
        for trial in failed
        if trial.seed in set(study.seeds) - set(arm.seeds) and {*arm.overrides} <= {*trial.overrides}
    ]


def _report(
    study: Study,
    fixed: Sequence[str],
    arms: Mapping[str, Arm],
    verdicts: tuple[ClaimVerdict, ...],
    commands: Sequence[str],
    failures: Failures,
) -> report.StudyReport:
    """What the report is written from; `commands` repeat the arms."""
    base = f" base=[{','.join(fixed[1:])}]" if fixed[1:] else ""
    return report.StudyReport(
        name=fixed[0].partition("experiment=")[2],
        question=study.question,
        claim=study.claim,
        metrics=study.metrics,
        seeds=study.seeds,
        alpha=study.alpha,
        timed=study.timed,
        arms=tuple(sorted(arms.values(), key=lambda arm: not arm.control)),
        verdicts=verdicts,
        commands=(f"python agent.py {fixed[0]}{base}", *commands),
        failures=tuple(failures),
        left_out=tuple(arm.line for arm in study.arms if arm.line not in arms),
    )

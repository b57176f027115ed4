"""A campaign from its charter to a report: control, screening, promotion, confirmation, insight.

Every figure that decides is read from the store, and what runs is the same path as `train.py`. The steps
depend on the charter and the store only, so the same command typed again takes the same way: what is known
costs nothing, what is missing is run.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.campaigns.bench import Arm, Bench, Run
from research.campaigns.charter import Charter
from research.campaigns.confirm import Confirmation, Finding, claim, tightened
from research.campaigns.screening import Screening
from research.campaigns.spend import Price, Spend
from research.objective import is_timed, rank, screening_objective, shown
from research.proposers.proposer import Proposer
from research.proposers.turns import Turns
from research.report.campaign import write
from research.report.lines import Lines
from research.report.sentences import claim_sentence, command
from research.runner import Outcome
from research.space import Space
from research.statistics.campaign import Campaign
from research.stats import ENOUGH
from research.store import Store
from research.types import Insight, Objective, Proposal


@final
class Sprint:
    """One run of a campaign."""

    def __init__(
        self,
        charter: Charter,
        *,
        space: Space,
        store: Store,
        run: Run,
        spend: Spend,
        root: Path,
        harness: dict[str, Any],
        lines: Lines,
    ) -> None:
        """`run` runs jobs and yields outcomes; `harness` are root keys of a trial that change no result."""
        self._charter, self._store, self._spend, self._lines = charter, store, spend, lines
        self._root, self._notes = root, list[str]()
        asked = charter.goal.objective
        self.folder = root / "agent" / charter.name
        self.id = store.add_sprint(
            charter.goal.text,
            objective=asked.model_dump(mode="json"),
            folder=str(self.folder),
            facts=self._facts([]),
        )
        self._bench = Bench(
            space=space,
            store=store,
            run=run,
            spend=spend,
            fixed=charter.fixed,
            quiet=charter.quiet,
            harness=harness,
            sweep=charter.name,
            report=self._ended,
        )
        watched = screening_objective(asked)
        lines.shown = tuple(dict.fromkeys([watched.metric, *(bound.metric for bound in watched.constraints)]))

    def run(self, proposers: Sequence[Proposer]) -> Path:
        """Run the campaign until it ends or its budget does, write the report, and return its path.

        Raises:
            Refusal: the control cannot be run, or does not measure what the goal asks for.
            KeyboardInterrupt: it was interrupted; the report of what is done was written before.
        """
        try:
            self._research(proposers)
        except KeyboardInterrupt:
            self._notes.append("interrupted: the same command continues")
            self._close("interrupted", proposers)
            raise
        except BaseException:
            self._store.set_sprint(self.id, "failed", self._facts(proposers))
            raise
        return self._close("done", proposers)

    def _close(self, status: str, proposers: Sequence[Proposer]) -> Path:
        self._store.set_sprint(self.id, status, self._facts(proposers))
        return write(self._store, self.id, self.folder)

    def _facts(self, proposers: Sequence[Proposer]) -> dict[str, Any]:
        """What the report needs beside the rows of experiments, trials and insights."""
        return {
            "campaign": self._charter.name,
            "charter": self._charter.model_dump(mode="json"),
            "notes": list(self._notes),
            "seconds": self._spend.seconds,
            "spent": {one.name: spent for one in proposers if (spent := one.spent())},
        }

    def _research(self, proposers: Sequence[Proposer]) -> None:
        charter = self._charter
        control = self._control()
        wanted = self._wanted(control)
        screening = Screening(
            self._bench, Turns(proposers, charter.shares), charter.screen, charter.goal.text, wanted, self.id
        )
        screening.start(control)
        screening.run(proposers, self._reserve(control))
        self._notes += screening.notes
        contenders = self._promoted(control, screening.best(charter.promote.arms), wanted)
        self._confirmed(control, contenders)

    def _control(self) -> Arm:
        """The default configuration with what is fixed; without it nothing can be compared."""
        hypothesis = "The control: the defaults with what the goal and the person fix."
        proposal = Proposal(hypothesis=hypothesis, overrides=(), proposer="control")
        number = self._store.add_experiment(proposal, sprint_id=self.id, status="running")
        control = Arm((), "control", number)
        seeds = self._charter.screen.seeds
        self._bench.run([(control, seed) for seed in (*seeds, *self._company())])
        reason = control.failed(seeds)
        self._bench.note(
            control,
            "failed" if reason else "control",
            reasons=[reason] if reason else [],
            screened=[control.trials[seed] for seed in seeds if seed in control.trials],
        )
        if reason:
            raise Refusal(_no_control(reason))
        return control

    def _company(self) -> range:
        """Seeds that keep the machine as busy as proposals will find it: alone, the control looks cheap."""
        screen, last = self._charter.screen, self._charter.confirm.first_seed
        busy = screen.at_once * len(screen.seeds) if is_timed(self._charter.goal.objective.metric) else 0
        return range(last - max(0, busy - len(screen.seeds)), last)

    def _wanted(self, control: Arm) -> Objective:
        """The objective as it is screened; raises `Refusal` for a metric that trials here lack."""
        results = list(self._bench.results(control, self._charter.screen.seeds).values())
        examples = min(float(result.facts.get("scored", 0)) for result in results)
        wanted = screening_objective(tightened(self._charter.goal.objective, examples))
        measured = results[0].metrics
        for metric in (wanted.metric, *(bound.metric for bound in wanted.constraints)):
            if metric not in measured:
                raise Refusal(
                    f"A trial here does not measure {metric}: name another metric, "
                    f"for example {', '.join(sorted(measured))}."
                )
        tight = [shown(bound) for bound in wanted.constraints if bound.metric.startswith("val/")]
        if tight:
            self._notes.append(f"screened with {' and '.join(tight)}, because two splits differ by chance")
        return wanted

    def _reserve(self, control: Arm) -> Callable[[], Price]:
        """What screening must leave: promotion, and one look of the confirmation."""
        charter, bench = self._charter, self._bench
        fresh = range(charter.confirm.first_seed, charter.confirm.first_seed + charter.confirm.seeds)
        own = bench.price([(control, seed) for seed in (*charter.promote.seeds, *fresh)])
        others = charter.promote.arms * len(charter.promote.seeds) + charter.confirm.seeds
        return lambda: own.plus(self._spend.usual(others))

    def _confirming(self, control: Arm, arm: Arm) -> Price:
        """What the smallest confirmation costs that can decide anything."""
        first = self._charter.confirm.first_seed
        fresh = range(first, first + ENOUGH)
        return self._bench.price([(one, seed) for one in (control, arm) for seed in fresh])

    def _promoted(self, control: Arm, best: Sequence[Arm], wanted: Objective) -> list[Arm]:
        """The contenders that beat the control over the promotion seeds, the safest first."""
        seeds = self._charter.promote.seeds
        best = self._affordable(control, best)
        pairs = [(arm, seed) for seed in seeds for arm in (control, *best)]
        self._bench.run(pairs if best else [], alone=is_timed(wanted.metric))
        for arm in (control, *best) if best else ():
            ids = [arm.trials[seed] for seed in seeds if seed in arm.trials]
            self._bench.note(arm, "control" if arm is control else "promoted", promoted=ids)
        bar = rank(wanted, self._bench.means(control, seeds))
        better = [arm for arm in best if rank(wanted, self._bench.means(arm, seeds)) < bar]
        if best and not better:
            self._notes.append("no proposal beat the control over the promotion seeds: nothing was confirmed")
        return sorted(better, key=lambda arm: rank(wanted, self._bench.cautious(arm, seeds, wanted)))

    def _affordable(self, control: Arm, best: Sequence[Arm]) -> Sequence[Arm]:
        """As many of the best as can be promoted and still be confirmed."""
        charter = self._charter
        short: str | None = "no proposal has figures"
        for count in range(len(best), 0, -1):
            pairs = [(arm, seed) for seed in charter.promote.seeds for arm in (control, *best[:count])]
            short = self._spend.short(self._bench.price(pairs), self._confirming(control, best[0]))
            if short is None:
                return best[:count]
        self._notes.append(f"nothing was promoted: {short}")
        return []

    def _confirmed(self, control: Arm, contenders: Sequence[Arm]) -> None:
        """Confirm contenders one after another until one is supported."""
        charter = self._charter
        means = self._bench.means(control, charter.promote.seeds)
        asked = claim(charter.goal.objective, charter.goal.smallest_effect, means)
        confirmation = Confirmation(self._bench, charter.confirm, Campaign(charter.alpha), charter.seed)
        for arm in contenders[: charter.confirm.arms]:
            finding = confirmation.judge(control, arm, asked)
            self._keep(control, finding)
            if finding.verdict.word == "supported":
                return

    def _keep(self, control: Arm, finding: Finding) -> None:
        """Write a finding down: the experiment's word, the trials behind it, and the insight."""
        arm, asked, seeds = finding.arm, finding.claim, finding.seeds
        for one, status in ((control, "control"), (arm, finding.verdict.word)):
            ids = [one.trials[seed] for seed in seeds if seed in one.trials]
            before = one.facts.get("confirmed", [])
            self._bench.note(one, status, confirmed=list(dict.fromkeys([*before, *ids])))
        said = claim_sentence(
            arm.overrides, finding.verdict, asked.direction, asked.constraints, finding.energy_method
        )
        insight = Insight(
            claim=f"{said} ({asked.reason})" if asked.reason else said,
            verdict=finding.verdict,
            energy_method=finding.energy_method,
            command=command([*self._charter.fixed, *arm.overrides], seeds),
        )
        self._store.add_insight(insight, sprint_id=self.id, experiment_id=arm.experiment_id)

    def _ended(self, arm: Arm, seed: int, outcome: Outcome) -> None:
        found = self._bench.result(outcome.trial_id) if outcome.ok else None
        metrics = found.metrics if found else {}
        self._lines.trial(arm.overrides, arm.proposer, seed, outcome.status, metrics, outcome.reason)


def _no_control(reason: str) -> str:
    said = reason.split(" [printed:")[0]
    if "launcher.timeout_s" in said:
        hint = "give more by budget.seconds, or make trials shorter, as by base=[budget.steps=100]"
    else:
        hint = "what belongs to train.py goes into base=[key=value]"
    return f"The control cannot be run, so nothing can be compared: {said} ({hint})."

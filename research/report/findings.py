"""Reads a campaign from the database: its arms with figures, its counts, its cost; all of it queries."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from research.statistics.comparable import energy_method
from research.stats import Summary, summary
from research.store import Store
from research.types import Insight, Objective, Proposal, Result

RAN = ("control", "screened", "promoted", "supported", "refuted", "open")
"""statuses of an experiment that has figures"""


@final
@dataclass(frozen=True)
class Arm:
    """One configuration in one stage of the campaign, with the trials behind its row."""

    overrides: tuple[str, ...]
    proposer: str
    status: str
    results: tuple[Result, ...]
    seeds: tuple[int, ...]

    def of(self, metric: str) -> Summary:
        """Mean and 95 % interval of a metric over the arm's trials."""
        return summary(result.metrics[metric] for result in self.results if metric in result.metrics)

    @property
    def means(self) -> dict[str, float]:
        """The mean of every metric."""
        keys = {key for result in self.results for key in result.metrics}
        return {key: self.of(key).mean for key in keys}

    @property
    def method(self) -> str:
        """How its joules were taken."""
        found = {energy_method(result) or "not measured" for result in self.results}
        return "+".join(sorted(found)) or "not measured"


@final
@dataclass(frozen=True)
class Cost:
    """What the search itself used; None where nothing tells it."""

    trials: int
    failed: int
    known: int
    joules: float
    seconds: float
    calls: int
    tokens: int
    dollars: float | None


@final
class Findings:
    """One sprint of the store; every attribute is a query."""

    def __init__(self, store: Store, sprint_id: int) -> None:
        """Raises `KeyError` for an unknown sprint."""
        self._store = store
        found = [row for row in store.sprints() if row["id"] == sprint_id]
        if not found:
            raise KeyError(f"no sprint {sprint_id}")
        self.sprint: Mapping[str, Any] = found[0]
        self.facts: Mapping[str, Any] = found[0]["facts"]
        self.objective = Objective.model_validate(found[0]["objective"])
        self._experiments = store.experiments(sprint_id=sprint_id)
        self.insights: list[Insight] = [row["insight"] for row in store.insights(sprint_id=sprint_id)]
        self._interactions = store.interactions(sprint_id=sprint_id)

    def arms(self, stage: str) -> list[Arm]:
        """Arms with trials in a stage (`screened`, `promoted`, `confirmed`), the control first."""
        rows = [(row, self._ids(row, stage)) for row in self._experiments]
        found = [self._arm(row, ids) for row, ids in rows if ids]
        return sorted(found, key=lambda arm: arm.status != "control")

    def counts(self) -> dict[str, Counter[str]]:
        """Proposer -> how many of its proposals ended how; the control left out."""
        found: dict[str, Counter[str]] = {}
        for row in self._experiments:
            if row["status"] != "control":
                proposal: Proposal = row["proposal"]
                found.setdefault(proposal.proposer, Counter())[_ended(row["status"])] += 1
        return found

    def reasons(self, status: str) -> Counter[str]:
        """Why proposals were `refused` or `failed`, and how often."""
        rows = [row for row in self._experiments if row["status"] == status]
        return Counter(reason for row in rows for reason in row["facts"].get("reasons", []))

    def cost(self) -> Cost:
        """What the campaign cost, over all runs of the same command; the language model's in this run."""
        ran = self._store.trials(sweep=str(self.facts["campaign"]))
        results = self._store.results([trial.id for trial in ran])
        used = {number for row in self._experiments for number in self._all_ids(row)}
        dollars = [row["dollars"] for row in self._interactions]
        tokens = [row["tokens_in"] or 0 for row in self._interactions] + [
            row["tokens_out"] or 0 for row in self._interactions
        ]
        return Cost(
            trials=len(results),
            failed=sum(trial.status == "failed" for trial in ran),
            known=len(used - {trial.id for trial in ran}),
            joules=sum(result.metrics.get("train/energy_j", 0.0) for result in results.values()),
            seconds=float(self.facts.get("seconds", 0.0)),
            calls=len(self._interactions),
            tokens=sum(tokens),
            dollars=None if None in dollars else sum(dollars),
        )

    def _arm(self, row: Mapping[str, Any], ids: Sequence[int]) -> Arm:
        results = self._store.results(ids)
        trials = {trial.id: trial for trial in self._store.trials(ids=ids)}
        done = [number for number in ids if number in results]
        return Arm(
            overrides=tuple(row["proposal"].overrides),
            proposer=row["proposal"].proposer,
            status=row["status"],
            results=tuple(results[number] for number in done),
            seeds=tuple(trials[number].seed for number in done),
        )

    def _ids(self, row: Mapping[str, Any], stage: str) -> list[int]:
        return [number for number in row["facts"].get(stage, []) if number is not None]

    def _all_ids(self, row: Mapping[str, Any]) -> list[int]:
        return [number for stage in ("screened", "promoted", "confirmed") for number in self._ids(row, stage)]


def _ended(status: str) -> str:
    """`running` in a finished report is a trial that was interrupted."""
    return "ran" if status in RAN else "interrupted" if status == "running" else status

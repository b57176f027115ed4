"""Reads a campaign from the database: its arms with figures, its counts, its cost; all of it queries."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

from research.compose.override import values_of
from research.metrics import rank, screening, screening_objective
from research.report.arms import DECIDED, ArmNames, Read
from research.stats.arms import Arm
from research.store.store import Store
from research.types import Insight, Objective, Proposal, ProposalFacts, SprintFacts

Row = Mapping[str, Any]
RAN = ("control", "screened", "promoted", *DECIDED)
"""statuses of an experiment that has figures"""
STAGES = ("screened", "promoted", "confirmed")
_ALWAYS = ("train/energy_j", "size/parameters", "infer/latency_s_p50")
_NEAREST = ("supported", "refuted", "open", "promoted", "screened")
"""of one configuration in several sprints, the status that came furthest is told"""


NO_CAMPAIGN = "The database has no campaign {!a}: python agent.py task=status lists what it has."


@final
class Findings:
    """Sprints of one campaign in the store; every attribute is a query."""

    def __init__(self, store: Store, *sprint_ids: int) -> None:
        """Raises `KeyError` for an unknown sprint."""
        self.store = store
        found = {row["id"]: row for row in store.sprints()}
        missing = [number for number in sprint_ids if number not in found]
        if missing or not sprint_ids:
            raise KeyError(f"no sprint {missing[0] if missing else ''}".strip())
        self.sprints: list[Row] = [found[number] for number in sprint_ids]
        self.sprint = self.sprints[-1]
        self.facts: Mapping[str, Any] = self.sprint["facts"]
        self.told = SprintFacts.of(self.sprint)
        """what the last of them says of itself"""
        self.objective = Objective.model_validate(self.sprint["objective"])
        self.rows: list[Row] = [row for one in sprint_ids for row in store.proposals(sprint_id=one)]
        """every proposal's row, also of those that a later sprint carried on"""
        self.experiments: list[Row] = _latest(self.rows)
        self.found: list[Row] = [row for one in sprint_ids for row in store.insights(sprint_id=one)]
        campaign, numbers = self.told.campaign, {number_of(row) for row in self.sprints}
        self.all_runs: list[Row] = [
            row for row in found.values() if row is self.sprint or SprintFacts.of(row).campaign == campaign
        ]
        """every run of the campaign's command"""
        self.runs: list[Row] = [row for row in self.all_runs if number_of(row) in numbers]
        """every run of these sprints: what they cost counts, also where one was cut short"""
        self.interactions: list[Row] = [
            row for one in self.runs for row in store.interactions(sprint_id=one["id"])
        ]
        self._arms: dict[str, list[Arm]] = {}

    @property
    def insights(self) -> list[Insight]:
        """What was found, in the order in which it was judged."""
        return [row["insight"] for row in self.found]

    @cached_property
    def reviews(self) -> list[Row]:
        """The reviews of these sprints' experiments, oldest first."""
        own = {row["id"] for row in self.rows}
        return [row for row in self.store.reviews() if row["proposal_id"] in own]

    @property
    def fixed(self) -> list[str]:
        """The overrides of every trial."""
        return [str(one) for one in self.told.charter.get("fixed", self.facts.get("fixed", []))]

    @property
    def winner(self) -> Row | None:
        """The last finding that was supported: the row of its insight."""
        return next((row for row in reversed(self.found) if row["word"] == "supported"), None)

    @property
    def asked(self) -> list[str]:
        """The goal's metric, then those that it bounds."""
        return list(self.objective.metrics)

    @cached_property
    def names(self) -> ArmNames:
        """What arms are called in the papers: the nearest to a finding have the first letters."""
        return ArmNames().reserve([*self.arms("confirmed"), *self.arms("promoted"), *self.best])

    @cached_property
    def best(self) -> list[Arm]:
        """The screened arms, the controls first and the others by the objective."""
        arms = self.arms("screened")
        held = [arm for arm in arms if arm.control or arm.stopped]
        rest = sorted((arm for arm in arms if arm not in held), key=lambda arm: rank(self.wanted, arm.means))
        return [*held, *rest]

    @cached_property
    def wanted(self) -> Objective:
        """The objective as it was screened; what is relative to the control by its screened figures."""
        control = next((arm for arm in self.arms("screened") if arm.control), None)
        return screening_objective(self.objective).resolved(control.means if control else {})

    def columns(self, stage: str) -> list[str]:
        """The metrics of a stage's table: what was asked and claimed, and what is always told."""
        claims = [one.verdict.comparison.metric for one in self.insights if one.verdict.comparison]
        wanted = [*self.asked, *claims, *_ALWAYS]
        return list(dict.fromkeys(one if stage == "confirmed" else screening(one) for one in wanted))

    def arms(self, stage: str) -> list[Arm]:
        """Arms with trials in a stage (`screened`, `promoted`, `confirmed`), the control first."""
        if stage not in self._arms:
            self._arms[stage] = self._read(stage)
        return self._arms[stage]

    def arm_of(self, insight: Row) -> Arm | None:
        """The confirmed arm that an insight is of, None when it was an arm of no experiment here."""
        rows = [row for row in self.experiments if row["id"] == insight["proposal_id"]]
        overrides = tuple(rows[0]["proposal"].overrides) if rows else None
        found = [arm for arm in self.arms("confirmed") if not arm.control and arm.overrides == overrides]
        return found[0] if found else None

    def control_of(self, insight: Row) -> Arm | None:
        """The control that an insight was judged beside: a campaign whose defaults break a bound has two."""
        judged = set(insight["insight"].verdict.trial_ids)
        found = [arm for arm in self.arms("confirmed") if arm.control]
        return next((arm for arm in found if judged & {trial.id for trial in arm.rows}), None)

    def telling(self, insight: Row, control: Arm, arm: Arm) -> tuple[Arm, Arm]:
        """Both arms with the trials that did not decide and tell the finding's size, where there are any.

        What decided comes out too large, by having been chosen.
        """
        numbers = _estimated(insight)
        if not numbers:
            return control, arm
        half = len(numbers) // 2
        sides = ((control, numbers[:half]), (arm, numbers[half:]))
        first, second = (
            self._known.arm(side.overrides, side.proposer, side.status, own) for side, own in sides
        )
        return first, second

    def seconds(self, *sprints: Row) -> float:
        """Wall seconds of sprints that follow each other.

        The clock runs on from sprint to sprint, and anew when the command is typed again.
        """
        first = number_of(sprints[0])
        before = [SprintFacts.of(row).seconds for row in self.all_runs if number_of(row) == first - 1]
        told, earlier = SprintFacts.of(sprints[-1]).seconds, before[-1] if before else 0.0
        return told - earlier if told >= earlier else told

    @property
    def baseline(self) -> Mapping[str, Any]:
        """What an earlier sprint has shown to keep the bounds, and is the control since; else empty."""
        return self.told.baseline if self.told.baseline.get("sprint") is not None else {}

    def counts(self) -> dict[str, Counter[str]]:
        """Proposer -> how many of its proposals ended how; the control left out."""
        found: dict[str, Counter[str]] = {}
        for row in self.experiments:
            if not harness(row):
                proposal: Proposal = row["proposal"]
                found.setdefault(proposal.proposer, Counter())[ended(row["status"])] += 1
        return found

    def reasons(self, *statuses: str) -> Counter[str]:
        """Why proposals of these statuses came to nothing, and how often."""
        rows = [row for row in self.experiments if row["status"] in statuses]
        return Counter(reason for row in rows for reason in ProposalFacts.of(row).reasons)

    def notes(self) -> list[str]:
        """What each sprint noted for the reader, each once."""
        return list(dict.fromkeys(str(one) for row in self.sprints for one in SprintFacts.of(row).notes))

    def total(self, fact: str, key: str) -> float | None:
        """The sum of one number over the sprints, as of `pruned` and `trials`; None where none tells it."""
        told = [(row["facts"].get(fact) or {}).get(key) for row in self.sprints]
        known = [float(one) for one in told if isinstance(one, int | float)]
        return sum(known) if known else None

    @cached_property
    def _known(self) -> Read:
        """Every trial that an experiment here names."""
        asked = [one for row in self.experiments for stage in STAGES for one in ids(row, stage)]
        asked += [one for row in self.found for one in _estimated(row)]
        return Read(self.store, asked, _meter(self.fixed))

    def _read(self, stage: str) -> list[Arm]:
        """One arm for each configuration; what several sprints measured of it is one row."""
        rows: dict[tuple[bool, tuple[str, ...]], list[Row]] = {}
        for row in self.experiments:
            if ids(row, stage):
                own = (row["status"] == "control", tuple(row["proposal"].overrides))
                rows.setdefault(own, []).append(row)
        found = [self.arm(stage, *same) for same in rows.values()]
        return sorted(found, key=lambda arm: (not arm.control, not arm.stopped))

    def arm(self, stage: str, *rows: Row) -> Arm:
        """Proposals of one configuration as their trials of a stage measured it."""
        statuses = [row["status"] for row in rows]
        status = next((one for one in _NEAREST if one in statuses), statuses[-1])
        proposal = rows[-1]["proposal"]
        numbers = [number for row in rows for number in ids(row, stage)]
        stopped = any(ProposalFacts.of(row).stopped for row in rows)
        return self._known.arm(proposal.overrides, proposal.proposer, status, numbers, stopped)


def number_of(sprint: Row) -> int:
    """A sprint's number within its campaign, from 1."""
    return SprintFacts.of(sprint).number


def _estimated(insight: Row) -> list[int]:
    """The trials of a finding that did not decide: the control's, then as many of the arm."""
    return list((insight["facts"].get("estimated") or {}).get("trials", ()))


def _meter(fixed: Sequence[str]) -> dict[str, Any]:
    """The electricity grid whose CO2 a campaign tells; trials that were known may have run under another."""
    given = values_of(fixed)
    own = {key.removeprefix("meter."): text for key, text in given.items() if key.startswith("meter.")}
    grams = own.get("grid_g_per_kwh", "null")
    found = {"country": own.get("country"), "grid_g_per_kwh": None if grams == "null" else float(grams)}
    return {key: value for key, value in found.items() if value not in (None, "null")}


def _latest(rows: Sequence[Row]) -> list[Row]:
    """Each proposal once; one that later sprints carried on is told by its last row."""
    first = {row["id"]: ProposalFacts.of(row).carried or row["id"] for row in rows}
    last = {first[row["id"]]: row["id"] for row in rows}
    return [row for row in rows if last[first[row["id"]]] == row["id"]]


def of_campaign(store: Store, campaign: str) -> Findings:
    """The sprints of a campaign, first to last; of one sprint that was continued, its last run.

    Raises `KeyError` when there is none of this name.
    """
    rows = [row for row in store.sprints() if SprintFacts.of(row).campaign == campaign]
    newest = {number_of(row): row["id"] for row in sorted(rows, key=lambda row: row["id"])}
    if not newest:
        raise KeyError(f"no campaign {campaign}")
    return Findings(store, *(newest[number] for number in sorted(newest)))


def ids(row: Row, stage: str) -> list[int]:
    """The trials of an experiment in a stage."""
    return [number for number in row["facts"].get(stage) or [] if number is not None]


def harness(row: Row) -> bool:
    """Whether a row is the harness's own: the control, or the control stopped at the bound."""
    return row["status"] == "control" or ProposalFacts.of(row).stopped


def ended(status: str) -> str:
    """`running` in a finished report is a trial that was interrupted; what nobody ran yet is waiting."""
    if status in ("queued", "proposed"):
        return "waiting"
    return "ran" if status in RAN else "interrupted" if status == "running" else status

"""The vocabulary of a decision: Proposal -> Trial -> Result -> Verdict -> Insight, as frozen records."""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self, final

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

Direction = Literal["min", "max"]
Scale = Literal["absolute", "relative"]
"""how a change is told: in the unit of the metric, or in percent of the control, by logarithms"""
Over = Literal["splits", "examples", "seeds"]
"""what the interval of a score knows beside seeds: new draws of data, a test set's examples, or neither"""
TrialStatus = Literal["queued", "leased", "running", "done", "failed", "stopped", "cancelled", "dead"]
VerdictWord = Literal["supported", "refuted", "open"]
Values = Mapping[int, float]
"""what one arm measured of a metric: seed -> value, NaN where the trial failed or did not measure it"""
STOPPED = "stopped early"  # how the reason of a `stopped` trial begins: it could not win, which is no failure


class Record(BaseModel):
    """A frozen record: unknown fields are errors, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # to build all takes 70 ms


class Key(NamedTuple):
    """What makes two trials the same trial: asking for an equal key twice runs once."""

    signature: str
    """sha256 of the canonical resolved config, seed included, without what cannot change the result"""
    code: str
    """digest of the sources under models/, of a user's own that it names, and of versions of packages"""
    data: str
    """digest of where the data comes from: file contents of its path, or its package's version; after a `+`
    that of whatever else it begins from: a checkpoint, a teacher, other files"""
    hardware: str
    """hardware class, for example `cpu:Intel Xeon 8481C x2` or `gpu:NVIDIA H200`"""


class Constraint(Record):
    """A bound on one metric that every answer must keep, for example test/accuracy >= 0.97."""

    metric: str
    op: Literal[">=", "<="]
    bound: float
    of_control: Literal["difference", "ratio"] | None = None
    """a difference to the control's figure, as -0.01, or times it, as 1.02; None: neither"""

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A plain bound as it always was: names of campaigns and recipes are digests of it."""
        told: dict[str, Any] = write(self)
        return told if self.of_control else {key: told[key] for key in told if key != "of_control"}

    @property
    def words(self) -> str:
        """As it is typed: `test/accuracy >= control - 0.01`, `train/energy_j <= 1.02 * control`."""
        number = f"{abs(self.bound):.10g}"
        if self.of_control == "ratio":
            limit = f"{number} * control"
        elif self.of_control == "difference":
            limit = f"control {'-' if self.bound < 0 else '+'} {number}"
        else:
            limit = f"{self.bound:.10g}"
        return f"{self.metric} {self.op} {limit}"

    def resolved(self, control: Mapping[str, float]) -> "Constraint":
        """The bound as a figure: one that is relative to the control by its own, NaN where it has none.

        That is the control which a sprint or a claim compares with, and never the one stopped at the bound.
        """
        if self.of_control is None:
            return self
        figure = control.get(self.metric, math.nan)
        limit = figure * self.bound if self.of_control == "ratio" else figure + self.bound
        return self.model_copy(update={"bound": limit, "of_control": None})


class Objective(Record):
    """What a goal asks for."""

    metric: str
    direction: Direction
    constraints: tuple[Constraint, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """What it is about, then what it bounds."""
        return (self.metric, *(bound.metric for bound in self.constraints))

    def resolved(self, control: Mapping[str, float]) -> "Objective":
        """The same with every bound as a figure, by the control's on the objective's own split."""
        bounds = (bound.resolved(control) for bound in self.constraints)
        return self.model_copy(update={"constraints": tuple(bounds)})


class Proposal(Record):
    """A claim that can be wrong, and the overrides that test it against a control arm."""

    hypothesis: str = Field(min_length=1, max_length=2000)
    overrides: tuple[str, ...]
    control: tuple[str, ...] = ()
    metric: str = "val/accuracy"
    direction: Direction = "max"
    smallest_effect: float = 0.0
    refuted_by: str = ""
    domain: str = "optimization"
    proposer: str = "person"
    parent: int | None = None
    """the experiment that this one improves upon after a review"""
    cites: tuple[str, ...] = ()
    """ids of literature, and `trial 12` or `insight 3` of the database, that the hypothesis rests on"""
    cost: dict[str, float] = {}
    """what is expected: `trials`, `seconds`, `joules`"""


class Trial(Record):
    """One row of the trial table: one configuration, one seed, one run of it."""

    id: int
    key: Key
    replicate: int
    seed: int
    overrides: tuple[str, ...]
    config: dict[str, Any]
    status: TrialStatus
    reason: str | None
    name: str | None
    sweep: str | None
    source: str
    folder: str | None
    started: float
    finished: float | None
    config_sha: str | None = None
    """of the config as it was written; None in rows of versions that took none"""
    lost: bool = False
    """whether whoever held it is gone, or let the lease end"""

    @property
    def word(self) -> str:
        """Its status as people read it: what nobody holds any more does not run, it is `lost`."""
        return "lost" if self.lost else self.status


class Result(Record):
    """What a finished trial measured: SI units, keys of the form `test/accuracy` or `train/energy_j`."""

    trial_id: int
    metrics: dict[str, float]
    facts: dict[str, Any]
    """what is not a number: energy method per component, hardware, per-class scores, confusion matrix"""


class Comparison(Record):
    """Two arms paired by seed: difference treatment minus control."""

    metric: str
    scale: Scale = "absolute"
    n: int
    difference: float
    low: float
    high: float
    effect_size: float | None
    p_value: float | None
    level: float
    """confidence of the interval [low, high], for example 0.95; over all looks where there were several"""
    tail: float | None = None
    """one-sided p-value at which it decides; None where nothing was claimed"""
    sd: float | None = None
    """spread of the differences, of their logarithms where it is a ratio; None where there is none"""
    over: Over | None = None
    """what the mean of a score is over; None for a cost, and where nobody said"""

    @property
    def unit(self) -> str:
        """What stands behind a change of it: ` %`, or nothing."""
        return " %" if self.scale == "relative" else ""


class Verdict(Record):
    """What the numbers say about a proposal; computed by research/stats, never by a language model."""

    word: VerdictWord
    comparison: Comparison | None
    reason: str
    trial_ids: tuple[int, ...]
    told: Comparison | None = None
    """the size as it is told: what decided is too large by having been chosen; None in older insights"""
    told_by: str = ""
    """how that was obtained: on seeds that did not decide, or given that it was chosen"""
    by: tuple[str, ...] = ()
    """what gave it its word: the metric of the comparison, bounds as shown; none in older insights"""

    @property
    def size(self) -> Comparison | None:
        """The comparison whose size is told; where there is none of its own, the one that decided."""
        return self.told or self.comparison

    @property
    def bounds(self) -> tuple[str, ...]:
        """The bounds that gave it its word."""
        return tuple(said for said in self.by if self.comparison is None or said != self.comparison.metric)

    @property
    def by_bounds(self) -> bool:
        """Whether bounds alone did, and not the comparison."""
        return bool(self.bounds) and self.bounds == self.by


class Insight(Record):
    """What is kept of a verdict: the sentence, its evidence, and the line that repeats it."""

    claim: str
    verdict: Verdict
    energy_method: str
    command: str


class RowFacts(Record):
    """What a row of the database says beside its columns; it may be of another version."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The facts of a row; what it does not say has its default."""
        return cls.model_validate({key: value for key, value in row["facts"].items() if value is not None})

    def written(self) -> dict[str, Any]:
        """What is set, as the row keeps it."""
        return self.model_dump(exclude_unset=True)


@final
class SprintFacts(RowFacts):
    """The facts of a campaign's sprint."""

    campaign: str | None = None
    number: int = 1
    charter: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    """what a reader must know"""
    seconds: float = 0.0
    """of the command, up to the end of the sprint"""
    spent: dict[str, Any] = {}
    """proposer -> what its model has used"""
    boxes: dict[str, dict[str, float]] = {}
    """box -> `limit_s` and `used_s`"""
    turns: dict[str, dict[str, float]] = {}
    """proposer -> its turns, what they brought and cost, and its part of those to come"""
    question: str | None = None
    comparisons: tuple[str, ...] = ()
    """the words of its comparisons, in their order"""
    predicted: dict[str, Any] = {}
    """what memory has refused, and how often it was wrong"""
    plan: dict[str, Any] = {}
    baseline: dict[str, Any] = {}
    """`overrides` of the control, and the `sprint` that has confirmed it"""
    shortest: dict[str, Any] | None = None
    """what stopping the control at the bound has come to"""
    pruned: dict[str, Any] = {}
    """what ending trainings early has saved, and cost"""
    team: dict[str, Any] = {}
    steered: dict[str, int] = {}  # line of the person -> proposals that had run when it was first read
    memory: dict[str, Any] = {}
    literature: dict[str, Any] = {}
    worthless: str | None = None
    """why nothing that could still be proposed is worth its CPU seconds; None where something is"""
    ended: str | None = None
    """why no sprint comes after it"""


@final
class ProposalFacts(RowFacts):
    """The facts of a proposal."""

    signature: str | None = None
    reasons: tuple[str, ...] = ()
    """why it was not let in, failed, was stopped or dropped"""
    lane: str | None = None
    """of a campaign with a model: `team`, or `control` without it"""
    review: dict[str, Any] = {}
    """`score`, `round`, `by` and the `first` score"""
    changed: str | None = None
    charter: dict[str, Any] = {}
    """what it was proposed under, where that is no sprint's"""
    screened: tuple[int | None, ...] = ()
    joules: float | None = None  # of screening it, ended and failed trials too
    promoted: tuple[int | None, ...] = ()
    confirmed: tuple[int | None, ...] = ()
    """its trials of each stage"""
    looks: int = 0
    carried: int | None = None  # the proposal of an earlier sprint that it goes on with
    stopped: bool = False
    """whether it is the control stopped at the goal's bound"""
    asked: dict[str, Any] = {}
    """what the model's questions cost that it came of"""
    tested: dict[str, Any] = {}
    """what would refute it as judged: `claim`, `against`, `word`, `reason`, `trials`"""

"""What a role may answer: strict records. A role's YAML names its form, and the form says where it acts."""

from typing import Annotated, Any, final

from pydantic import Field

from research.types import Record

Line = Annotated[str, Field(min_length=1, max_length=600, pattern=r"\S")]
Override = Annotated[str, Field(min_length=1, max_length=512)]
Score = Annotated[float, Field(ge=1, le=10)]

FACETS = ("novelty", "feasibility", "impact", "clarity", "efficiency")
"""what a reviewer scores, each from 1 to 10"""


@final
class Hypothesis(Record):
    """A claim that can turn out wrong."""

    claim: Line = Field(description="one sentence that can turn out wrong")
    because: Line = Field(description="why, in one sentence")
    cites: tuple[Line, ...] = Field(default=(), max_length=8, description="ids of sources, trials, insights")


class Hypotheses(Record):
    """A researcher's answer, first in the discussion."""

    hypotheses: tuple[Hypothesis, ...] = Field(min_length=1, max_length=8)


class Remarks(Record):
    """What any further role says to the hypotheses; those who plan read it."""

    remarks: tuple[Line, ...] = Field(min_length=1, max_length=8)


@final
class PlannedArm(Record):
    """One experiment of the plan."""

    hypothesis: int = Field(ge=1, le=64, description="number of the hypothesis that it tests")
    change: Line = Field(description="what is changed against the control, in words")
    refuted_by: Line = Field(description="the observation that would refute it")


class Plan(Record):
    """An architect's answer: what is tried. Control, metric, seeds and stopping are the laboratory's."""

    arms: tuple[PlannedArm, ...] = Field(min_length=1, max_length=8)


@final
class Build(Record):
    """One arm as overrides."""

    arm: int = Field(ge=1, le=64, description="number of the arm in the plan")
    overrides: tuple[Override, ...] = Field(
        min_length=1, max_length=32, description="group=option or key=value, as in the vocabulary"
    )


class Builds(Record):
    """An engineer's answer: the plan as overrides."""

    builds: tuple[Build, ...] = Field(min_length=1, max_length=8)


class Review(Record):
    """A reviewer's answer; the total is computed from the five scores, never given."""

    novelty: Score = Field(description="1 to 10: does it differ from what was tried?")
    feasibility: Score = Field(description="1 to 10: will its trials run to their end?")
    impact: Score = Field(description="1 to 10: how much would it improve the objective?")
    clarity: Score = Field(description="1 to 10: can its claim turn out wrong?")
    efficiency: Score = Field(description="1 to 10: what does it teach for its cost?")
    reasons: tuple[Line, ...] = Field(min_length=1, max_length=6)
    risks: tuple[Line, ...] = Field(default=(), max_length=6)
    chance: float = Field(ge=0, le=1, description="chance of success, 0 to 1")


class Revision(Record):
    """An improver's answer: the proposal rewritten by the reasons of its review."""

    hypothesis: Line = Field(description="one sentence that can turn out wrong")
    overrides: tuple[Override, ...] = Field(min_length=1, max_length=32)
    changed: Line = Field(description="what was changed and by which reason")


class Wording(Record):
    """A validator's answer: the verdict in words; the verdict itself and the rating are computed."""

    words: Annotated[str, Field(min_length=1, max_length=1200, pattern=r"\S")] = Field(
        description="two to four sentences; no other verdict, no number that the evidence lacks"
    )
    cites: tuple[Line, ...] = Field(default=(), max_length=12, description="trial 12, insight 3")
    next: tuple[Line, ...] = Field(default=(), max_length=5, description="the next experiments, a line each")


def shape(kind: type[Record]) -> str:
    """The object that is asked for, in one line: its keys, and for each what belongs there."""
    return _shown(kind.model_json_schema(), kind.model_json_schema().get("$defs", {}))


def _shown(node: dict[str, Any], records: dict[str, Any]) -> str:
    if "$ref" in node:
        return _shown(records[node["$ref"].rpartition("/")[2]], records)
    if node.get("type") == "object":
        pairs = (f'"{name}": {_shown(entry, records)}' for name, entry in node["properties"].items())
        return "{" + ", ".join(pairs) + "}"
    words = node.get("description", "text")
    if node.get("type") == "array":
        inner = _shown(node["items"], records)
        return f"[{inner if inner.startswith('{') else f'<{words}>'}, ...]"
    return f"<{words}>"

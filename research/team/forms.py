"""What a role may answer: strict records. A role's YAML names its form, and the form says where it acts."""

from typing import Annotated, Any, ClassVar, final

from pydantic import Field

from research.llm.prompt import one_line
from research.metrics import twin
from research.stats.claims import Part
from research.types import Record

Line = Annotated[str, Field(min_length=1, max_length=600, pattern=r"\S")]
Override = Annotated[str, Field(min_length=1, max_length=512)]
Score = Annotated[float, Field(ge=1, le=10)]

_REFUTING = (
    "the claim that would refute it: METRIC less by|more by|not less by|not more by SIZE than the control's, "
    "as test/accuracy less by 0.01, or train/energy_j not less by 10 %"
)
Refuting = Annotated[str, Field(max_length=600, description=_REFUTING)]
"""a claim in the grammar of `research.stats.claims`; what is none is dropped with a note, see `refuting`"""


FIRST: dict[str, Any] = {"first": True}
"""of a list that is longer than asked for the first items are taken: no decision hangs on the rest"""


@final
class Hypothesis(Record):
    """A claim that can turn out wrong."""

    claim: Line = Field(description="one sentence that can turn out wrong")
    because: Line = Field(description="why, in one sentence")
    cites: tuple[Line, ...] = Field(
        default=(), max_length=8, description="ids of sources, trials, insights", json_schema_extra=FIRST
    )


class Hypotheses(Record):
    """A researcher's answer, first in the discussion."""

    parts: ClassVar[str] = "hypotheses"
    """the list of which a faulty item is left out, and costs no other"""
    hypotheses: tuple[Hypothesis, ...] = Field(min_length=1, max_length=8, json_schema_extra=FIRST)


class Remarks(Record):
    """What any further role says to the hypotheses; those who plan read it."""

    remarks: tuple[Line, ...] = Field(min_length=1, max_length=8, json_schema_extra=FIRST)


@final
class PlannedArm(Record):
    """One experiment of the plan."""

    hypothesis: int = Field(ge=1, le=64, description="number of the hypothesis that it tests")
    change: Line = Field(description="what is changed against the control, in words")
    refuted_by: Refuting = ""
    against: int = Field(
        default=0, ge=0, le=64, description="0, or number of the arm that it is compared with"
    )


class Plan(Record):
    """An architect's answer: what is tried. Control, metric, seeds and stopping are the laboratory's."""

    arms: tuple[PlannedArm, ...] = Field(min_length=1, max_length=8, json_schema_extra=FIRST)


@final
class Build(Record):
    """One arm as overrides."""

    arm: int = Field(ge=1, le=64, description="number of the arm in the plan")
    overrides: tuple[Override, ...] = Field(
        min_length=1, max_length=32, description="group=option or key=value, as in the vocabulary"
    )


class Builds(Record):
    """An engineer's answer: the plan as overrides."""

    parts: ClassVar[str] = "builds"
    builds: tuple[Build, ...] = Field(min_length=1, max_length=8, json_schema_extra=FIRST)


class Review(Record):
    """A reviewer's answer: what code cannot know. Other facets and the total are computed."""

    feasibility: Score = Field(description="1 to 10: will its trials run to their end?")
    impact: Score = Field(description="1 to 10: how much would it improve the objective?")
    clarity: Score = Field(description="1 to 10: can its claim turn out wrong?")
    reasons: tuple[Line, ...] = Field(min_length=1, max_length=6, json_schema_extra=FIRST)
    risks: tuple[Line, ...] = Field(default=(), max_length=6, json_schema_extra=FIRST)
    chance: float = Field(ge=0, le=1, description="chance of success, 0 to 1")


class Revision(Record):
    """An improver's answer: the proposal rewritten by the reasons of its review."""

    hypothesis: Line = Field(description="one sentence that can turn out wrong, as it was or mended")
    overrides: tuple[Override, ...] = Field(min_length=1, max_length=32)
    refuted_by: Refuting = ""
    changed: Line = Field(description="what was changed and by which reason")


class Wording(Record):
    """A validator's answer: the verdict in words; the verdict itself and the rating are computed."""

    words: Annotated[str, Field(min_length=1, max_length=1200, pattern=r"\S")] = Field(
        description="two to four sentences; no other verdict, no number that the evidence lacks"
    )
    cites: tuple[Line, ...] = Field(
        default=(), max_length=12, description="trial 12, insight 3", json_schema_extra=FIRST
    )
    next: tuple[Line, ...] = Field(
        default=(), max_length=5, description="the next experiments, a line each", json_schema_extra=FIRST
    )


def refuting(text: str) -> tuple[str, str | None]:
    """What a role says would refute it as claims are spelt, '' with the reason where it is none.

    A figure of the validation split is claimed of the test split, on which claims are judged.
    """
    if not text.strip():
        return "", None
    try:
        part = Part.read(text)
        if part.is_foregone:
            raise ValueError("all figures meet it or none does, so name a size that trials can decide")
    except ValueError as fault:
        return "", f"refuted_by is dropped, for nothing can judge '{one_line(text, 80)}': {fault}"
    return part.model_copy(update={"metric": twin(part.metric)}).words, None


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
        most = f", at most {node['maxItems']}" if "maxItems" in node else ""
        return f"[{inner if inner.startswith('{') else f'<{words}>'}, ...{most}]"
    return f"<{words}>"

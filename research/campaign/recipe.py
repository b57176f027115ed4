"""The `study` of a recipe: what is compared, over which seeds, and what is claimed of it, as frozen records.

It stands in `conf/experiment/NAME.yaml` beside the choices, so that what is claimed is written down before it
is measured. It changes no result: a trial of a recipe is the trial of the plain overrides.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

from pydantic import Field, ValidationError, field_validator, model_validator

from refusal import Refusal
from research.compose.override import keys_of
from research.compose.yaml import parsed, text_of
from research.metrics import is_timed
from research.types import Record

FIRST_SEED = 1000
"""where fresh seeds begin: those below tune options and screen proposals"""
FEWEST_SEEDS = 3
Kind = Literal["less_by", "more_by", "not_less_by", "not_more_by", "equal_within", "at_most", "at_least"]
KINDS: tuple[Kind, ...] = (
    *("less_by", "more_by", "not_less_by", "not_more_by"),
    *("equal_within", "at_most", "at_least"),
)
_SIZE = re.compile(r"([0-9]*\.?[0-9]+(?:e-?[0-9]+)?) ?(%|x)?", re.IGNORECASE)


@final
class Size(NamedTuple):
    """A difference: plain in the metric's unit, `10 %` of the control, or `2x` times the control."""

    number: float
    unit: Literal["", "%", "x"]

    def __str__(self) -> str:
        return f"{self.number:g}{' %' if self.unit == '%' else self.unit}"


@final
class Part(Record):
    """One comparison of an arm with its control: exactly one of the kinds.

    `less_by` and `more_by` claim a difference beyond the size; `not_less_by` and `not_more_by` that it stays
    within it on one side; `equal_within` on both; `at_most` and `at_least` bound the arm's own mean.
    """

    metric: str
    less_by: Size | None = None
    more_by: Size | None = None
    not_less_by: Size | None = None
    not_more_by: Size | None = None
    equal_within: Size | None = None
    at_most: float | None = None
    at_least: float | None = None

    @field_validator(*KINDS[:5], mode="before")
    @classmethod
    def _sized(cls, given: Any) -> Size:
        found = _SIZE.fullmatch(str(given).strip())
        if isinstance(given, bool) or found is None:
            raise ValueError(f"{given!a} is no size: write 0.01, 10 % or 2x")
        size = Size(float(found[1]), (found[2] or "").lower())  # type: ignore[arg-type]
        if size.unit == "x" and size.number <= 1:
            raise ValueError(f"{given!a}: times the control is above 1, as 2x")
        return size

    @model_validator(mode="after")
    def _one_kind(self) -> "Part":
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"{self.metric} needs exactly one of {', '.join(KINDS)}")
        if given[0] in KINDS[2:5] and not self.size.number > 0:
            raise ValueError(f"{self.metric}: a margin is above 0")
        return self

    @cached_property
    def kind(self) -> Kind:
        """Which of the kinds it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def size(self) -> Size:
        """The size of a difference; the bound, for the kinds that have one."""
        given = getattr(self, self.kind)
        return given if isinstance(given, Size) else Size(float(given), "")

    @property
    def words(self) -> str:
        """For example `size/bytes less by 3.5x`."""
        if self.kind.endswith("_by") and not self.kind.startswith("not") and not self.size.number:
            return f"{self.metric} {self.kind.removesuffix('_by')}"
        return f"{self.metric} {self.kind.replace('_', ' ')} {self.size}"


@final
class ArmLine(Record):
    """An arm: its overrides in one line, and the device it needs."""

    line: str = Field(min_length=1)
    needs: Literal["gpu"] | None = None

    @property
    def overrides(self) -> tuple[str, ...]:
        """The line's overrides."""
        return tuple(self.line.split())


@final
class Claim(Record):
    """What is claimed of an arm against a control; all parts must hold."""

    says: str = Field(min_length=1)
    arm: str | None = None
    """the line of the arm; None claims it of each arm"""
    against: str | None = None
    """the line of another arm; None is the study's control"""
    all: tuple[Part, ...] = Field(min_length=1)


@final
class Study(Record):
    """What one experiment asks, runs and claims."""

    question: str
    claim: str
    """what is expected, in one sentence"""
    control: str = Field(min_length=1)
    arms: tuple[ArmLine, ...] = Field(min_length=1)
    seeds: tuple[int, ...]
    split: Literal["seed", "fixed"] = "seed"
    """`seed`: each seed draws its own data, where data can be drawn anew; `fixed`: all are on one split"""
    claims: tuple[Claim, ...] = Field(min_length=1)
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """chance that the experiment says anything false of all its claims together"""

    @field_validator("arms", mode="before")
    @classmethod
    def _lines(cls, given: Any) -> Any:
        items = given if isinstance(given, list | tuple) else [given]
        return [{"line": one} if isinstance(one, str) else one for one in items]

    @field_validator("seeds", mode="before")
    @classmethod
    def _fresh(cls, given: Any) -> Any:
        whole = isinstance(given, int) and not isinstance(given, bool)
        return tuple(range(FIRST_SEED, FIRST_SEED + given)) if whole else given

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        lines = [self.control, *(arm.line for arm in self.arms)]
        if len(set(lines)) != len(lines):
            raise ValueError("an arm stands twice")
        if len(set(self.seeds)) < max(FEWEST_SEEDS, len(self.seeds)):
            raise ValueError(f"seeds must be {FEWEST_SEEDS} or more different ones")
        named = {line for one in self.claims for line in (one.arm, one.against) if line is not None}
        if named - set(lines):
            raise ValueError(f"a claim names the arm {min(named - set(lines))!a}, which is not listed")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that a claim reads."""
        return tuple(dict.fromkeys(part.metric for one in self.claims for part in one.all))

    @property
    def timed(self) -> bool:
        """Whether trials must run alone, because a neighbour would distort what is claimed."""
        return any(is_timed(metric) or "speed" in metric for metric in self.metrics)

    @property
    def turned(self) -> set[str]:
        """The keys that tell arms apart."""
        lines = [self.control, *(arm.line for arm in self.arms)]
        return keys_of(text for line in lines for text in line.split())

    def at_hand(self, config: Mapping[str, Any]) -> tuple[ArmLine, ...]:
        """Control and arms that the trainer of a resolved config can run, the control first."""
        gpu = str((config.get("trainer") or {}).get("accelerator", "cpu")) in ("gpu", "cuda")
        fit = [arm for arm in self.arms if arm.needs is None or gpu]
        return (ArmLine(line=self.control), *fit)


@final
class Recipe(NamedTuple):
    """A file of conf/experiment: its study and what its header says."""

    name: str
    study: Study | None
    header: dict[str, str]


def recipe(conf: Path, name: str) -> Recipe:
    """Read a recipe. Raises `Refusal` when there is none of this name, or its study is not usable."""
    path = conf / "experiment" / f"{name}.yaml"
    if not re.fullmatch(r"(?:[A-Za-z0-9_]+/)?[A-Za-z0-9_]+", name) or not path.is_file():
        raise Refusal(f"There is no experiment {name[:60]!a}: choose one of {', '.join(names(conf))}.")
    text = text_of(path)
    given = parsed(text, path).get("study")
    try:
        return Recipe(name, None if given is None else Study.model_validate(given), header(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Refusal(f"The study of {path} is wrong at '{where}': {first['msg']}.") from None


def names(conf: Path) -> list[str]:
    """The names of all recipes, those that campaigns wrote as `discovered/NAME`; `none` is left out."""
    folder = conf / "experiment"
    found = (path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))
    return sorted((name for name in found if name != "none"), key=lambda name: ("/" in name, name))


def header(text: str) -> dict[str, str]:
    """The comment block on top of a recipe as `Key: value`; a line without a key continues the one before."""
    found: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line[1:].strip()
        if words.startswith("@package"):
            continue
        key, colon, rest = words.partition(": ")
        if colon and re.fullmatch(r"[A-Z][A-Za-z ]*", key) and not line.startswith("#  "):
            last = key
            found[last] = rest.strip()
        elif last:
            found[last] += f" {words}"
    return found

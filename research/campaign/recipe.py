"""The `study` of a recipe: what is compared, over which seeds, and what is claimed of it, as frozen records.

It stands in `conf/experiment/NAME.yaml`, written before anything is measured, and changes no result.
"""

import random
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

from pydantic import Field, ValidationError, field_validator, model_validator

from refusal import Refusal
from research.compose.override import keys_of, values_of
from research.compose.trees import parsed, text_of
from research.metrics import is_timed
from research.stats.claims import Claim
from research.stats.draws import own_split
from research.types import Record

FIRST_SEED = 1000
"""where fresh seeds begin: those below tune options and screen proposals"""
FEWEST_SEEDS = 3


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

    def comparisons(self, lines: Collection[str]) -> list[tuple[Claim, str, str]]:
        """Each claim with the arm that it is of and the one that it is against, of the arms at hand."""
        found = [
            (claim, line, claim.against or self.control)
            for claim in self.claims
            for line in ([claim.arm] if claim.arm else [line for line in lines if line != self.control])
        ]
        return [sides for sides in found if set(lines) >= set(sides[1:])]

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
        return any(map(is_timed, self.metrics))

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
    paths = (path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))
    return sorted((name for name in paths if name != "none"), key=lambda name: ("/" in name, name))


def header(text: str) -> dict[str, str]:
    """The comment block on top of a recipe as `Key: value`; a line without a key continues the one before."""
    entries: dict[str, str] = {}
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
            entries[last] = rest.strip()
        elif last:
            entries[last] += f" {words}"
    return entries


def typed(path: Path, conf: Path) -> str:
    """The command that runs a recipe again, or what must be done before there is one."""
    try:
        name = path.resolve().relative_to((conf / "experiment").resolve()).with_suffix("")
    except ValueError:
        folder = conf / "experiment" / path.parent.name
        return f"copy it into {folder}, then python agent.py experiment={path.parent.name}/{path.stem}"
    return f"python agent.py experiment={name.as_posix()}"


Resolve = Callable[[list[str]], dict[str, Any]]


def ordered(arms: Sequence[ArmLine], seeds: Sequence[int]) -> list[tuple[ArmLine, int]]:
    """Seed by seed, the arms of a seed in an order by lot: what drifts on the machine meets all alike."""
    return [(arm, seed) for seed in seeds for arm in random.Random(f"order {seed}").sample(arms, len(arms))]


def expanded(jobs: Sequence[Sequence[str]], conf: Path, resolve: Resolve) -> list[list[str]]:
    """Jobs as they are, but one that chooses a recipe with a study becomes the arms of the study.

    What is typed wins: `seed` over the recipe's seeds, a key that its arms turn over the arms,
    `data.split_seed` over the split of the seed.
    """
    return [one for job in jobs for one in _expanded(list(job), conf, resolve)]


def _expanded(job: list[str], conf: Path, resolve: Resolve) -> list[list[str]]:
    typed = values_of(job)
    name = typed.get("experiment", "none")
    study = recipe(conf, name).study if name != "none" else None
    if study is None:
        return [job]
    config = resolve(job)
    seeds = [] if "seed" in typed else [[f"seed={seed}"] for seed in study.seeds]
    if study.turned & typed.keys():
        split = _split(study, config, job)
        return [[*job, *split, *seed] for seed in seeds or [[]]]
    lines = [(arm, [*job, *arm.overrides]) for arm in study.at_hand(config)]
    typed_arms = {arm: [*line, *_split(study, config, line)] for arm, line in lines}
    if not seeds:
        return list(typed_arms.values())
    return [[*typed_arms[arm], f"seed={seed}"] for arm, seed in ordered([*typed_arms], study.seeds)]


def _split(study: Study, config: Mapping[str, Any], given: Sequence[str]) -> tuple[str, ...]:
    return own_split(config, given) if study.split == "seed" else ()


_WORDS = ("seeds", "question", "claim", "alpha")
"""parts of a study with which it still claims the same of the same"""


def earlier(sprints: Iterable[Mapping[str, Any]], folder: str, study: Study) -> list[tuple[int, ...]]:
    """The seeds of each run of these claims that came to its verdicts, or is under way."""
    own = _claimed(study.model_dump(mode="json"))
    told = [row["facts"].get("study") for row in sprints if row["folder"] == folder]
    return [tuple(one["seeds"]) for one in told if one and _claimed(one) == own]


def counts(runs: Iterable[Sequence[int]], seeds: Sequence[int]) -> tuple[int, ...]:
    """Seeds at each look at the claims, up to the one at `seeds`, which may be one of those before.

    More seeds are another look at the same claims, and all looks share the study's error rate.
    """
    return (*sorted({len(run) for run in runs if len(run) < len(seeds)}), len(seeds))


def unseen(runs: Sequence[Sequence[int]], wanted: Sequence[int], seen: set[int]) -> tuple[int, ...]:
    """As many seeds as are wanted: those of earlier runs, then such that no trial has had."""
    seeds = list(sorted(runs, key=len)[-1] if runs else ())[: len(wanted)]
    seed = max([wanted[0] - 1, *seeds])
    while len(seeds) < len(wanted):
        seed += 1
        if seed not in seen:
            seeds.append(seed)
    return tuple(seeds)


def _claimed(study: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in study.items() if key not in _WORDS}

"""Where the teacher of a distillation comes from: a recipe that is trained first, a trial, a checkpoint."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, final

from construct import refuse_untrusted
from reading.digest import remembered
from refusal import Refusal
from research.space import contents, identity
from research.space.signature import signature, steps_of
from research.stats.draws import KEY, drawn_anew
from research.store.claims import refuse_edited
from research.store.store import Store
from research.types import Key, Trial

_CONF = Path(__file__).resolve().parents[2] / "conf"
_SHARED = ("root", "store", "logger", "meter", "launcher", "trainer")
"""what a teacher that is trained for this student takes over from it"""
_ALIKE = ("_target_", "shape", "classes", "task", "path", "split_seed")
_KEYS = ("run", "checkpoint", "recipe")

Train = Callable[[dict[str, Any], list[str]], dict[str, Any]]
"""(config, overrides) -> the answer of `train.trial`"""


@final
@dataclass(frozen=True)
class Taught:
    """A config that can be built, and what its teacher cost."""

    config: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def taught(config: dict[str, Any], train: Train) -> Taught:
    """The config with the network of `compress.distill.teacher` in it, trained first where a recipe says so.

    A recipe is a list of overrides and needs no number that is known already: its trial is looked up like any
    other. `distill/teacher_energy_j` is what training it took, now or then.

    Raises:
        Refusal: no trial or checkpoint is there, or it learnt another task or from other data.
    """
    distill = (config.get("compress") or {}).get("distill")
    if distill is None:
        return Taught(config)
    asked = {key: value for key in _KEYS if (value := (distill["teacher"] or {}).get(key)) is not None}
    teacher = _teacher(config, asked, train)
    file, _ = contents.checkpoint(Path(teacher.weights))
    # The very file: a folder may have a newer one by the time it is read.
    read = (
        {"weights": teacher.weights} if file is None else {"weights": str(file), "sha256": remembered(file)}
    )
    built = {"_target_": "models.compress.teacher.load", "model": teacher.model, **read}
    steps = config["compress"] | {"distill": distill | {"teacher": built}}
    joules = teacher.metrics.get("train/energy_j")
    metrics = {} if joules is None else {"distill/teacher_energy_j": joules}
    return Taught(config | {"compress": steps}, metrics, {"teacher": teacher.about | read})


def key(config: Mapping[str, Any], signature: str) -> Key:
    """Identify a trial of a resolved config, its teacher included; raises what `identity.key` raises."""
    return identity.key(config, signature, _identified(config) if identity.has_teacher(config) else ())


def _identified(config: Mapping[str, Any]) -> list[str]:
    """What identifies the teacher of a config: the keys of its trial, and the content of its checkpoint.

    A teacher that `taught` would refuse is none: it is refused there, where a row says why. So is one that
    is not named at all.
    """
    teacher = config["compress"]["distill"]["teacher"]
    parts: list[str] = []
    try:
        if teacher.get("recipe") is not None:
            # Its words are in the student's signature; what they come to by conf/ is not.
            own = _lesson(config, _beside(config, _listed(teacher["recipe"])))
            parts += key(own, signature(own))
        if teacher.get("run") is not None:
            # After a deletion the number may be another trial's.
            trial, _ = _numbered(config, _whole(teacher["run"]))
            parts += [*trial.key, *_content(trial.folder or ".")]
    except Refusal:
        return ["none"]
    parts += [] if teacher.get("checkpoint") is None else _content(str(teacher["checkpoint"]))
    return parts or ["none"]


def _listed(recipe: Any) -> list[str]:
    if not isinstance(recipe, list | tuple) or not all(isinstance(text, str) for text in recipe):
        raise Refusal(f"compress.distill.teacher.recipe={recipe}: write a list, as [data=mnist1d,model=cnn].")
    return list(recipe)


def _whole(number: Any) -> int:
    if not isinstance(number, int) or isinstance(number, bool):
        raise Refusal(f"compress.distill.teacher.run={number}: write the number of a trial, as run=12.")
    return number


def _content(path: str) -> list[str]:
    file, _ = contents.checkpoint(Path(path))
    return [] if file is None else [remembered(file)]


def _lesson(config: Mapping[str, Any], recipe: list[str]) -> dict[str, Any]:
    return _resolved(recipe) | {key: config[key] for key in _SHARED if key in config}


@final
class Teacher(NamedTuple):
    """A trained network: its model group, where its weights lie, and what its student's row says of it."""

    model: dict[str, Any]
    weights: str
    about: dict[str, Any]
    metrics: Mapping[str, float] = {}


def _teacher(config: dict[str, Any], asked: Mapping[str, Any], train: Train) -> Teacher:
    if set(asked) == {"recipe"}:
        return _from_recipe(config, _listed(asked["recipe"]), train)
    if set(asked) == {"run"}:
        trial, metrics = _numbered(config, _whole(asked["run"]))
        return _of_trial(config, trial, metrics, trial.folder or "")
    if set(asked) in ({"checkpoint"}, {"checkpoint", "recipe"}):
        recipe = _listed(asked["recipe"]) if "recipe" in asked else None
        return _from_checkpoint(config, Path(str(asked["checkpoint"])), recipe)
    raise Refusal(
        "compress.distill needs one teacher: set teacher.recipe=[data=...,model=...], teacher.run=ID, or "
        "teacher.checkpoint=PATH (with teacher.recipe where the database does not know it)."
    )


def _from_recipe(config: dict[str, Any], recipe: list[str], train: Train) -> Teacher:
    recipe = _beside(config, recipe)
    own = _lesson(config, recipe)
    _same_task(config, own)
    answer = train(own, recipe)
    about = {"trial": answer["trial_id"], "recipe": recipe, "status": answer["status"]}
    return Teacher(own["model"], answer["folder"], about, answer["metrics"])


def _beside(config: Mapping[str, Any], recipe: list[str]) -> list[str]:
    """The recipe on the student's split: a teacher of another has learnt what its student is tested on."""
    ours, theirs = (one["data"].get("split_seed") for one in (config, _resolved(recipe)))
    given = any(text.lstrip("+").startswith(f"{KEY}=") for text in recipe)
    return recipe if given or ours == theirs or not drawn_anew(config) else [*recipe, f"{KEY}={ours}"]


def _numbered(config: Mapping[str, Any], number: int) -> tuple[Trial, Mapping[str, float]]:
    with closing(Store(config["store"]["url"])) as store:
        trials = store.trials(ids=[number], status="done")
        metrics = store.results([number])[number].metrics if trials else {}
    if not trials:
        raise Refusal(f"compress.distill.teacher.run={number}: this database has no finished trial {number}.")
    refuse_edited(trials[0])
    return trials[0], metrics


def _from_checkpoint(config: dict[str, Any], path: Path, recipe: list[str] | None) -> Teacher:
    if not path.exists():
        raise Refusal(f"compress.distill.teacher.checkpoint: there is no {path}.")
    if recipe is not None:
        own = _resolved(recipe)
        _same_task(config, own)
        return Teacher(own["model"], str(path), {"checkpoint": str(path)})
    trial, metrics = _leaving(config, path)
    return _of_trial(config, trial, metrics, str(path))


def _leaving(config: Mapping[str, Any], path: Path) -> tuple[Trial, Mapping[str, float]]:
    """The newest finished trial whose folder a path is, or lies in."""
    folders = {str(place.resolve()) for place in (path, *path.parents)}
    with closing(Store(config["store"]["url"])) as store:
        done = store.trials(status="done")
        known = [one for one in done if str(Path(one.folder or ".").resolve()) in folders]
        metrics = store.results([known[-1].id])[known[-1].id].metrics if known else {}
    if not known:
        raise Refusal(
            f"compress.distill.teacher.checkpoint: no trial of this database left {path}, so say what "
            "network it holds: compress.distill.teacher.recipe=[data=...,model=...]."
        )
    refuse_edited(known[-1])
    return known[-1], metrics


def _of_trial(config: dict[str, Any], trial: Trial, metrics: Mapping[str, float], weights: str) -> Teacher:
    refuse_untrusted(trial.config["model"])
    _same_task(config, trial.config)
    return Teacher(trial.config["model"], weights, {"trial": trial.id, "weights": weights}, metrics)


def _resolved(recipe: list[str]) -> dict[str, Any]:
    from research.space.gate import Space

    config = Space(_CONF, _CONF / "space.yaml").resolve(recipe)
    if steps_of(config):
        raise Refusal("a teacher is not compressed: leave compress out of compress.distill.teacher.recipe.")
    return config


def _same_task(student: Mapping[str, Any], teacher: Mapping[str, Any]) -> None:
    for key in _ALIKE:
        ours, theirs = student["data"].get(key), teacher["data"].get(key)
        if ours != theirs:
            raise Refusal(
                f"the teacher learnt from other data (data.{key} is {theirs} there, {ours} here): name one "
                "of the same task, with data=... in its recipe."
            )

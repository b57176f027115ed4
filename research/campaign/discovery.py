"""A confirmed discovery as a recipe: `conf/experiment/discovered/NAME.yaml`, which both programs run again.

What the campaign fixed for every trial is the recipe's own choice and the contender is its arm, so its
trials are the campaign's; `agent.py experiment=discovered/NAME` judges it on seeds that did not choose it.
Numbers of a group that a sweep may swap stand in the recipe too where the person had fixed them: without
them the control would be another.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.campaign.discovery_text import Discovery, body, card, line, values
from research.compose.compose import at, holds
from research.metrics import words
from research.page import put
from research.propose.recipes import plain
from research.space.gate import Space
from research.stats.effects import Gain
from research.stats.rubric import Rating
from research.types import Constraint, Insight

_SEAL = re.compile(r"^# Seal: ([0-9a-f]{16})\b.*\n", re.MULTILINE)


def write_recipe(
    folder: Path,
    insight: Insight,
    fixed: Sequence[str],
    overrides: Sequence[str],
    seeds: Sequence[int],
    rating: Rating,
    campaign: str,
    date: str,
    *,
    space: Space,
    baseline: Sequence[str] = (),
    smallest_effect: float = 0.0,
    constraints: Sequence[Constraint] = (),
    machine: str = "",
    split: Gain | None = None,
) -> Path:
    """Write a supported finding as `folder`/NAME.yaml, whole or not at all, and return its path.

    `fixed` are the overrides of every trial, `overrides` the contender's, `baseline` the control's where that
    is not the defaults, `seeds` the fresh ones on which it was confirmed; `smallest_effect` is in percent
    where arms are compared by their ratio; `split` are the parts of its gain where the control was stopped at
    the bound, which is an arm of the recipe then. The same discovery has the same name. A file that was
    edited since it was written is a person's and stays.

    Raises:
        Refusal: the finding is not supported, an override cannot stand in a recipe, the file was edited, or
            the folder cannot be written.
    """
    if insight.verdict.word != "supported" or insight.verdict.comparison is None:
        raise Refusal(f"A finding that is {insight.verdict.word} is no discovery: confirm it first.")
    held = _fixed(fixed, space)
    arm, base, stopped = (
        _acting(held, values(one), space) for one in (overrides, baseline, split.stopped if split else ())
    )
    found = Discovery(
        insight=insight,
        fixed=held,
        arm=arm,
        control=base | _control({**held, **base}, {**stopped, **arm}, space),
        split=split,
        stopped={} if stopped == arm else stopped,
        seeds=tuple(seeds),
        smallest_effect=smallest_effect,
        constraints=tuple(constraints),
        groups=space.composer.groups,
    )
    name = _name(found, base)
    head = card(found, f"{folder.name}/{name}", f"{date}, {machine}" if machine else date)
    head += [f"Rating: {rating.score} of 10, {rating.words}", f"Found by: the campaign {campaign}"]
    return _put(_sealed(head, body(found)), folder, f"{name}.yaml")


def _fixed(overrides: Sequence[str], space: Space) -> dict[str, Any]:
    """What every trial has; a recipe that the person built on is written out."""
    found: dict[str, Any] = {}
    for key, value in values([text.lstrip("+") for text in overrides]).items():
        if key == "experiment":
            inner = plain(space.composer.files.folder / "experiment" / f"{value}.yaml")
            found |= values([f"{name}={text}" for name, text in inner.items()])
        else:
            found[key] = value
    return found


def _acting(fixed: Mapping[str, Any], arm: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """An arm's values without those that change nothing: a recipe names what matters."""
    idle = space.idle(space.resolve([*line(fixed), *line(arm)]))
    return {key: value for key, value in arm.items() if key not in idle}


def _control(fixed: Mapping[str, Any], arm: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """What the control has where the arm differs; a key that only the arm's options have is left out."""
    point = space.composer.resolve(line(fixed))
    found: dict[str, Any] = {}
    for key in arm:
        if key in space.composer.groups:
            found[key] = point.choices[key]
        elif holds(point.config, key) and not isinstance(at(point.config, key), dict):
            found[key] = at(point.config, key)
    return found or {"data": point.choices["data"]}


def _name(found: Discovery, base: Mapping[str, Any]) -> str:
    """Words for people and a digest of what was compared, whatever the seeds and the day."""
    kept = [one.model_dump() for one in found.constraints]
    same = [dict(found.fixed), dict(found.arm), found.metric, found.direction, kept]
    same += [dict(base)] if base else []
    digest = hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()
    said = f"{found.fixed.get('data', '')} {words(found.metric)}"
    return "_".join([*re.findall(r"[a-z0-9]+", said.lower()), digest[:8]])


def _sealed(head: Sequence[str], content: Mapping[str, Any]) -> str:
    """The file's text, with a digest of itself that tells whether a person edited it."""
    import yaml

    top = "# @package _global_\n" + "".join(f"# {one}\n" for one in head)
    rest = yaml.safe_dump(dict(content), sort_keys=False, width=1000, allow_unicode=True)
    return f"{top}# Seal: {_digest(top + rest)}; edited by a person, the file stays as it is\n{rest}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def typed(recipe: Path, conf: Path) -> str:
    """The command that runs a recipe again, or what must be done before there is one."""
    try:
        name = recipe.resolve().relative_to((conf / "experiment").resolve()).with_suffix("")
    except ValueError:
        folder = conf / "experiment" / recipe.parent.name
        return f"copy it into {folder}, then python agent.py experiment={recipe.parent.name}/{recipe.stem}"
    return f"python agent.py experiment={name.as_posix()}"


def _before(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, ValueError):
        raise Refusal(
            f"{path} is there and cannot be read: move it, or name another discovered=FOLDER."
        ) from None


def _put(text: str, folder: Path, name: str) -> Path:
    path = folder / name
    before = _before(path)
    if before is not None:
        seal = _SEAL.search(before)
        if seal is None or _digest(_SEAL.sub("", before)) != seal[1]:
            raise Refusal(f"{path} was edited by a person and stays: move it to have it written anew.")
        if before == text:
            return path
    try:
        return put(text, folder, name)
    except Refusal:
        raise Refusal(f"{folder} cannot be written: name another by discovered=FOLDER, or null.") from None

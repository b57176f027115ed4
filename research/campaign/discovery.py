"""A confirmed discovery as a recipe: `conf/experiment/discovered/NAME.yaml`, which both programs run again.

What the campaign fixed for every trial is the recipe's own choice and the contender is its arm, so its
trials are the campaign's; `agent.py experiment=discovered/NAME` judges the claim that was confirmed on seeds
that did not choose it. Numbers of a group that a sweep may swap stand in the recipe too where the person had
fixed them: without them the control would be another.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.campaign.recipe import Study
from research.compose.compose import at, holds
from research.compose.override import Odd, read
from research.metrics import is_energy, shown, words
from research.page import put
from research.propose.portfolio import plain
from research.space.gate import Space
from research.stats.claims import Claim
from research.stats.draws import KEY
from research.stats.effects import Gain
from research.stats.rubric import Rating
from research.stats.sentences import improvement, method_words
from research.types import Insight

_SEAL = re.compile(r"^# Seal: ([0-9a-f]{16})\b.*\n", re.MULTILINE)
_BARE = re.compile(r"[A-Za-z0-9_./-]+")
Values = Mapping[str, Any]
"""key or group -> value"""


def write_recipe(
    folder: Path,
    insight: Insight,
    claim: Claim,
    fixed: Sequence[str],
    overrides: Sequence[str],
    seeds: Sequence[int],
    rating: Rating,
    campaign: str,
    date: str,
    *,
    space: Space,
    baseline: Sequence[str] = (),
    machine: str = "",
    split: Gain | None = None,
) -> Path:
    """Write a supported finding as `folder`/NAME.yaml, whole or not at all, and return its path.

    `fixed` are the overrides of every trial, `overrides` the contender's, `baseline` the control's where it
    is not the defaults, `seeds` those that confirmed the `claim`; with `split` the control stopped at the
    bound is an arm too. The same discovery has the same name, and a file that a person has edited stays.

    Raises `Refusal` for a finding that is not supported, an override that cannot stand in a recipe, a file
    that was edited, and a folder that cannot be written.
    """
    if insight.verdict.word != "supported" or insight.verdict.comparison is None:
        raise Refusal(f"A finding that is {insight.verdict.word} is no discovery: confirm it first.")
    held = _fixed(fixed, space)
    sides = (overrides, baseline, split.stopped if split else ())
    arm, base, stopped = (_acting(held, _values(given), space) for given in sides)
    discovery = _Discovery(
        insight=insight,
        claim=claim,
        fixed=held,
        arm=arm,
        control=base | _control({**held, **base}, {**stopped, **arm}, space),
        stopped={} if stopped == arm else stopped,
        split=split,
        seeds=tuple(seeds),
        groups=space.composer.groups,
    )
    name = discovery.name(base)
    head = discovery.card(f"{folder.name}/{name}", f"{date}, {machine}" if machine else date)
    head += [f"Rating: {rating.score} of 10, {rating.words}", f"Found by: the campaign {campaign}"]
    return _put(_sealed(head, discovery.body()), folder, f"{name}.yaml")


@final
@dataclass(frozen=True)
class _Discovery:
    """A supported finding, and what its arms and every trial had."""

    insight: Insight
    claim: Claim
    """what was confirmed"""
    fixed: Values
    """of every trial"""
    arm: Values
    control: Values
    stopped: Values
    """what the control stopped at the bound has; empty where that is the arm itself, or there is none"""
    split: Gain | None
    """the parts of its gain, where the control was stopped at the bound"""
    seeds: tuple[int, ...]
    groups: frozenset[str]

    @property
    def _kept(self) -> str:
        """The bounds, as the end of a sentence."""
        bounds = " and ".join(map(shown, self.claim.constraints))
        return f", keeping {bounds}" if bounds else ""

    def _does(self, end: str = "s") -> str:
        """What the arm does, for example `lowers the joules of training`."""
        verb = "lower" if self.claim.first.direction == "min" else "raise"
        return f"{verb}{end} {words(self.claim.first.metric)}"

    @property
    def _question(self) -> str:
        return f"does {' '.join(_line(self.arm))} {self._does('')}{self._kept}?"

    @property
    def _said(self) -> str:
        """What is claimed, in words."""
        least = f" by at least {self.claim.first.size}" if self.claim.first.size.number else ""
        return f"it {self._does()}{least}{self._kept}"

    def name(self, base: Values) -> str:
        """Words for people and a digest of what was compared, whatever the seeds and the day."""
        kept = [bound.model_dump() for bound in self.claim.constraints]
        claimed = [self.claim.first.metric, self.claim.first.direction, kept]
        same = [dict(self.fixed), dict(self.arm), *claimed, *([dict(base)] if base else [])]
        digest = hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()
        said = f"{self.fixed.get('data', '')} {words(self.claim.first.metric)}"
        return "_".join([*re.findall(r"[a-z0-9]+", said.lower()), digest[:8]])

    def card(self, name: str, where: str) -> list[str]:
        """The lines of the header; `where` is the day and the machine."""
        size, least = self.insight.verdict.size, self.claim.first.size
        assert size is not None
        method = f"; {method_words(self.insight.energy_method)}" if is_energy(self.claim.first.metric) else ""
        gain = f"{self._does()} by {improvement(size, self.claim.first.direction)}{method}"
        parts = f": {self.split.words}" if self.split else ""
        arms = [" ".join(_line(values)) for values in (self.arm, self.stopped) if values]
        return [
            f"Question: {self._question}",
            f"Claim: {self._said}.",
            f"Control: {' '.join(_line(self.control))}",
            f"Arms: {'; '.join(arms)}",
            f"Metric: {', '.join(dict.fromkeys(part.metric for part in self.claim.all))}",
            f"Smallest effect: {least if least.number else 'any'}{self._kept}",
            f"Command: python agent.py experiment={name}",
            f"  by hand: python train.py -m experiment={name}",
            f"Expected: supported: {gain}{parts} ({where})",
            f"Cost: {(1 + len(arms)) * len(self.seeds)} trials; none where the database has them",
        ]

    def body(self) -> dict[str, Any]:
        """The keys of the recipe: choices and values that every trial had, and the study."""
        groups = {key: value for key, value in self.fixed.items() if key in self.groups}
        tree: dict[str, Any] = {}
        for key, value in self.fixed.items():
            if key not in groups:
                node, (*path, last) = tree, key.split(".")
                for part in path:
                    node = node.setdefault(part, {})
                node[last] = _listed(value)
        study = self._study()
        # A neighbour distorts what a clock takes.
        alone = {"launcher": {"jobs": 1}} if Study.model_validate(study).timed else {}
        defaults = [{f"override /{group}": _listed(option)} for group, option in groups.items()]
        return {"defaults": defaults, **tree, **alone, "study": study}

    def _study(self) -> dict[str, Any]:
        arm, stopped = (" ".join(_line(values)) for values in (self.arm, self.stopped))
        claims = [self.claim.model_copy(update={"says": self._said, "arm": arm})]
        if stopped and self.split and self.split.shown:
            beyond = Claim.improvement(self.claim.first.metric, self.claim.first.direction)
            says = f"it {self._does()} beyond what training the control shorter does"
            claims.append(beyond.model_copy(update={"says": says, "arm": arm, "against": stopped}))
        return {
            "question": self._question,
            "claim": self._said,
            "control": " ".join(_line(self.control)),
            "arms": [arm, *filter(None, [stopped])],
            "seeds": list(self.seeds),
            "split": "fixed" if KEY in self.fixed else "seed",
            "claims": [claim.spelt for claim in claims],
        }


def _fixed(overrides: Sequence[str], space: Space) -> dict[str, Any]:
    """What every trial has; a recipe that the person built on is written out."""
    held: dict[str, Any] = {}
    for key, value in _values([text.lstrip("+") for text in overrides]).items():
        if key == "experiment":
            inner = plain(space.composer.files.folder / "experiment" / f"{value}.yaml")
            held |= _values([f"{name}={text}" for name, text in inner.items()])
        else:
            held[key] = value
    return held


def _acting(fixed: Mapping[str, Any], arm: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """An arm's values without those that change nothing: a recipe names what matters."""
    idle = space.idle(space.resolve([*_line(fixed), *_line(arm)]))
    return {key: value for key, value in arm.items() if key not in idle}


def _control(fixed: Mapping[str, Any], arm: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """What the control has where the arm differs; a key that only the arm's options have is left out."""
    point = space.composer.resolve(_line(fixed))
    control: dict[str, Any] = {}
    for key in arm:
        if key in space.composer.groups:
            control[key] = point.choices[key]
        elif holds(point.config, key) and not isinstance(at(point.config, key), dict):
            control[key] = at(point.config, key)
    return control or {"data": point.choices["data"]}


def _values(overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides set. Raises `Refusal` for one that is no plain value."""
    given = {}
    for text in overrides:
        try:
            assignment = read(text)
        except Odd as odd:
            raise Refusal(f"'{text}' cannot stand in a recipe: {odd}.") from None
        if assignment.swept or "${" in text:
            raise Refusal(f"'{text}' cannot stand in a recipe: give it one plain value.")
        given[assignment.key] = next(iter(assignment.each())).value
    return given


def _line(given: Mapping[str, Any]) -> list[str]:
    """Values as overrides. Raises `Refusal` for one with a space, at which a study splits its arms."""
    texts = [f"{key}={_text(value)}" for key, value in given.items()]
    odd = [text for text in texts if re.search(r"\s|\$\{", text)]
    if odd:
        raise Refusal(f"'{odd[0]}' cannot stand in a recipe: give it a value without spaces.")
    return texts


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = str(value)
    bare = not isinstance(value, str) or (_BARE.fullmatch(text) and _values([f"x={text}"])["x"] == value)
    return text if bare else f"'{text}'"


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value


def _sealed(head: Sequence[str], content: Mapping[str, Any]) -> str:
    """The file's text, with a digest of itself that tells whether a person edited it."""
    import yaml

    top = "# @package _global_\n" + "".join(f"# {one}\n" for one in head)
    rest = yaml.safe_dump(dict(content), sort_keys=False, width=1000, allow_unicode=True)
    return f"{top}# Seal: {_digest(top + rest)}; edited by a person, the file stays as it is\n{rest}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _put(text: str, folder: Path, name: str) -> Path:
    """Write the file, unless a person has edited it."""
    path = folder / name
    try:
        before = path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, ValueError):
        hint = "move it, or name another discovered=FOLDER"
        raise Refusal(f"{path} is there and cannot be read: {hint}.") from None
    if before == text:
        return path
    seal = None if before is None else _SEAL.search(before)
    if before is not None and (seal is None or _digest(_SEAL.sub("", before)) != seal[1]):
        raise Refusal(f"{path} was edited by a person and stays: move it to have it written anew.")
    try:
        return put(text, folder, name)
    except Refusal:
        raise Refusal(f"{folder} cannot be written: name another by discovered=FOLDER, or null.") from None

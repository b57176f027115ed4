"""What a discovery's recipe says: its card in words, and its keys with the study that repeats the claim."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from refusal import Refusal
from research.campaign.recipe import Study
from research.compose.grammar import Odd, read
from research.metrics import is_energy, shown, words
from research.stats.draws import KEY
from research.stats.effects import Gain
from research.stats.sentences import improvement, method_words
from research.types import Comparison, Constraint, Direction, Insight

_BARE = re.compile(r"[A-Za-z0-9_./-]+")


@final
@dataclass(frozen=True)
class Discovery:
    """A supported finding, and what its arms and every trial had."""

    insight: Insight
    fixed: Mapping[str, Any]
    """key or group -> value, of every trial"""
    arm: Mapping[str, Any]
    control: Mapping[str, Any]
    seeds: tuple[int, ...]
    smallest_effect: float
    constraints: tuple[Constraint, ...]
    groups: frozenset[str]
    split: Gain | None = None
    """the parts of its gain, where the control was stopped at the bound"""
    stopped: Mapping[str, Any] = field(default_factory=dict)
    """what the stopped control has; empty where that is the arm itself, or there is none"""

    @property
    def found(self) -> Comparison:
        """Arm against control."""
        assert self.insight.verdict.size is not None
        return self.insight.verdict.size

    @property
    def metric(self) -> str:
        """What was improved."""
        return self.found.metric

    @property
    def direction(self) -> Direction:
        """Where it went, which is where it should: it is supported."""
        return "min" if self.found.difference < 0 else "max"

    @property
    def effect(self) -> str:
        """The smallest effect of interest, as a study writes it."""
        percent = self.found.unit if self.smallest_effect else ""
        return f"{self.smallest_effect:g}{percent}"

    @property
    def kept(self) -> str:
        """The bounds, as the end of a sentence."""
        bounds = " and ".join(map(shown, self.constraints))
        return f", keeping {bounds}" if bounds else ""

    @property
    def verb(self) -> str:
        """What the arm does to the metric."""
        return "lowers" if self.direction == "min" else "raises"

    @property
    def question(self) -> str:
        """What the recipe asks."""
        arm, verb = " ".join(line(self.arm)), self.verb.removesuffix("s")
        return f"does {arm} {verb} {words(self.metric)}{self.kept}?"

    @property
    def claim(self) -> str:
        """What the recipe expects."""
        least = f" by at least {self.effect}" if self.smallest_effect else ""
        return f"it {self.verb} {words(self.metric)}{least}{self.kept}"


def card(found: Discovery, name: str, where: str) -> list[str]:
    """The lines of the header; `where` is the day and the machine."""
    method = f"; {method_words(found.insight.energy_method)}" if is_energy(found.metric) else ""
    gain = improvement(found.found, found.direction)
    parts = f": {found.split.words}" if found.split else ""
    metrics = dict.fromkeys([found.metric, *(one.metric for one in found.constraints)])
    return [
        f"Question: {found.question}",
        f"Claim: {found.claim}.",
        f"Control: {' '.join(line(found.control))}",
        f"Arms: {'; '.join(' '.join(line(one)) for one in (found.arm, found.stopped) if one)}",
        f"Metric: {', '.join(metrics)}",
        f"Smallest effect: {found.effect if found.smallest_effect else 'any'}{found.kept}",
        f"Command: python agent.py experiment={name}",
        f"  by hand: python train.py -m experiment={name}",
        f"Expected: supported: {found.verb} {words(found.metric)} by {gain}{method}{parts} ({where})",
        f"Cost: {(3 if found.stopped else 2) * len(found.seeds)} trials; none where the database has them",
    ]


def body(found: Discovery) -> dict[str, Any]:
    """The keys of the recipe: choices and values that every trial had, and the study."""
    groups = {key: value for key, value in found.fixed.items() if key in found.groups}
    tree: dict[str, Any] = {}
    for key, value in found.fixed.items():
        if key not in groups:
            _put_at(tree, key.split("."), value)
    study = _study(found)
    # A neighbour distorts what a clock takes.
    alone = {"launcher": {"jobs": 1}} if Study.model_validate(study).timed else {}
    defaults = [{f"override /{group}": _plain(option)} for group, option in groups.items()]
    return {"defaults": defaults, **tree, **alone, "study": study}


def _study(found: Discovery) -> dict[str, Any]:
    kind = "less_by" if found.direction == "min" else "more_by"
    size: Any = found.effect if found.effect.endswith("%") else found.smallest_effect
    parts = [{"metric": found.metric, kind: size}]
    parts += [
        {"metric": one.metric, "at_least" if one.op == ">=" else "at_most": one.bound}
        for one in found.constraints
    ]
    arm, stopped = (" ".join(line(one)) for one in (found.arm, found.stopped))
    claims: list[dict[str, Any]] = [{"says": found.claim, "arm": arm, "all": parts}]
    if stopped and found.split and found.split.shown:
        says = f"it {found.verb} {words(found.metric)} beyond what training the control shorter does"
        claims.append(
            {"says": says, "arm": arm, "against": stopped, "all": [{"metric": found.metric, kind: 0}]}
        )
    return {
        "question": found.question,
        "claim": found.claim,
        "control": " ".join(line(found.control)),
        "arms": [arm, *filter(None, [stopped])],
        "seeds": list(found.seeds),
        "split": "fixed" if KEY in found.fixed else "seed",
        "claims": claims,
    }


def values(overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides set. Raises `Refusal` for one that is no plain value."""
    found = {}
    for text in overrides:
        try:
            assignment = read(text)
        except Odd as odd:
            raise Refusal(f"'{text}' cannot stand in a recipe: {odd}.") from None
        if assignment.swept or "${" in text:
            raise Refusal(f"'{text}' cannot stand in a recipe: give it one plain value.")
        found[assignment.key] = next(iter(assignment.each())).value
    return found


def line(given: Mapping[str, Any]) -> list[str]:
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
    bare = not isinstance(value, str) or (_BARE.fullmatch(text) and values([f"x={text}"])["x"] == value)
    return text if bare else f"'{text}'"


def _put_at(tree: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    first, *rest = parts
    if rest:
        _put_at(tree.setdefault(first, {}), rest, value)
    else:
        tree[first] = _plain(value)


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value

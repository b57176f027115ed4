"""The space file: what an agent may turn, in which range, and the caps on what it may say."""

import math
import re
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, final

from pydantic import Field, ValidationError, model_validator

from refusal import Refusal
from research.compose.compose import Resolved, at, holds
from research.compose.trees import parsed, text_of
from research.space.conditions import Condition, Rule, condition, constraint, family
from research.space.signature import INERT
from research.types import Record

PRINTABLE = re.compile(r"[ -~]*")
_SAYS: dict[str, set[str]] = {
    "int": {"low", "high", "scale"},
    "float": {"low", "high", "scale"},
    "enum": {"of"},
    "text": {"pattern"},
    "list": {"of", "length"},
    "bool": set(),
}
_KINDS: dict[str, tuple[Any, str]] = {
    "int": (int, "whole number"),
    "float": (int | float, "number"),
    "bool": (bool, "true or false"),
}


@final
class Caps(Record):
    """Bounds on a proposal, checked before anything is parsed."""

    characters: int = 512
    overrides: int = 32
    depth: int = 3
    """nesting of brackets"""
    points: int = 64
    """points of one sweep, over all its axes"""


@final
class Choices(Record):
    """A group whose option an agent may choose."""

    help: str = ""
    options: tuple[str, ...] | None = None
    """the options that may be chosen; None is every file of the folder"""
    without: tuple[str, ...] = ()
    """options of the folder that only a person chooses, because one trial would take a campaign's time"""
    several: bool = False
    """whether a list of options is taken, as `compress=[prune,quantize]`"""
    most: int = 4
    """options that such a list may have; each once"""


@final
class Knob(Record):
    """A key that an agent may set: its type, range, scale, unit and one line of help."""

    type: Literal["int", "float", "enum", "text", "list", "bool"]
    help: str = ""
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    low: int | float = -math.inf
    high: int | float = math.inf
    of: "tuple[str | bool | int | float, ...] | Knob | None" = None
    """the values of an enum, or the knob that each element of a list is"""
    length: tuple[int, int] | None = None
    pattern: str | None = None
    forbid: str | None = None
    nullable: bool = False
    per: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """where it differs for an option of its group and those tuned from it: {lion: {high: 0.01}}"""
    when: str = ""
    """by which values of other keys it acts, in the language of constraints; empty is always"""

    @model_validator(mode="after")
    def _whole(self) -> "Knob":
        needed: dict[str, bool] = {
            "int": math.isfinite(self.low) and math.isfinite(self.high),
            "float": math.isfinite(self.low) and math.isfinite(self.high),
            "enum": isinstance(self.of, tuple) and len(self.of) > 0,
            "text": self.pattern is not None,
            "list": isinstance(self.of, Knob) and self.length is not None,
            "bool": True,
        }
        if not needed[self.type]:
            raise ValueError(f"{self.type} needs low and high, of, pattern, or of and length")
        if self.scale == "log" and self.low <= 0:
            raise ValueError("a log scale needs low above 0")
        return self

    @cached_property
    def options(self) -> "dict[str, Knob]":
        """The knob as it is for each option in `per`."""
        own = self.model_dump(exclude={"per"}, exclude_unset=True)
        return {option: Knob(**{**own, **changed}) for option, changed in self.per.items()}

    def within(self, option: Any) -> "Knob":
        """The knob under an option of its group, or that option's family; itself where nothing differs."""
        return self.options.get(option) or self.options.get(family(option)) or self

    def differs(self, option: str) -> dict[str, Any]:
        """What differs under an option of its group."""
        return self.per.get(option) or self.per.get(family(option)) or {}

    def takes(self, value: Any) -> bool:
        """Whether the value has the type and lies in the range."""
        if value is None:
            return self.nullable
        if self.type == "list":
            return self._takes_list(value)
        if self.type == "text":
            return isinstance(value, str) and self._takes_text(value)
        if self.type == "enum":
            return any(_is_same(value, item) for item in self._values())
        if self.type == "bool":
            return isinstance(value, bool)
        number = isinstance(value, int if self.type == "int" else int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # false for nan

    def possible(self, value: Any) -> bool:
        """Whether a person may set it, who may leave the range: a number of its kind and its sign."""
        if self.type not in ("int", "float") or value is None:
            return True
        number = isinstance(value, int if self.type == "int" else int | float) and not isinstance(value, bool)
        least = 1 if self.type == "int" and self.scale == "log" else 0
        return number and (self.low < 0 or value >= least)  # false for nan

    def told(self) -> dict[str, Any]:
        """What a prompt or a sampler needs to know: the fields that say something for its type."""
        fields = self.model_dump(include={"type", "help", "unit", "nullable", "when"} | _SAYS[self.type])
        if isinstance(self.of, Knob):
            fields["of"] = self.of.told()
        return {name: value for name, value in fields.items() if value != ""}

    def _takes_text(self, value: str) -> bool:
        if self.forbid and self.forbid in value:
            return False
        return bool(re.fullmatch(self.pattern or "", value)) and bool(PRINTABLE.fullmatch(value))

    def _takes_list(self, value: Any) -> bool:
        low, high = self.length or (0, 0)
        fits = isinstance(value, list) and low <= len(value) <= high
        if not (fits and isinstance(self.of, Knob) and all(self.of.takes(item) for item in value)):
            return False
        return self.of.type != "enum" or len(set(value)) == len(value)

    def _values(self) -> tuple[Any, ...]:
        return self.of if isinstance(self.of, tuple) else ()

    def wants(self) -> str:
        """What it takes, as the end of a sentence: `a whole number from 1 to 4096`."""
        null = " or null" if self.nullable else ""
        if self.type == "enum":
            return f"one of {', '.join(map(str, self._values()))}{null}"
        if self.type == "text":
            never = f" and without {self.forbid}" if self.forbid else ""
            return f"a text that matches {self.pattern}{never}{null}"
        if self.type == "list" and isinstance(self.of, Knob) and self.length:
            low, high = self.length
            size = f"{low}" if low == high else f"{low} to {high}"
            once = ", none twice" if self.of.type == "enum" and high > 1 else ""
            return f"a list of {size} values, each {self.of.wants()}{once}{null}"
        if self.type == "bool":
            return f"true or false{null}"
        kind = "a whole number" if self.type == "int" else "a number"
        return f"{kind} from {self.low} to {self.high}{null}"


@final
class SpaceFile(Record):
    """The whole file: the root config, caps, groups, keys, constraints, and what cannot change a result."""

    root: str
    caps: Caps = Caps()
    groups: dict[str, Choices]
    keys: dict[str, Knob]
    constraints: tuple[dict[str, str], ...] = ()
    inert: tuple[str, ...] = INERT
    """keys that cannot change what a trial measures; the signature leaves them out"""

    def complete(self) -> None:
        """Make what is derived from the entries; raises `ValidationError` or `Refusal` where it cannot be."""
        for knob in self.keys.values():
            knob.options  # noqa: B018
        self.rules  # noqa: B018
        self.conditions  # noqa: B018

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The constraints, compiled."""
        return tuple(constraint(entry) for entry in self.constraints)

    @cached_property
    def conditions(self) -> dict[str, Condition]:
        """When knobs act that do not always, by key."""
        conditions = {key: condition(knob.when) for key, knob in self.keys.items() if knob.when}
        names = list(self.keys)
        for key, when in conditions.items():
            if not when.keys:
                raise Refusal(
                    f"The knob {key} of the space file acts when {self.keys[key].when}: name a key."
                )
            below = [read for read in when.keys if read in names[names.index(key) :]]
            if below:
                # Who draws knobs one after another must know by then.
                raise Refusal(
                    f"The knob {key} of the space file acts by {below[0]}: write {below[0]} above it."
                )
            nested = [read for read in when.keys if read in conditions]
            if nested:
                raise Refusal(
                    f"The knob {key} of the space file acts by {nested[0]}, which does not always act "
                    "itself: let it read what that one reads."
                )
        return conditions

    def idle(self, config: Mapping[str, Any]) -> list[str]:
        """The keys of a config on which its result does not depend.

        A value that a knob does not take stays: whoever refuses it must get to see it. So does every key of a
        user's own target: there the same name may mean something else.
        """
        point = Resolved(dict(config), {})
        return [
            key
            for key, when in self.conditions.items()
            if holds(point.config, key)
            and _labs(point.config[key.partition(".")[0]])
            and not when.acts(point)
            and self.keys[key].takes(at(point.config, key))
        ]

    def refuse_misfits(self, config: Mapping[str, Any]) -> None:
        """Raise `Refusal` for a number that is none, whoever typed it; ranges are for agents alone.

        By Python's own error it would be a trial that failed, of which memory learns.
        """
        for key, knob in self.keys.items():
            group = config.get(key.partition(".")[0])
            if knob.type not in _KINDS or not holds(config, key) or not (_labs(group) or _torchs(group)):
                continue
            value, (kinds, wants) = at(config, key), _KINDS[knob.type]
            fits = isinstance(value, kinds) and (knob.type == "bool" or not isinstance(value, bool))
            if knob.type == "int" and isinstance(value, float) and value.is_integer():
                if key.startswith("budget."):
                    continue  # a limit is only compared with
                raise Refusal(f"{key}={value} has a point: write {key}={int(value)}.")
            if not fits and value is not None:
                raise Refusal(f"{key}={value} is no {wants}: {knob.help or 'write one'}.")


def _torchs(group: Any) -> bool:
    return isinstance(group, Mapping) and str(group.get("_target_")).startswith("torch.")


def _is_same(value: Any, item: Any) -> bool:
    """Whether a value is one of an enum; 0 is 0.0 there, as for any float, but 3.0 is no whole number."""
    whole = type(value) is int and type(item) is float
    return (whole or type(value) is type(item)) and bool(value == item)


def _labs(group: Any) -> bool:
    """Whether the lab's own code reads a group, which then means by its keys what the space file says."""
    target = group.get("_target_") if isinstance(group, Mapping) else None
    return target is None or (str(target).startswith("models.") and not str(target).startswith("models.own."))


@cache
def own() -> SpaceFile:
    """The lab's own space file; reading it costs 20 ms, once a process."""
    return load(Path(__file__).parents[2] / "conf" / "space.yaml")


def load(path: Path, beside: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> SpaceFile:
    """Read a space file, with what a person has `beside` it. Raises `Refusal` that names what is wrong."""
    try:
        space = SpaceFile.model_validate(beside(parsed(text_of(path), path)))
        # Made now, so that what is wrong is refused here and not at the first check.
        space.complete()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Refusal(f"The space file {path} is wrong at {where}: {first['msg']}.") from error
    return space

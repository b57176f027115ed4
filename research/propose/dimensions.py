"""The vocabulary as dimensions to draw from: which are open and which act depends on what was picked."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

from research.compose.override import override, spelt, values_of
from research.metrics import is_ratio
from research.propose.idle import Idle

_DIGITS = 3
"""significant digits of a drawn number: enough to tune with, few enough to read and to repeat"""
_SIZES = 4.0
"""how much oftener a size is turned than another knob when the goal is a cost"""
_MOST = 4
"""knobs turned at once at the most: one tells what a knob does, four find what only works together"""
_SMALL = 8
"""dimensions up to which a space is small enough to turn all of them at once"""
OFF, ON = "off", "on"


@final
@dataclass(frozen=True)
class Dimension:
    """One thing to turn: a list of texts to choose from, or a range of numbers."""

    name: str
    """unique in the space: `optimizer.lr @lion` and `optimizer.lr @adam` differ in range"""
    key: str
    default: str
    """what the control has, as text"""
    values: tuple[str, ...] = ()
    """texts to choose from; empty for a range"""
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    toggle: bool = False
    """whether the key, which may be null, has a value at all: `off` or `on`"""

    @property
    def is_size(self) -> bool:
        """Whether it is a whole number on a log scale, as steps, width and batch: what a cost is made of."""
        return self.whole and self.log

    def text(self, value: Any) -> str:
        """A drawn value as it is typed: rounded, and inside the range after rounding."""
        if self.values:
            return str(value)
        if self.whole:
            return str(round(value))
        rounded = float(f"{value:.{_DIGITS}g}")
        return f"{min(max(rounded, self.low), self.high):.12g}"

    def holds(self, text: str) -> bool:
        """Whether the text is one of the values, or a number of the range."""
        if self.values:
            return text in self.values
        try:
            return self.low <= float(text) <= self.high
        except ValueError:
            return False

    @property
    def listed(self) -> list[str]:
        """The values from the least to the most where all of more than two are numbers; else none."""
        try:
            ordered = sorted(self.values, key=float)
        except ValueError:
            return []
        return ordered if len(ordered) > 2 else []

    def place(self, text: str) -> float:
        """Where a number lies in its range, on the range's scale: 0 at its low end, 1 at its high end."""
        value, low, high = float(text), self.low, self.high
        if self.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return (value - low) / (high - low) if high > low else 0.0

    def at(self, place: float) -> str:
        """The number at a place of the range."""
        if self.log:
            return self.text(self.low * (self.high / self.low) ** place)
        return self.text(self.low + (self.high - self.low) * place)

    def picked(self, given: Mapping[str, str]) -> str:
        """What overrides (key -> text) say of this dimension; the default where they say nothing."""
        if self.key not in given:
            return self.default
        if self.toggle:
            return OFF if given[self.key] == "null" else ON
        return given[self.key]

    def draw(self, rng: random.Random) -> str:
        """A uniform draw, uniform in the logarithm on a log scale."""
        if self.values:
            return rng.choice(self.values)
        if self.log:
            return self.text(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return self.text(rng.uniform(self.low, self.high))


Pick = Callable[[Dimension], str]
Drawn = list[tuple[Dimension, str]]
Axes = tuple[Dimension | None, Dimension | None]
"""of a key: whether it has a value, where it may have none, and which"""


@final
class Dimensions:
    """Everything that a search may turn, once the person's own overrides are fixed."""

    def __init__(self, vocabulary: Mapping[str, Any], fixed: Sequence[str]) -> None:
        self._fixed = values_of(fixed)
        self._groups: dict[str, dict[str, Any]] = vocabulary["groups"]
        self._keys: dict[str, dict[str, Any]] = vocabulary["keys"]
        self._words = {key for key, entry in self._keys.items() if entry["type"] == "text"}
        self._idle = Idle(vocabulary, self._fixed)
        self._acting: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._axes: dict[tuple[str, str | None], Axes] = {}
        """by key and option of its group: a search walks thousands of times"""

    def walk(self, pick: Pick) -> Drawn:
        """Ask `pick` for every dimension that acts with what was picked so far."""
        drawn = [(dimension, pick(dimension)) for dimension in self._options]
        chosen = {dimension.key: text for dimension, text in drawn}
        for key, entry in self._keys.items():
            if not self._idle.acts(key, chosen):
                continue
            values = _picked(*self._key(key, entry.get("group"), chosen), pick)
            drawn += values
            if values:  # of a key that is off nothing but its toggle
                chosen[key] = "null" if values[-1][0].toggle else values[-1][1]
        return drawn

    def filled(self, texts: Mapping[str, str]) -> Drawn:
        """The draw with these texts by the names of dimensions, and the others as the control has them."""
        return self.walk(lambda axis: texts.get(axis.name, axis.default))

    def default(self) -> Drawn:
        """The control."""
        return list(self._default)

    @cached_property
    def _default(self) -> Drawn:
        return self.filled({})

    def choose(self, rng: random.Random, metric: str, kept: Drawn | None = None) -> set[str]:
        """Names of a few dimensions of `kept`, or of the control, by lot; sizes oftener for a cost.

        In a small space it is all. A draw of every one of many dimensions rarely trains at all: each range
        has its bad ends.
        """
        size = len(self.default())
        turned = size if size <= _SMALL else rng.randint(1, _MOST)
        weight = _SIZES if is_ratio(metric) else 1.0
        left = {axis.name: weight if axis.is_size else 1.0 for axis, _ in kept or self.default()}
        chosen: set[str] = set()
        while left and len(chosen) < turned:
            name = rng.choices(list(left), list(left.values()))[0]
            chosen.add(name)
            del left[name]
        return chosen

    def vary(self, rng: random.Random, metric: str = "", stopped: Sequence[str] | None = None) -> Drawn:
        """A uniform draw of a few dimensions, with the others as the control has them.

        Where there is a control `stopped` at the bound, they are as its overrides have them: with the
        control's own length no other change is cheaper.
        """
        kept = None if stopped is None else self.read(stopped)
        texts = {axis.name: text for axis, text in kept or ()}
        chosen = self.choose(rng, metric, kept)
        return self.walk(
            lambda axis: axis.draw(rng) if axis.name in chosen else texts.get(axis.name, axis.default)
        )

    def read(self, overrides: Sequence[str]) -> Drawn | None:
        """Overrides as a draw, less what does not act and what is in words, see `carried`.

        None where a sampler could not have drawn them.
        """
        words = self.carried(overrides)
        given = values_of(text for text in self.acting(overrides) if text not in words)
        drawn = self.walk(lambda axis: axis.picked(given))
        read = {dimension.key for dimension, _ in drawn}
        fits = all(dimension.holds(text) for dimension, text in drawn)
        return drawn if fits and given.keys() <= read else None

    def carried(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """The overrides that no sampler draws and that go with every draw from there: a target in words."""
        return tuple(text for text in overrides if override(text).key in self._words - self._fixed.keys())

    def acting(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """The overrides that change anything beside the others."""
        known = tuple(overrides)
        if known not in self._acting:
            self._acting[known] = self._idle.without(known)
        return self._acting[known]

    @cached_property
    def _options(self) -> list[Dimension]:
        open_groups = (group for group in self._groups if group not in self._fixed)
        offered = [(group, *_offered(self._groups[group])) for group in open_groups]
        return [Dimension(group, group, text, values) for group, text, values in offered if len(values) > 1]

    def _key(self, key: str, group: str | None, chosen: Mapping[str, str]) -> Axes:
        """What a key is under the options chosen."""
        option = self._chosen(group, chosen).strip("[]") if group else None
        if (key, option) not in self._axes:
            self._axes[key, option] = self._made(key, option)
        return self._axes[key, option]

    def _made(self, key: str, option: str | None) -> Axes:
        entry = self._keys[key]
        if key in self._fixed or (option is not None and option not in entry["per"]):
            return None, None
        merged = {**entry, **(entry["per"][option] if option else {})}
        name, default = f"{key} @{option}" if option else key, merged.get("default")
        toggle = None
        if merged.get("nullable") and merged["type"] in ("int", "float"):
            toggle = Dimension(f"{name}?", key, OFF if default is None else ON, (OFF, ON), toggle=True)
        return toggle, _dimension(name, key, merged, default)

    def _chosen(self, group: str, chosen: Mapping[str, str]) -> str:
        return chosen.get(group) or self._fixed.get(group) or str(self._groups[group]["default"])


def _offered(entry: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Of a group the control's option and all that can be chosen, this one first."""
    options, default = tuple(entry["options"]), str(entry["default"])
    if entry.get("several"):
        options, default = tuple(f"[{option}]" for option in options), f"[{','.join(entry['default'] or [])}]"
    return default, tuple(dict.fromkeys((default, *options)))


def _picked(toggle: Dimension | None, dimension: Dimension | None, pick: Pick) -> Drawn:
    drawn = [(toggle, pick(toggle))] if toggle else []
    if dimension and (not drawn or drawn[0][1] == ON):
        drawn.append((dimension, pick(dimension)))
    return drawn


def typed(drawn: Drawn) -> tuple[str, ...]:
    """A draw as overrides, without what is the default anyway."""
    usually_off = {axis.key for axis, _ in drawn if axis.toggle and axis.default == OFF}
    texts: list[str] = []
    for dimension, text in drawn:
        if dimension.toggle:
            texts += [f"{dimension.key}=null"] if text == OFF and dimension.default == ON else []
        elif text != dimension.default or dimension.key in usually_off:
            texts.append(f"{dimension.key}={text}")
    return tuple(texts)


def _dimension(name: str, key: str, entry: Mapping[str, Any], default: Any) -> Dimension | None:
    """None for a kind that samplers do not draw: texts and lists."""
    kind = entry["type"]
    if kind == "bool":
        return Dimension(name, key, _typed(default), ("true", "false"))
    if kind == "enum":
        values = tuple(_typed(value) for value in entry["of"])
        return Dimension(name, key, _typed(default), tuple(dict.fromkeys((*values, _typed(default)))))
    if kind not in ("int", "float"):
        return None
    low, high, log = float(entry["low"]), float(entry["high"]), entry.get("scale") == "log"
    dimension = Dimension(name, key, _typed(default), (), low, high, log, kind == "int")
    if default is None:  # it is off in the control: once on, it starts in the middle
        middle = dimension.text(math.sqrt(low * high) if log else (low + high) / 2)
        dimension = replace(dimension, default=middle)
    return dimension


def _typed(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else spelt(value)

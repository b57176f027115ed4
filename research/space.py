"""conf/ as a search space: the one gate between what an agent says and what the lab does.

An override from an agent is hostile until proven otherwise. The order of checks: length and count, characters
and nesting; a plain `key=value` or `group=option`; the allow-list with type and range; the size of the sweep
before it is expanded; every point composed, with nothing missing; constraints that span keys; the profile of
hardware that the budget names; predicted cost.
Texts are read by `research/gate/plain.py`, which takes a linear-time part of Hydra's grammar, instead of
Hydra's parser: 32 overrides of 512 characters would hold that for a second. What is accepted here, Hydra
reads alike.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.gate import profiles
from research.gate.compose import Composer, Point, at, holds, named
from research.gate.knobs import Knob, SpaceFile, load
from research.gate.overrides import expanded, form, listing, parsed, points, shown
from research.gate.plain import Assignment, Value
from research.gate.signature import signature

Predict = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""from the resolved configs of all points to the reason why they cost too much, or None"""
_ENOUGH = 8
"""complaints after which a proposal is not read further"""


@final
class Space:
    """What may be turned in one config folder. Raises `Refusal` when folder or space file is unusable."""

    def __init__(self, conf_dir: str | Path, space_file: str | Path, budget: Predict | None = None) -> None:
        self.file: SpaceFile = load(Path(space_file))
        self.composer = Composer(Path(conf_dir), self.file.root)
        self.budget = budget
        self.options = {group: self._allowed(group) for group in self.file.groups}
        self._given = self._read_by_conditions()
        self._has: dict[str, tuple[str, ...]] = {}

    def check(self, overrides: Any, predict: Predict | None = None, given: Sequence[str] = ()) -> list[str]:
        """Complaints about a proposal, each one sentence that an agent can act on; empty when it is accepted.

        `given` are the harness's own overrides (the data that a goal fixes, say): they are not checked, come
        first, and the proposal may not touch them. `predict` stands in for the space's own budget.
        """
        whole = listing(overrides, self.file.caps)
        if whole is not None:
            return [whole]
        complaints, assignments = self._read(overrides, given)
        complaints = complaints or self._refused(assignments)
        if complaints:
            return complaints[:_ENOUGH]
        return self._judged(assignments, given, predict or self.budget)

    def expand(self, overrides: Sequence[str]) -> list[list[str]]:
        """The points of a sweep, each as overrides without sweeps, the last axis fastest."""
        return expanded(overrides, self.composer.files.options)

    def resolve(self, overrides: Iterable[str]) -> dict[str, Any]:
        """The plain resolved config, seed included, of anybody's overrides; it checks no range.

        Raises `Refusal` for an unknown key or option, for a sweep, and for a value that is still `???`.
        """
        return self.composer.resolve(overrides).config

    def signature(self, config: Mapping[str, Any]) -> str:
        """sha256 of the resolved config without what cannot change the result.

        That is what the space file calls `inert`, and the knobs that do not act in this config.
        """
        return signature(config, self.file.inert, self.file.idle(config))

    def idle(self, config: Mapping[str, Any]) -> dict[str, str]:
        """The knobs that do not act in a resolved config, each with the sentence that says why."""
        return {key: self.file.conditions[key].idle(key, config) for key in self.file.idle(config)}

    def vocabulary(self) -> dict[str, Any]:
        """What may be turned, for prompts and samplers, as plain dicts.

        - groups: name -> help, several, default, options: option -> the card line of its YAML
        - keys: key -> type, help, unit, nullable, group, default, what its type needs of low, high, scale, of
          and length, when it acts if not always, and per: option -> default and whatever differs; a key with
          a group exists in these only
        - given: what those conditions read beside the keys, with their values
        - constraints: sentences; caps: the bounds of a proposal
        """
        base = self.composer.resolve([])
        return {
            "groups": {group: self._group(group, base) for group in self.file.groups},
            "keys": {key: self._entry(key, knob, base) for key, knob in self.file.keys.items()},
            "given": dict(self._given),
            "constraints": [rule.say for rule in self.file.rules],
            "caps": self.file.caps.model_dump(),
        }

    def _allowed(self, group: str) -> tuple[str, ...]:
        existing = self.composer.files.options(group)
        listed = self.file.groups[group].options
        without = self.file.groups[group].without
        unknown = {*(listed or ()), *without} - set(existing)
        if group not in self.composer.chosen or unknown:
            what = f"option {min(unknown)} of {group}" if unknown else f"group {group}"
            raise Refusal(f"The space file names the {what}, which the config folder does not have.")
        chosen = existing if listed is None else listed
        return tuple(option for option in chosen if option not in without)

    def _read_by_conditions(self) -> dict[str, dict[str, Any]]:
        """What conditions read that is no knob itself; raises `Refusal` where it does not exist."""
        read = {
            (read, key)
            for key, condition in self.file.conditions.items()
            for read in condition.keys
            if read not in self.file.keys
        }
        config = self.composer.resolve([]).config if read else {}
        for unknown, key in sorted(read):
            if not holds(config, unknown):
                raise Refusal(
                    f"The space file lets {key} act by {unknown}, which is no key of the config folder."
                )
        return {one: {"default": at(config, one)} for one, _ in sorted(read)}

    def _read(self, overrides: Iterable[Any], given: Sequence[str]) -> tuple[list[str], list[Assignment]]:
        """What each text sets; stops early, so that no proposal can make reading long."""
        complaints: list[str] = []
        assignments: list[Assignment] = []
        fixed = {text.partition("=")[0].strip(" +") for text in given}
        size = 1
        for text in overrides:
            found = self._one(text, fixed, assignments)
            if isinstance(found, str):
                complaints.append(found)
            else:
                assignments.append(found)
                size *= found.count()
            if size > self.file.caps.points:
                complaints.append(
                    f"This sweep has {size} points or more: stay within {self.file.caps.points}."
                )
            if size > self.file.caps.points or len(complaints) >= _ENOUGH:
                break
        return complaints, assignments

    def _one(self, text: Any, fixed: Container[str], before: Sequence[Assignment]) -> Assignment | str:
        fault = form(text, self.file.caps)
        if fault is not None:
            return fault
        key = text.partition("=")[0].strip(" ")
        if key in fixed:
            return f"{key} is fixed by the goal: leave it out."
        if any(key == assignment.key for assignment in before):
            return f"{key} is set twice: set it once, and write a,b to sweep over values."
        found = parsed(text)
        if isinstance(found, Assignment) and found.count() == 0:
            return f"The range of {key} is empty: its start must lie below its stop."
        return found

    def _refused(self, assignments: Sequence[Assignment]) -> list[str]:
        complaints = []
        for assignment in assignments:
            values = list(assignment.each())
            if assignment.key in self.options:
                complaints += self._wrong_options(assignment.key, values)
            elif assignment.key in self.file.keys:
                knob = self.file.keys[assignment.key]
                complaints += _wrong_values(assignment.key, values, knob)
            else:
                complaints.append(self._unknown(assignment.key))
        return complaints

    def _wrong_options(self, group: str, values: Sequence[Value]) -> list[str]:
        options, several = self.options[group], self.file.groups[group].several
        most = self.file.groups[group].most if several else 1
        wanted = f"{f'one or a list of at most {most} of ' if several else 'one of '}{', '.join(options)}"
        wrong = [value for value in values if not _is_choice(value.value, options, several, most)]
        return [f"{group} takes {wanted}; {shown(value.text)} is not." for value in wrong[:1]]

    def _unknown(self, key: str) -> str:
        names = [*self.options, *self.file.keys]
        dotted = key.replace("/", ".")[-60:]
        last = [name for name in names if name.rpartition(".")[2] == dotted.rpartition(".")[2]]
        near = last[:3] or get_close_matches(dotted, names, n=2, cutoff=0.7)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        return f"{shown(key)} is not a key or group that may be turned: use the ones listed.{hint}"

    def _judged(
        self, assignments: Sequence[Assignment], given: Sequence[str], predict: Predict | None
    ) -> list[str]:
        """What only the points themselves can tell: they exist, compose, keep the constraints, and fit."""
        complaints: dict[str, None] = {}
        configs = []
        for values in points(assignments):
            typed = [*given, *(f"{key}={value.text}" for key, value in values)]
            try:
                point = self.composer.resolve(typed)
            except Refusal as refusal:
                complaints |= dict.fromkeys(self._absent(typed) or [str(refusal)])
            else:
                complaints |= dict.fromkeys(self._broken(values, point))
                configs.append(point.config)
            if len(complaints) >= _ENOUGH:
                break
        reason = predict(configs) if predict is not None and not complaints else None
        return [*complaints, *([reason] if reason else [])]

    def _absent(self, typed: Sequence[str]) -> list[str]:
        """Complaints about keys that the chosen options do not have."""
        keys = {text: text.partition("=")[0] for text in typed}
        groups = self.composer.groups
        chosen = self.composer.resolve([text for text, key in keys.items() if key in groups])
        missing = [key for key in keys.values() if key not in groups and not holds(chosen.config, key)]
        return [self._elsewhere(key, chosen) for key in missing]

    def _elsewhere(self, key: str, chosen: Point) -> str:
        group = key.partition(".")[0]
        if group not in self.options:
            return f"{key} does not exist with these choices: leave it out."
        having = ", ".join(f"{group}={option}" for option in self._having(key)) or "no option"
        return f"{key} does not exist with {group}={named(chosen.choices.get(group))}: it does with {having}."

    def _having(self, key: str) -> tuple[str, ...]:
        """The options of the key's group under which it exists."""
        if key not in self._has:
            group = key.partition(".")[0]
            under = {option: self._under(group, option).config for option in self.options.get(group, ())}
            self._has[key] = tuple(option for option, config in under.items() if holds(config, key))
        return self._has[key]

    def _under(self, group: str, option: str) -> Point:
        choice = (option,) if self.file.groups[group].several else option
        return self.composer.resolve([f"{group}={named(choice)}"])

    def _broken(self, values: Iterable[tuple[str, Value]], point: Point) -> list[str]:
        complaints = []
        for key, value in values:
            group = key.partition(".")[0]
            option = point.choices.get(group)
            knob = self.file.keys[key].within(named(option)) if key in self.file.keys else None
            if knob is not None and not knob.takes(value.value):
                wants, got = knob.wants(), shown(value.text)
                complaints.append(f"{key} with {group}={option} takes {wants}; {got} is not.")
        complaints += [said for rule in self.file.rules if (said := rule.complaint(point)) is not None]
        return complaints or profiles.complaints(point.config)

    def _group(self, group: str, base: Point) -> dict[str, Any]:
        about = self.file.groups[group]
        cards = {option: self.composer.files.load(f"{group}/{option}").card for option in self.options[group]}
        chosen = base.choices[group]
        default = list(chosen) if isinstance(chosen, tuple) else chosen
        return {"help": about.help, "several": about.several, "default": default, "options": cards}

    def _entry(self, key: str, knob: Knob, base: Point) -> dict[str, Any]:
        group = key.partition(".")[0]
        entry = knob.told()
        entry["group"] = group if group in self.options else None
        entry["default"] = at(base.config, key) if holds(base.config, key) else None
        entry["per"] = {
            option: {"default": at(self._under(group, option).config, key), **knob.differs(option)}
            for option in self._having(key)
        }
        return entry


def _wrong_values(key: str, values: Sequence[Value], knob: Knob) -> list[str]:
    wrong = [value for value in values if not knob.takes(value.value)]
    return [f"{key} takes {knob.wants()}; {shown(value.text)} is not." for value in wrong[:1]]


def _is_choice(value: Any, options: Sequence[str], several: bool, most: int = 1) -> bool:
    if several and isinstance(value, list):
        known = all(_is_choice(item, options, False) for item in value)
        return known and len(set(value)) == len(value) <= most
    return isinstance(value, str) and value in options

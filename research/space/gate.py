"""conf/ as a search space: the one gate between what an agent says and what the lab does.

An override from an agent is hostile until proven otherwise. The order of checks: length and count, characters
and nesting; a plain `key=value` or `group=option`; the allow-list with type and range; the size of the sweep
before it is expanded; every point composed, with nothing missing; constraints that span keys; the profile of
hardware that the budget names; predicted cost.
Texts are read by `research/compose/override.py`, which takes a linear-time part of Hydra's grammar: 32
overrides of 512 characters would hold Hydra's own parser for a second. What is accepted, Hydra reads alike.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.compose.compose import Composer, Resolved, at, holds, named
from research.compose.override import Assignment, Value, keys_of, override
from research.compose.trees import MISSING
from research.space import profiles, vocabulary
from research.space.complaints import (
    expanded,
    form,
    listing,
    near,
    parsed,
    points,
    refused,
    shown,
    wrong_options,
    wrong_values,
)
from research.space.conditions import Rule
from research.space.knobs import SpaceFile, load
from research.space.own import Declared
from research.space.signature import signature

Predict = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""from the resolved configs of all points to the reason why they cost too much, or None"""
Place = str | Path
_ENOUGH = 8
"""complaints after which a proposal is not read further"""


@final
class Space:
    """What may be turned in one config folder. Raises `Refusal` when folder or space file is unusable."""

    def __init__(
        self, conf: Place, space_file: Place, budget: Predict | None = None, own: Place | None = None
    ) -> None:
        """`own` is a person's folder of options, which they may fix."""
        self.file: SpaceFile = load(Path(space_file))
        self.composer = Composer(Path(conf), self.file.root, own)
        self._declared = Declared(self.composer.files)
        if own is not None:
            self.file = load(Path(space_file), self._declared.beside)
        self.budget = budget
        self.options = {group: self._allowed(group) for group in self.file.groups}
        self.around = {key: self._groups_around(key) for key in self.file.keys}
        self._given = self._read_by_conditions()
        self._has: dict[tuple[str, str], tuple[str, ...]] = {}

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

    def swept(self, overrides: Sequence[str]) -> list[str]:
        """Complaints about sweeps in what must be one configuration; of overrides that `check` accepts."""
        read = ((text, parsed(text)) for text in overrides)
        return [self._sweeps(text, one) for text, one in read if isinstance(one, Assignment) and one.swept]

    def _sweeps(self, text: str, of: Assignment) -> str:
        if of.count() == 1:
            return f"{shown(text)} sweeps over one value: write {of.key}={next(iter(of.each())).text}."
        several = of.key in self.file.groups and self.file.groups[of.key].several
        values = ",".join(value.text.strip("[]") for value in of.each())
        joined = f"write {of.key}=[{values}] to have them together, or " if several else ""
        return f"{shown(text)} is {of.count()} configurations: {joined}propose one value of it."

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
        base = self.composer.sketch()
        return {
            "groups": {group: vocabulary.choices(self, group, base) for group in self.file.groups},
            "keys": {key: vocabulary.entry(self, key, base) for key in self.file.keys},
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
        config = self.composer.sketch().config if read else {}
        for unknown, key in sorted(read):
            if not holds(config, unknown):
                raise Refusal(
                    f"The space file lets {key} act by {unknown}, which is no key of the config folder."
                )
        return {key: {"default": at(config, key)} for key, _ in sorted(read)}

    def _groups_around(self, key: str) -> tuple[str, ...]:
        """The groups whose options hold the key, the innermost first: net/norm and net for net.norm.eps."""
        around = [group for group in self.composer.groups if key.startswith(f"{group.replace('/', '.')}.")]
        return tuple(sorted(around, key=len, reverse=True))

    def _read(self, overrides: Iterable[Any], given: Sequence[str]) -> tuple[list[str], list[Assignment]]:
        """What each text sets; stops early, so that no proposal can make reading long."""
        complaints: list[str] = []
        assignments: list[Assignment] = []
        fixed = keys_of(given)
        size = 1
        for text in overrides:
            assignment = self._assignment(text, fixed, assignments)
            if isinstance(assignment, str):
                complaints.append(assignment)
            else:
                assignments.append(assignment)
                size *= assignment.count()
            if size > self.file.caps.points:
                complaints.append(
                    f"This sweep has {size} points or more: stay within {self.file.caps.points}."
                )
            if size > self.file.caps.points or len(complaints) >= _ENOUGH:
                break
        return complaints, assignments

    def _assignment(self, text: Any, fixed: Container[str], before: Sequence[Assignment]) -> Assignment | str:
        fault = form(text, self.file.caps)
        if fault is not None:
            return fault
        key = override(text).key
        if key in fixed:
            return f"{key} is fixed by the goal: leave it out."
        if any(key == assignment.key for assignment in before):
            return f"{key} is set twice: set it once, and write a,b to sweep over values."
        assignment = parsed(text)
        if isinstance(assignment, Assignment) and assignment.count() == 0:
            side = "below" if assignment.up else "above"
            return f"The range of {key} is empty: its start must lie {side} its stop."
        return assignment

    def _refused(self, assignments: Sequence[Assignment]) -> list[str]:
        complaints = []
        for assignment in assignments:
            values = list(assignment.each())
            if assignment.key in self.options:
                options, about = self.options[assignment.key], self.file.groups[assignment.key]
                complaints += wrong_options(assignment.key, values, options, about)
            elif assignment.key in self.file.keys:
                knob = self.file.keys[assignment.key]
                complaints += wrong_values(assignment.key, values, knob)
            else:
                complaints.append(self._unknown(assignment.key))
        return complaints

    def _unknown(self, key: str) -> str:
        meant = " or ".join(near(key, [*self.options, *self.file.keys]))
        hint = f" Did you mean {meant}?" if meant else ""
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
                complaints |= dict.fromkeys(self._absent(typed, keys_of(given)) or [str(refusal)])
            else:
                complaints |= dict.fromkeys(self._broken(values, point))
                configs.append(point.config)
            if len(complaints) >= _ENOUGH:
                break
        reason = predict(configs) if predict is not None and not complaints else None
        return [*complaints, *([reason] if reason else [])]

    def _absent(self, typed: Sequence[str], fixed: Container[str]) -> list[str]:
        """Complaints about keys that the chosen options do not have; `fixed` are the keys of the goal."""
        keys = {text: override(text).key for text in typed}
        groups = self.composer.groups
        try:
            chosen = self.composer.sketch(text for text, key in keys.items() if key in groups)
        except Refusal:
            return []  # a group that these options do not have, which says so itself
        missing = [key for key in keys.values() if key not in groups and not holds(chosen.config, key)]
        return [self._elsewhere(key, chosen, fixed) for key in missing]

    def _elsewhere(self, key: str, chosen: Resolved, fixed: Container[str]) -> str:
        around = [group for group in self.around.get(key, ()) if group in self.options]
        group = next((group for group in around if group in chosen.choices), None)
        if group is None:
            return f"{key} does not exist with these choices: leave it out."
        choice = chosen.choices[group]
        if group in fixed:
            return f"{key} does not exist with {group}={named(choice)}, which the goal fixes: leave it out."
        having = ", ".join(f"{group}={option}" for option in self.having(key, group)) or "no option"
        if choice == MISSING:
            return f"{key} does not exist before {group} is chosen: it does with {having}."
        goals = ", which the goal fixes," if key in fixed else ""
        return f"{key}{goals} does not exist with {group}={named(choice)}: it does with {having}."

    def having(self, key: str, group: str) -> tuple[str, ...]:
        """The options of a group under which the key exists."""
        if (key, group) not in self._has:
            under = {option: self.under(group, option) for option in self.options[group]}
            self._has[key, group] = tuple(one for one, point in under.items() if self.turned(key, point))
        return self._has[key, group]

    def turned(self, key: str, point: Resolved) -> bool:
        """Whether a key is there to be turned: of a person's own option only what they list."""
        return holds(point.config, key) and self._declared.lists(key, point, self.around.get(key, ()))

    def broken(self, rule: Rule, point: Resolved) -> str | None:
        """What a constraint says against a point; nothing where it is of a part of a person's own."""
        said = rule.complaint(point)
        return None if said is None or self._declared.spares(rule, point) else said

    def under(self, group: str, option: str) -> Resolved:
        """The config of one option by itself, with null for what nobody has set."""
        several = self.file.groups[group].several
        # Quoted, since an option may be called 16 or null.
        return self.composer.sketch([f"{group}=['{option}']" if several else f"{group}='{option}'"])

    def _broken(self, values: Iterable[tuple[str, Value]], point: Resolved) -> list[str]:
        complaints = []
        for key, value in values:
            if key in self.file.keys and not self.turned(key, point):
                complaints.append(
                    f"{key} is of the person's own, whose space does not list it: leave it out."
                )
            for group in self.around.get(key, ()):
                option = point.choices.get(group)
                knob = self.file.keys[key].within(named(option))
                if not knob.takes(value.value):
                    under, fault = f"{group}={named(option)}", refused(value, knob)
                    complaints.append(f"{key} with {under} takes {knob.wants()}; {fault}.")
        complaints += [said for rule in self.file.rules if (said := self.broken(rule, point)) is not None]
        return complaints or profiles.complaints(point.config)

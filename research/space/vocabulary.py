"""The vocabulary of a search: what may be turned under what is fixed, and the constraints that can break."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from refusal import Refusal
from research.compose.compose import Resolved, assigned, at, holds
from research.compose.override import scalar, values_of
from research.compose.trees import MISSING
from research.space.conditions import Rule

if TYPE_CHECKING:
    from research.space.gate import Space

_QUESTION = ("data",)
"""groups that are the question and no answer"""
_Options = Mapping[str, Mapping[str, Resolved]]


def narrowed(space: "Space", fixed: Sequence[str]) -> dict[str, Any]:
    """The space's vocabulary under `fixed` overrides, with defaults as the control has them.

    Options and values that the gate refuses by themselves are left out: a language model's network on images,
    half precision without a GPU. Those that it takes beside one other choice are told under `beside`. Of the
    constraints, sentence -> groups that it reads, those are left out that nothing of the rest can break.
    Options tuned for other data can be chosen, and stand under `elsewhere`.

    Raises `Refusal` when the fixed overrides do not compose, and for a number that none can be.
    """
    _check_numbers(space, fixed)
    vocabulary, point = space.vocabulary(), space.composer.resolve(fixed)
    control = point.config
    for group in _QUESTION:
        vocabulary["groups"].pop(group, None)
    elsewhere = _elsewhere(space, point)
    offered = {group: dict(entry["options"]) for group, entry in vocabulary["groups"].items()}
    for group, entry in vocabulary["groups"].items():
        options = entry["options"].items()
        kept = {option: card for option, card in options if _taken(space, [f"{group}={option}"], fixed)}
        entry["options"] = kept or entry["options"]
        entry["elsewhere"] = [option for option in entry["options"] if option.endswith(elsewhere)]
    for group, entry in vocabulary["groups"].items():
        entry["beside"] = _beside(space, group, offered[group], vocabulary["groups"], fixed)
    for key, entry in vocabulary["keys"].items():
        option = point.choices.get(entry["group"])
        if isinstance(option, str) and option not in entry["per"] and space.turned(key, point):
            # One that only a person chooses: what it leaves open may be turned all the same.
            entry["per"][option] = {"default": _at(control, key), **space.file.keys[key].differs(option)}
        if entry["group"] is None:
            entry |= _narrowed(space, key, entry, fixed) | {"default": _at(control, key)}
    given = {key: entry | {"default": _at(control, key)} for key, entry in vocabulary["given"].items()}
    return vocabulary | {"given": given, "constraints": _constraints(space, vocabulary, fixed, point)}


def _check_numbers(space: "Space", fixed: Sequence[str]) -> None:
    for key, text in values_of(fixed).items():
        knob = space.file.keys.get(key)
        if knob is not None and "${" not in text and not knob.possible(scalar(text)):
            raise Refusal(f"base cannot hold {key}={text}: of agents it takes {knob.wants()}, of you more.")


def choices(space: "Space", group: str, base: Resolved) -> dict[str, Any]:
    """A group as it is told: its options with their cards, and what `base` has chosen."""
    about, files = space.file.groups[group], space.composer.files
    chosen = base.choices[group]
    default = list(chosen) if isinstance(chosen, tuple) else None if chosen == MISSING else chosen
    cards = {option: files.load(f"{group}/{option}").card for option in space.options[group]}
    return {"help": about.help, "several": about.several, "default": default, "options": cards}


def entry(space: "Space", key: str, base: Resolved) -> dict[str, Any]:
    """A key as it is told: what its knob takes, and what differs under which option of its group."""
    knob = space.file.keys[key]
    around = [group for group in space.around[key] if group in space.options]
    told = knob.told()
    told["group"] = around[0] if around else None
    told["default"] = _at(base.config, key)
    told["per"] = {
        option: {"default": at(space.under(owner, option).config, key), **knob.differs(option)}
        for owner in around[:1]
        for option in space.having(key, owner)
    }
    return told


def _elsewhere(space: "Space", point: Resolved) -> tuple[str, ...]:
    """How the options end that are tuned for other data than this: `_mnist1d`, as in `mlp_mnist1d`."""
    own = {point.choices.get(group) for group in _QUESTION}
    known = {option for group in _QUESTION for option in space.composer.files.options(group)}
    return tuple(f"_{option}" for option in sorted(known - own))


def _beside(
    space: "Space", group: str, offered: Mapping[str, str], groups: Mapping[str, Any], fixed: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """Options that are taken beside one choice of another group only: option -> that choice, its card."""
    taken: dict[str, tuple[str, str]] = {}
    for option in offered.keys() - groups[group]["options"].keys():
        others = [
            f"{name}={other}"
            for name, entry in groups.items()
            if name != group and not entry["several"]
            for other in entry["options"]
        ]
        fits = (other for other in others if _taken(space, [f"{group}={option}", other], fixed))
        if (first := next(fits, None)) is not None:
            taken[option] = (first, offered[option])
    return taken


def _narrowed(space: "Space", key: str, entry: dict[str, Any], fixed: Sequence[str]) -> dict[str, Any]:
    narrower: dict[str, Any] = {}
    if entry["nullable"]:
        narrower["nullable"] = _taken(space, [f"{key}=null"], fixed)
    if entry["type"] == "enum":
        narrower["of"] = [value for value in entry["of"] if _taken(space, [f"{key}={value}"], fixed)]
    return narrower


def _taken(space: "Space", texts: Sequence[str], fixed: Sequence[str]) -> bool:
    return not space.check(list(texts), lambda configs: None, given=fixed)


def _at(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def _constraints(
    space: "Space", vocabulary: Mapping[str, Any], fixed: Sequence[str], control: Resolved
) -> dict[str, tuple[str, ...]]:
    """Each constraint that some choice in the vocabulary can break, with the groups that it is about."""
    points = {
        group: {option: space.composer.resolve([*fixed, f"{group}={option}"]) for option in entry["options"]}
        for group, entry in vocabulary["groups"].items()
        if not entry["several"] and _taken(space, [f"{group}={next(iter(entry['options']), '')}"], fixed)
    }
    told = {}
    for rule in space.file.rules:
        groups = tuple(sorted(rule.about & vocabulary["groups"].keys()))
        several = any(vocabulary["groups"][group]["several"] for group in groups)
        tried = _points(rule, groups, points, control, vocabulary["keys"])
        if several or any(space.broken(rule, point) for point in tried):
            told[rule.say] = groups
    return told


def _points(
    rule: Rule, groups: Sequence[str], points: _Options, control: Resolved, keys: Mapping[str, Any]
) -> Iterator[Resolved]:
    """Every choice of the groups, with the ends and all names of the knobs that a rule reads."""
    for chosen in product(*(points[group].items() for group in groups if group in points)):
        own = [group for group in groups if group in points]
        choices = {
            **control.choices,
            **{group: option for group, (option, _) in zip(own, chosen, strict=True)},
        }
        config = {**control.config, **{g: point.config[g] for g, (_, point) in zip(own, chosen, strict=True)}}
        if all(holds(config, key) for key in rule.keys):
            knobs = [key for key in rule.keys if key in keys]
            for values in product(*(_ends(_under(keys[key], choices)) for key in knobs)):
                yield Resolved(_with(config, dict(zip(knobs, values, strict=True))), choices)


def _under(entry: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """A knob's entry as it is under the option of its group."""
    differs = entry["per"].get(choices.get(entry["group"])) if entry["group"] else None
    return {**entry, **(differs or {})}


def _ends(entry: Mapping[str, Any]) -> list[Any]:
    """Values of a knob by which a constraint is tried: all names, and the ends of a range with odd ones."""
    null = [None] if entry.get("nullable") else []
    if entry["type"] == "enum":
        return [*entry["of"], *null]
    if entry["type"] == "bool":
        return [False, True]
    if entry["type"] in ("int", "float"):
        low, high = entry["low"], entry["high"]
        odd = [low + 1, low + 2, high - 1] if entry["type"] == "int" else []
        return [*dict.fromkeys([low, *odd, high]), *null]
    if entry["type"] == "list":
        return [[value] * entry["length"][1] for value in _ends(entry["of"])] + null
    return [entry["default"], "a text", *null]


def _with(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The config with dotted keys set anew; what it shares with the old one stays as it was."""
    changed = dict(config)
    for key, value in values.items():
        changed = assigned(changed, key.split("."), value, key)
    return changed

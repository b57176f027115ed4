"""One field of research, as conf/domain/NAME.yaml says it, and the part of the space that it may turn."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from pydantic import Field, ValidationError

from refusal import Refusal
from research.compose.override import keys_of, override, values_of
from research.compose.trees import parsed, text_of
from research.space.bounds import Bounds
from research.types import Record

_WORD = re.compile(r"[a-z0-9]+")
_SHORT = frozenset(
    ("a", "an", "and", "by", "for", "how", "in", "of", "on", "or", "the", "to", "what", "with")
)
"""words of a focus that say nothing of an area"""

GIVEN = "given"
"""the field of a model that is there already"""


@final
class Area(Record):
    """One thing to look at: the groups and keys of conf/space.yaml that belong to it."""

    groups: dict[str, tuple[str, ...] | None] = {}
    """group -> its options that belong here, None for all; the keys of these options come with them"""
    keys: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """other words that people name the area by"""


@final
class Domain(Record):
    """A field: its areas by name, the overrides that all its trials need, and its own goal."""

    name: str
    goal: str | None = None
    base: tuple[str, ...] = ()
    areas: dict[str, Area] = Field(min_length=1)

    def focused(self, focus: str | None) -> "Domain":
        """The same field with the areas that a focus names, by their name or words; all without a focus.

        Raises `Refusal` for a focus that names none.
        """
        if not focus:
            return self
        asked = _words(focus)
        fits = {name: area for name, area in self.areas.items() if asked & _words(name, *area.words)}
        exact = {name: area for name, area in fits.items() if name == focus.strip()}
        if not fits:
            raise Refusal(
                f"domain={self.name} has no focus area {focus[:60]!a}: choose one of {', '.join(self.areas)}."
            )
        return self.model_copy(update={"areas": exact or fits})


def chosen(config: Mapping[str, Any]) -> Domain | None:
    """The field that a resolved `conf/agent.yaml` chooses, narrowed to its focus; None for domain=none.

    Raises `Refusal` for a file that is no domain, and for a focus without a domain or outside of it.
    """
    given, focus = config.get("domain"), config.get("focus")
    if not given or given.get("name") is None:
        if focus:
            raise Refusal(f"focus={focus!a} needs a domain: add domain=NAME, as domain=architecture.")
        return None
    return read(given).focused(None if focus is None else str(focus))


def read(content: Mapping[str, Any]) -> Domain:
    """The content of a file as a domain. Raises `Refusal` with the first thing that is wrong."""
    try:
        return Domain.model_validate(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Refusal(f"domain={content.get('name')} is wrong at '{where}': {first['msg']}.") from None


def named(conf: Path, name: str | None, focus: str | None) -> Domain | None:
    """The field of a name as its file says it today, narrowed to a focus; None for no name."""
    path = conf / "domain" / f"{name}.yaml"
    return None if name is None else read(parsed(text_of(path), path)).focused(focus)


def taken_up(config: Mapping[str, Any], conf: Path) -> dict[str, Any]:
    """The config with domain=given, where `base` names the weights of a network that is there already.

    Not beside another domain, nor where `base` says how long to train: then training is what is asked for.
    """
    base = keys_of(str(line) for line in config.get("base") or ())
    own = {"budget.calibration", "budget.finetune"}
    trains = any(key == "budget" or key.startswith("budget.") for key in base - own)
    if "model.weights" not in base or trains or (config.get("domain") or {}).get("name") is not None:
        return dict(config)
    path = conf / "domain" / f"{GIVEN}.yaml"
    return {**config, "domain": parsed(text_of(path), path)}


def applied(config: Mapping[str, Any], usual_goal: str) -> dict[str, Any]:
    """The config with what its domain fixes for every trial, and with its goal where nobody said one.

    `usual_goal` is the goal that agent.yaml has by itself. What the person fixes in `base` wins.
    """
    domain = chosen(config)
    if domain is None:
        return dict(config)
    own = [str(line) for line in config["base"]]
    taken = keys_of(own)
    base = [*(line for line in domain.base if override(line).key not in taken), *own]
    goal = domain.goal if domain.goal and config["goal"] == usual_goal else config["goal"]
    return {**config, "base": base, "goal": goal}


def names(conf: Path) -> list[str]:
    """The names of all domains of a configuration folder."""
    return sorted(path.stem for path in (conf / "domain").glob("*.yaml") if path.stem != "none")


def _words(*texts: str) -> set[str]:
    words = {word for text in texts for word in _WORD.findall(text.lower())} - _SHORT
    return {word.removesuffix("s") for word in words}


@final
class Scope:
    """Groups, options and keys of a domain's areas; a domain of None is the whole space.

    `free` are the lines of `base` that leave some of them open, see `research.space.bounds`.
    """

    def __init__(self, domain: Domain | None, free: Sequence[str] = ()) -> None:
        self.domain, self._bounds = domain, Bounds(free)
        areas = list(domain.areas.values()) if domain else []
        self._keys = {key for area in areas for key in area.keys}
        self._options: dict[str, set[str] | None] = {}
        for area in areas:
            for group, options in area.groups.items():
                self._add(group, options)

    def outside(self, overrides: Sequence[str]) -> list[str]:
        """A sentence for each override that belongs to another field, or leaves its bounds; else none."""
        strange = self._bounds.outside(overrides)
        if self.domain is None:
            return strange
        where = f"domain={self.domain.name} ({', '.join(self.domain.areas)})"
        return strange + [
            f"{key}={value or ''} lies outside of {where}: turn what belongs to it."
            for key, value, _ in map(override, overrides)
            if not self._holds(key, value or "")
        ]

    def narrowed(self, vocabulary: Mapping[str, Any], fixed: Sequence[str] = ()) -> dict[str, Any]:
        """A vocabulary as `narrowed` gives it, with this field's groups, options and keys only.

        A group whose keys belong here but not its choice stays, with nothing to choose from. Raises `Refusal`
        when nothing is left to turn beside what is `fixed`, and as `Bounds` does.
        """
        vocabulary = self._bounds.narrowed(vocabulary, fixed)
        if self.domain is None:
            return vocabulary
        held = values_of(fixed)
        keys = {key: entry for key, entry in vocabulary["keys"].items() if self._turns(key)}
        needed = {entry["group"] for entry in keys.values()} - {None}
        groups = {
            name: self._group(name, entry)
            for name, entry in vocabulary["groups"].items()
            if name in self._options or name in needed
        }
        possible = {name: {held[name]} if name in held else _choices(entry) for name, entry in groups.items()}
        free = [name for name, choices in possible.items() if len(choices) > 1]
        free += [key for key, entry in keys.items() if key not in held and _exists(entry, possible)]
        if not free:
            areas = ", ".join(self.domain.areas)
            raise Refusal(
                f"domain={self.domain.name} ({areas}) has no option in the space under "
                f"{' '.join(fixed) or 'the defaults'}: fix other data or another network by "
                "base=[data=NAME,model=NAME], or choose another domain."
            )
        return {**vocabulary, "groups": groups, "keys": keys, "given": _given(vocabulary, keys)}

    def _add(self, group: str, options: Sequence[str] | None) -> None:
        before = self._options.get(group, set())
        self._options[group] = None if options is None or before is None else {*before, *options}

    def _turns(self, key: str) -> bool:
        return key in self._keys or self._whole(key.partition(".")[0], key)

    def _whole(self, group: str, key: str) -> bool:
        """Whether the key comes with an option of its group: compress.low_rank.share with low_rank."""
        if group not in self._options:
            return False
        options = self._options[group]
        return options is None or any(key.startswith(f"{group}.{option}.") for option in options)

    def _holds(self, key: str, value: str) -> bool:
        if key not in self._options:
            return self._turns(key)
        options = self._options[key]
        return (
            options is None
            or {option.strip(" '\"") for option in value.strip(" []").split(",")} - {""} <= options
        )

    def _group(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        allowed = self._options.get(name, set())
        default = {entry["default"]} if isinstance(entry["default"], str) else set()
        kept = {
            option: card
            for option, card in entry["options"].items()
            if allowed is None or option in allowed | default
        }
        beside = {
            option: needed
            for option, needed in entry.get("beside", {}).items()
            if allowed is None or option in allowed
        }
        return {**entry, "options": kept, "beside": beside}


def _given(vocabulary: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """What conditions of the kept keys read beside them, with its values: a field may turn one of two."""
    conditions = " ".join(entry.get("when", "") for entry in kept.values())
    known = {**vocabulary.get("given", {}), **vocabulary["keys"]}
    return {
        key: {name: known[key].get(name) for name in ("group", "default", "per")}
        for key in known
        if key in conditions and key not in kept
    }


def _choices(entry: Mapping[str, Any]) -> set[str]:
    """What a group can be set to, its default included."""
    default = entry["default"]
    return {*entry["options"], default if isinstance(default, str) else ",".join(default or [])}


def _exists(entry: Mapping[str, Any], possible: Mapping[str, set[str]]) -> bool:
    """Whether a key is there under one of the options that its group can still have."""
    return entry["group"] is None or bool(possible[entry["group"]] & entry["per"].keys())

"""The part of the space that a domain may turn: a narrower vocabulary, and a complaint about the rest."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from refusal import Refusal
from research.space.domain import Domain


@final
class Scope:
    """Groups, options and keys of a domain's areas; a domain of None is the whole space."""

    def __init__(self, domain: Domain | None) -> None:
        self.domain = domain
        areas = list(domain.areas.values()) if domain else []
        self._keys = {key for area in areas for key in area.keys}
        self._options: dict[str, set[str] | None] = {}
        for area in areas:
            for group, options in area.groups.items():
                self._add(group, options)

    def outside(self, overrides: Sequence[str]) -> list[str]:
        """A sentence for each override that belongs to another field; empty when all are within."""
        if self.domain is None:
            return []
        pairs = [text.partition("=")[::2] for text in overrides]
        where = f"domain={self.domain.name} ({', '.join(self.domain.areas)})"
        return [
            f"{key.strip()}={value.strip()} lies outside of {where}: turn what belongs to it."
            for key, value in pairs
            if not self._holds(key.strip(" +"), value)
        ]

    def narrowed(self, vocabulary: Mapping[str, Any], fixed: Sequence[str] = ()) -> dict[str, Any]:
        """The vocabulary of `proposers.vocabulary.narrowed` with this field's groups, options and keys only.

        A group whose keys belong here but not its choice stays, with nothing to choose from. Raises `Refusal`
        when nothing is left to turn beside what is `fixed`.
        """
        if self.domain is None:
            return dict(vocabulary)
        held = dict(text.lstrip("+").split("=", 1) for text in fixed if "=" in text)
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
        return options is None or {one.strip(" '\"") for one in value.strip(" []").split(",")} <= options

    def _group(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        allowed = self._options.get(name, set())
        default = {entry["default"]} if isinstance(entry["default"], str) else set()
        kept = {
            option: card
            for option, card in entry["options"].items()
            if allowed is None or option in allowed | default
        }
        return {**entry, "options": kept}


def _given(vocabulary: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """What conditions of the kept keys read beside them, with its values: a field may turn one of two."""
    conditions = " ".join(entry.get("when", "") for entry in kept.values())
    known = {**vocabulary.get("given", {}), **vocabulary["keys"]}
    return {
        one: {name: known[one].get(name) for name in ("group", "default", "per")}
        for one in known
        if one in conditions and one not in kept
    }


def _choices(entry: Mapping[str, Any]) -> set[str]:
    """What a group can be set to, its default included."""
    default = entry["default"]
    return {*entry["options"], default if isinstance(default, str) else ",".join(default or [])}


def _exists(entry: Mapping[str, Any], possible: Mapping[str, set[str]]) -> bool:
    """Whether a key is there under one of the options that its group can still have."""
    return entry["group"] is None or bool(possible[entry["group"]] & entry["per"].keys())

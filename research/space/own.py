"""What a person says of their own options: which of their arguments agents may turn, and how far.

A `space:` block in an option of theirs names arguments of it, their `space.yaml` whole keys, as that of conf.
What neither names is nobody's to turn: a `width` of theirs need not be one of ours.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.compose.compose import Resolved
from research.compose.defaults import Files
from research.compose.trees import SPACE, parsed, text_of
from research.space.conditions import Rule

_BROUGHT = "models.own."
"""what makes something of a target that a person names"""
_KEYS = {"keys", "constraints"}


@final
class Declared:
    """Of a person's folder: entries of a space file, and which option declares each; without one nothing."""

    def __init__(self, files: Files) -> None:
        """Raises `Refusal` that names what is wrong."""
        self._files = files
        self._judged: tuple[Resolved | None, frozenset[str]] = (None, frozenset())
        self.keys: dict[str, dict[str, Any]] = {}
        self.constraints: list[dict[str, str]] = []
        self._by: set[tuple[str, str | None]] = set()
        """key and the option that declares it, None for all that have it"""
        if files.own is not None and (path := files.own / f"{SPACE}.yaml").is_file():
            self._add_file(path)
        for name in sorted(files.names):
            if files.is_own(name) and (block := files.load(name).space) is not None:
                self._add_block(files, name, block)
        self._says = {str(entry.get("say")).rstrip(".") for entry in self.constraints}

    def declares(self, key: str, option: Any) -> bool:
        """Whether agents may turn a key of this option of the person's."""
        return (key, None) in self._by or (key, option) in self._by

    def lists(self, key: str, point: Resolved, groups: Iterable[str]) -> bool:
        """Whether agents may turn a key of the options of `groups`, as far as these are the person's."""
        theirs = [group for group in groups if self._is_own(group, point) or _brought(point, group)]
        return all(self.declares(key, point.choices.get(group)) for group in theirs)

    def spares(self, rule: Rule, point: Resolved) -> bool:
        """Whether a rule of ours is about a part of a point that is the person's."""
        if self._judged[0] is not point:
            self._judged = point, frozenset(group for group in point.choices if self._is_theirs(group, point))
        return bool(rule.about & self._judged[1]) and rule.say not in self._says

    def _is_theirs(self, group: str, point: Resolved) -> bool:
        """Whether what a group builds is of an own option, or of a target that they put there."""
        name = f"{group}/{point.choices.get(group)}"
        if name not in self._files.names or _is_ours(point, group):
            return False
        named = self._files.load(name).content.get("_target_")
        other = named is not None and _target(point, group) != named
        return other or _brought(point, group) or self._is_own(group, point)

    def _is_own(self, group: str, point: Resolved) -> bool:
        """Whether an option is of the person's folder, and no variant of one of ours."""
        return self._files.is_own(f"{group}/{point.choices.get(group)}") and not _is_ours(point, group)

    def beside(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """The content of a space file with these entries: of our keys an own option has its own range."""
        keys = dict(content.get("keys") or {})
        for key, entry in self.keys.items():
            per = {**keys.get(key, {}).get("per", {}), **entry.get("per", {})}
            keys[key] = {**entry, **keys.get(key, {}), **({"per": per} if per else {})}
            if (key, None) in self._by:
                keys[key] = entry
        return {**content, "keys": keys, "constraints": [*content.get("constraints", ()), *self.constraints]}

    def _add_file(self, path: Path) -> None:
        content = parsed(text_of(path), path)
        if strange := sorted(content.keys() - _KEYS):
            raise Refusal(f"{path} has {strange[0]}: it takes keys and constraints, as conf/space.yaml.")
        for key, said in (content.get("keys") or {}).items():
            self.keys[key] = _entry(said, None, f"{path}: {key}")
            self._by.add((key, None))
        self.constraints += content.get("constraints") or []

    def _add_block(self, files: Files, name: str, block: Any) -> None:
        (group, _, option), path = name.rpartition("/"), files.path(name)
        if not isinstance(block, Mapping):
            raise Refusal(
                f"{path}: space names arguments with their ranges, as space: {{width: [8, 16, 32]}}."
            )
        content = files.load(name).content
        args = content["args"] if isinstance(content.get("args"), Mapping) else {}
        for argument, said in block.items():
            if argument not in {**content, **args}:
                raise Refusal(
                    f"{path}: space names {argument}, which has no value there: give the usual one."
                )
            inside = argument in args
            key = f"{group.replace('/', '.')}.{'args.' if inside else ''}{argument}"
            entry = _entry(said, (args if inside else content)[argument], f"{path}: space.{argument}")
            known = self.keys.setdefault(key, {**entry, "per": {}})
            known.setdefault("per", {})[option] = entry
            self._by.add((key, option))


def _entry(said: Any, default: Any, place: str) -> dict[str, Any]:
    """An entry of a space file from a list of values, or from an entry whose type its numbers tell."""
    if isinstance(said, list):
        said = {"of": said}
    if not isinstance(said, Mapping):
        raise Refusal(f"{place} is no range: write [8, 16, 32], or {{low: 8, high: 256, scale: log}}.")
    entry = {"help": "an argument of the person's own", **said}
    if "type" not in entry:
        numbers = [entry.get("low"), entry.get("high"), default]
        whole = all(isinstance(one, int) or one is None for one in numbers)
        entry["type"] = "enum" if "of" in entry else "int" if whole else "float"
    return entry


def _is_ours(point: Resolved, group: str) -> bool:
    return _target(point, group).startswith("models.") and not _brought(point, group)


def _brought(point: Resolved, group: str) -> bool:
    return _target(point, group).startswith(_BROUGHT)


def _target(point: Resolved, group: str) -> str:
    """What the chosen option of a group calls."""
    node = point.config.get(group)
    return str(node.get("_target_") or "") if isinstance(node, Mapping) else ""

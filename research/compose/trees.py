"""Plain trees of a configuration, as OmegaConf has them: merged, copied, and looked through."""

from collections.abc import Mapping
from typing import Any

MISSING = "???"
SPACE = "space"
"""what says what may be turned: a file of a folder, or a part of an own option; no part of a trial"""
_INNER = (dict, list)
"""what nodes of a plain tree hold others; a name of its own, for `dict | list` is made anew in each call"""


class Unusual(Exception):
    """A config file uses a form that only Hydra itself composes."""


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Both as OmegaConf merges them: dicts by key, all else replaced; shares what only one has."""
    tree = dict(old)
    for key, value in new.items():
        before = tree.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            tree[key] = merged(before, value)
        elif (value == MISSING and key in tree) or (
            isinstance(value, dict) and isinstance(before, list | str)
        ):
            raise Unusual(f"the merge at {key}")
        else:
            tree[key] = value
    return tree


def copied(node: Any) -> Any:
    """A copy of dicts and lists at every depth; what they hold is immutable."""
    if isinstance(node, dict):
        return {key: copied(value) for key, value in node.items()}
    return [copied(value) for value in node] if isinstance(node, list) else node


def missing(node: dict[str, Any] | list[Any], path: str = "") -> list[str]:
    """The keys whose value is `???`, which somebody must set; `path` is where the node lies, with its dot."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    keys: list[str] = []
    for name, item in pairs:
        if isinstance(item, _INNER):
            keys += missing(item, f"{path}{name}.")
        elif item == MISSING:
            keys.append(f"{path}{name}")
    return keys


def unspaced(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config that Hydra has composed, without what own options say to agents: their `space`."""
    return {name: _unspaced(group) if isinstance(group, dict) else group for name, group in config.items()}


def _unspaced(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != SPACE or "_target_" not in group}

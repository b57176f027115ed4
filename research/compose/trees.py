"""Plain trees of a configuration, as OmegaConf has them and faster: read from YAML, merged, links followed.

Files are scanned by libyaml, 15 times faster; paths in `${...}` take about 0.1 ms, the rest is left to
OmegaConf. A config is resolved from itself alone: a resolver that reads the environment or the process is
refused, so that the same overrides always mean the same trial and no secret enters a row.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import yaml

from refusal import Refusal

MISSING = "???"
SPACE = "space"
"""the file, or the part of an own option, that says what may be turned; no trial has it"""
_INNER = (dict, list)
"""what nodes of a plain tree hold others; a name of its own, for `dict | list` is made anew in each call"""
_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
# OmegaConf's own: plain YAML 1.1 reads 1e-3 as a text.
_FLOAT = re.compile(
    r"""^(?:[-+]?[0-9]+(?:_[0-9]+)*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+)
        |\.[0-9]+(?:_[0-9]+)*(?:[eE][-+][0-9]+)?
        |[-+]?[0-9]+(?:_[0-9]+)*(?::[0-5]?[0-9])+\.[0-9_]*
        |[-+]?\.(?:inf|Inf|INF)
        |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)
_PATH = re.compile(r"\$\{(\.*)([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}", re.ASCII)
_SELECT = re.compile(r"\$\{oc\.select:\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*,\s*null\s*\}", re.ASCII)
"""what a key is where the other group has it; read here, since OmegaConf takes a hundred times as long"""
_INNERMOST = re.compile(r"\$\{([^${}]*)\}")
_PURE = {"oc.select", "oc.deprecated", "oc.dict.keys", "oc.dict.values"}
_DEPTH = 40
_WORTH = (str, dict, list)
"""what may hold an interpolation: all else is kept without a call for each"""


@final
class _Loader(_FAST):  # type: ignore[misc]  # its base is libyaml's loader where there is one
    """A safe loader with OmegaConf's numbers and dates; a key that stands twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = [key for key in keys if isinstance(key, str) and keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice[0]} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag != _TIMESTAMP]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def parsed(text: str, path: Path) -> dict[str, Any]:
    """The keys and values of a YAML text; an empty one has none. Raises `Refusal` that names `path`."""
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506  a SafeLoader underneath
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refusal(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict | None):
        raise Refusal(f"{path} must hold keys and values.")
    return {str(key): value for key, value in (content or {}).items()}


def text_of(path: Path) -> str:
    """The text of a file. Raises `Refusal` when it is missing or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} cannot be read: {error}.") from error


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


class _Beyond(Exception):
    """An interpolation that only OmegaConf reads."""


def resolved(tree: dict[str, Any]) -> dict[str, Any]:
    """A copy of `tree` with every interpolation replaced by its value.

    Raises `Refusal` when one names a key that does not exist, turns in a circle, or reads anything but the
    config itself (`oc.env`, `hydra:`, resolvers registered in Python).
    """
    try:
        return {key: _node(tree, value, (key,), 0) for key, value in tree.items()}
    except _Beyond:
        return _by_omegaconf(tree)


def _node(root: dict[str, Any], node: Any, path: tuple[str, ...], depth: int) -> Any:
    """The value of `node`, which lies at `path` in `root`; `depth` counts the links followed so far."""
    if isinstance(node, str):
        return _text(root, node, path, depth) if "${" in node else node
    if isinstance(node, dict):
        return {
            key: _node(root, value, (*path, key), depth) if isinstance(value, _WORTH) else value
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_node(root, value, (*path, str(index)), depth) for index, value in enumerate(node)]
    return node


def _text(root: dict[str, Any], text: str, path: tuple[str, ...], depth: int) -> Any:
    if "\\" in text:
        raise _Beyond
    chosen = _SELECT.fullmatch(text)
    if chosen is not None:
        where = tuple(chosen[1].split("."))
        return _node(root, _at(root, where, optional=True), where, depth + 1)
    whole = _PATH.fullmatch(text)
    if whole is not None:
        return _target(root, whole, path, depth)
    if "${" in _PATH.sub("", text):
        raise _Beyond
    return _PATH.sub(lambda link: str(_scalar(_target(root, link, path, depth))), text)


def _scalar(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise _Beyond
    return value


def _target(root: dict[str, Any], link: re.Match[str], path: tuple[str, ...], depth: int) -> Any:
    if depth > _DEPTH:
        raise Refusal(f"The config turns in a circle at {'.'.join(path)}: {link[0]} comes back to itself.")
    dots = len(link[1])
    if dots > len(path):
        raise _Beyond
    where = (*(path[: len(path) - dots] if dots else ()), *link[2].split("."))
    return _node(root, _at(root, where), where, depth + 1)


def _at(root: dict[str, Any], where: Sequence[str], optional: bool = False) -> Any:
    """What lies there; None where an `optional` key is missing."""
    node: Any = root
    for part in where:
        if optional and isinstance(node, dict) and part not in node:
            return None
        if not isinstance(node, dict) or part not in node:
            raise _Beyond  # a list, a link on the way, or a missing key: OmegaConf tells them apart
        node = node[part]
    if node == MISSING:
        raise _Beyond
    return node


def _by_omegaconf(tree: dict[str, Any]) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for text in _texts(tree):
        _refuse_impure(text)
    try:
        plain = OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except (OmegaConfBaseException, RecursionError, ValueError, TypeError) as error:
        raise Refusal(f"An interpolation of the config has no value: {first_line(error)}.") from error
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}


def _refuse_impure(text: str) -> None:
    """Refuse every resolver that is not pure, the name of which may itself be made by an interpolation."""
    while (inner := _INNERMOST.search(text)) is not None:
        name, colon, _ = inner[1].partition(":")
        if colon and name.strip() not in _PURE:
            raise Refusal(f"{inner[0]} is not resolved: a value comes from the config itself only.")
        text = f"{text[: inner.start()]}@{text[inner.end() :]}"
    if "${" in text:
        raise Refusal("An interpolation of the config is not closed, or holds a brace: write ${key.key}.")


def _texts(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [text for item in inside for text in _texts(item)]


def first_line(error: BaseException) -> str:
    """The first line of a message: those below it in Hydra's advise `+`, which adds what nothing reads."""
    lines = str(error).splitlines() or [str(error.__cause__ or type(error).__name__)]
    return lines[0].strip().rstrip(".")

"""Resolves `${...}` in a plain tree as OmegaConf does: paths in about 0.1 ms, the rest through OmegaConf.

A config is resolved from itself alone: a resolver that reads the environment or the process is refused, so
that the same overrides always mean the same trial and no secret enters a row.
"""

import re
from collections.abc import Sequence
from typing import Any

from refusal import Refusal

_PATH = re.compile(r"\$\{(\.*)([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}", re.ASCII)
_SELECT = re.compile(r"\$\{oc\.select:\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*,\s*null\s*\}", re.ASCII)
"""what a key is where the other group has it; read here, since OmegaConf takes a hundred times as long"""
_INNERMOST = re.compile(r"\$\{([^${}]*)\}")
_PURE = {"oc.select", "oc.deprecated", "oc.dict.keys", "oc.dict.values"}
_DEPTH = 40
_WORTH = (str, dict, list)
"""what may hold an interpolation: all else is kept without a call for each"""


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
        return _selected(root, chosen[1].split("."), depth)
    whole = _PATH.fullmatch(text)
    if whole is not None:
        return _target(root, whole, path, depth)
    if "${" in _PATH.sub("", text):
        raise _Beyond
    return _PATH.sub(lambda link: str(_scalar(_target(root, link, path, depth))), text)


def _selected(root: dict[str, Any], where: Sequence[str], depth: int) -> Any:
    node: Any = root
    for part in where:
        if not isinstance(node, dict):
            raise _Beyond
        if part not in node:
            return None
        node = node[part]
    if node == "???":
        raise _Beyond
    return _node(root, node, tuple(where), depth + 1)


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
    start = path[: len(path) - dots] if dots else ()
    where = (*start, *link[2].split("."))
    node = _at(root, where)
    return _node(root, node, where, depth + 1)


def _at(root: dict[str, Any], where: Sequence[str]) -> Any:
    node: Any = root
    for part in where:
        if not isinstance(node, dict) or part not in node:
            raise _Beyond  # a list, a link on the way, or a missing key: OmegaConf tells them apart
        node = node[part]
    if node == "???":
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
        raise Refusal(f"An interpolation of the config has no value: {_first_line(error)}.") from error
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


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")

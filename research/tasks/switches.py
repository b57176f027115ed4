"""A true or false where a number, a text or a list belongs; Python would count true as 1."""

from collections.abc import Iterator, Mapping
from typing import Any

from refusal import Refusal

_OPEN = {
    ("memory", "mode"),  # on and off
    ("memory", "retrieval"),
    ("llm", "cache"),
    ("llm", "extra"),
    ("llm", "fallback"),
    ("proposer", "sources"),
}
"""keys of groups that take one, or that a constructor of anybody's own reads"""
_FREE = ("literature", "domain", "store")
"""groups whose own code judges them"""


def refuse_switches(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Raise `Refusal` for a true or false at a key that takes none, as `sprint.count=true`.

    `usual` are the keys of agent.yaml: one takes true or false where that is its usual value.
    """
    for path in _switched(config):
        key = ".".join(path)
        default = _usual(usual, path)
        if path[0] in _FREE or isinstance(default, bool) or path[:2] in _OPEN:
            continue
        known = f", usually {default}" if isinstance(default, int | float | str) else ""
        raise Refusal(f"{key} takes no true or false{known}: python agent.py --help says what it takes.")


def _switched(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each true and false; one in a list counts as the list's."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _switched(value, (*path, str(key)))
    elif isinstance(node, list | tuple):
        if any(isinstance(one, bool) for one in node):
            yield path
    elif isinstance(node, bool):
        yield path


def _usual(usual: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        usual = usual.get(key) if isinstance(usual, Mapping) else None
    return usual

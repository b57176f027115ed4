"""The vocabulary that a campaign's proposers get: without what its fixed overrides make impossible."""

from collections.abc import Sequence
from typing import Any

from research.space.gate import Space

_QUESTION = ("data",)
"""groups that are the question and no answer"""


def narrowed(space: Space, fixed: Sequence[str]) -> dict[str, Any]:
    """The space's vocabulary under `fixed` overrides, with defaults as the control has them.

    Options and values that the gate refuses by themselves are left out: a language model's network on images,
    half precision without a GPU. Raises `Refusal` when the fixed overrides do not compose.
    """
    vocabulary = space.vocabulary()
    control = space.resolve(fixed)
    for group in _QUESTION:
        vocabulary["groups"].pop(group, None)
    for group, entry in vocabulary["groups"].items():
        options = entry["options"].items()
        kept = {option: card for option, card in options if _taken(space, f"{group}={option}", fixed)}
        entry["options"] = kept or entry["options"]
    for key, entry in vocabulary["keys"].items():
        if entry["group"] is None:
            entry |= _narrowed(space, key, entry, fixed) | {"default": _at(control, key)}
    given = {key: entry | {"default": _at(control, key)} for key, entry in vocabulary["given"].items()}
    return vocabulary | {"given": given}


def _narrowed(space: Space, key: str, entry: dict[str, Any], fixed: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if entry["nullable"]:
        found["nullable"] = _taken(space, f"{key}=null", fixed)
    if entry["type"] == "enum":
        found["of"] = [value for value in entry["of"] if _taken(space, f"{key}={value}", fixed)]
    return found


def _taken(space: Space, override: str, fixed: Sequence[str]) -> bool:
    return not space.check([override], lambda configs: None, given=fixed)


def _at(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config

"""Objects from a config: what the lab defines is called directly, the rest by Hydra under its rules.

Both wings use it: a training builds its parts, research finds the sources that a config names.
"""

import copy
import functools
import importlib
import re
from collections.abc import Callable
from typing import Any

from refusal import Refusal

RENAMED = {
    "models.budget": "models.training.budget",
    "models.callbacks": "models.training.callbacks",
    "models.callbacks.halving.Halving": "models.training.callbacks.halving.HalvingStop",
    "models.energy.Meter": "models.energy.meter.Meter",
    "models.loggers": "models.training.loggers",
    "models.losses": "models.training.objective",
    "models.trainer": "models.training.settings",
    "models.training.callbacks.halving.Halving": "models.training.callbacks.halving.HalvingStop",
    "models.training.losses": "models.training.objective",
    "research.episodes": "research.memory",
    "research.proposers": "research.propose",
    "research.proposers.cmaes": "research.propose.sampler",
    "research.proposers.gp": "research.propose.sampler",
    "research.proposers.llm": "research.propose.model",
    "research.proposers.tpe": "research.propose.sampler",
}
"""modules and names of the lab as rows and people's own options may still call them -> as they are now"""
_OURS = ("models", "torch.optim")
_SAID = {"_target_", "_partial_", "_recursive_", "_args_"}
"""what a node says of its call; any other `_word_` is left to Hydra"""
_MISSING = re.compile(r"Error locating target '([^']*)'")


def renamed(node: Any) -> Any:
    """A plain config whose targets are called as they are now; the longest old name counts."""
    if isinstance(node, list):
        return [renamed(item) for item in node]
    if not isinstance(node, dict):
        return node
    now = {key: renamed(value) for key, value in node.items()}
    return now | {"_target_": _now(now["_target_"])} if isinstance(now.get("_target_"), str) else now


def _now(target: str) -> str:
    ends = [old for old in RENAMED if f"{target}.".startswith(f"{old}.")]
    old = max(ends, key=len, default="")
    return RENAMED[old] + target.removeprefix(old) if old else target


def build(node: Any, *, recursive: bool = True) -> Any:
    """`hydra.utils.instantiate` with `_convert_=all`, of plain values: 13 instead of 48 ms, data loaded.

    Hydra makes a config of its own of each group, several times over. Here only a target that `models/` or
    torch.optim does not define is handed to it: so its list of what may not be called holds as before.
    What a target raises comes out as it is where it is called directly, and a `Refusal` in any case.
    """
    if isinstance(node, list):
        return [build(item, recursive=recursive) for item in node]
    if not isinstance(node, dict):
        return node
    recursive = node.get("_recursive_", recursive)
    if "_target_" not in node:
        return {key: build(value, recursive=recursive) for key, value in node.items()}
    target = _ours(node["_target_"]) if _plain(node) else None
    if target is None:
        return _by_hydra(renamed(node), recursive)
    # A target may change what it is given; the config is still to be written down.
    made = build if recursive else copy.deepcopy
    own = {key: made(value) for key, value in node.items() if key not in _SAID}
    args = [made(value) for value in node.get("_args_", ())]
    return functools.partial(target, *args, **own) if node.get("_partial_") else target(*args, **own)


def _plain(node: dict[str, Any]) -> bool:
    """Whether a node says nothing that only Hydra knows."""
    said = {key for key in node if isinstance(key, str) and key.startswith("_") and key.endswith("_")}
    return said <= _SAID and isinstance(node["_target_"], str)


def _ours(name: str) -> Callable[..., Any] | None:
    """What a dotted name is; None where it is not ours, or where Hydra can tell better what is wrong."""
    module, _, last = _now(name).rpartition(".")
    if not _within(module):
        return None
    try:
        found = getattr(importlib.import_module(module), last, None)
    except ImportError:
        return None
    # What one of our modules has only imported may be anything, such as a way to the shell.
    return found if callable(found) and _within(str(getattr(found, "__module__", ""))) else None


def _within(module: str) -> bool:
    return any(module == own or module.startswith(f"{own}.") for own in _OURS)


def _by_hydra(node: dict[str, Any], recursive: bool) -> Any:
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        built = instantiate(node, _convert_="all", _recursive_=recursive)
    except InstantiationException as error:
        missing = _MISSING.match(str(error))
        if missing and _within(missing[1]):
            raise Refusal(
                f"This version of the lab has no {missing[1]}: choose an option of its group anew, as "
                "loss=cross_entropy; what another version has stored cannot be built."
            ) from error
        raise error.__cause__ if isinstance(error.__cause__, Refusal) else error from None
    if not node.get("_partial_"):
        return built
    # Hydra's own partial looks at its target again in each call: a millisecond of every training step.
    return functools.partial(built.func, *built.args, **built.keywords)

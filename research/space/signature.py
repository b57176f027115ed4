"""The identity of a configuration: a hash of what can change its result, and of nothing else."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

INERT = (
    "logger",
    "store",
    "meter",
    "launcher",
    "runner",
    "root",
    "name",
    "tags",
    "score",
    "force",
    "unmeasured",
    "dry_run",
    "question",
    "study",
    "hydra",
    "data.path",
    "data.cache",
    "data.memory_bytes",
    "data.workers",
    "data.drawn",
    "budget.ceilings",
    "callbacks.checkpoint",
    "callbacks.halving",
    "trainer.steps_per_call",
)
"""keys of the lab's own config that cannot change what is learnt; a path's content has its own digest"""
_BY_THE_CLOCK = {
    "callbacks.checkpoint": (),
    "trainer.steps_per_call": (),
    "launcher": ("launcher.timeout_s", "launcher.stall_s", "launcher.disk_floor_gib"),
}
"""what decides how many steps a budget of seconds or joules holds -> what of it does not"""
_BY_JOULES = {
    "meter": tuple(
        f"meter.{name}"
        for name in ("country", "grid_g_per_kwh", "min_window_s", "concurrent", "concurrent_gpu")
    )
}
"""the same of joules: a meter says how many there were"""
_ORDERED = ("compress", "callbacks")
"""groups whose options act in the order in which they were chosen; none is the same as no such group"""
_MAPPINGS = (dict, Mapping)
"""the concrete one first: to ask an abstract one costs ten times as much"""
_SAME = frozenset({str, int, bool, type(None)})
"""what stands for itself: most of a config, without a call for each"""


def signature(
    config: Mapping[str, Any], inert: Iterable[str] = INERT, idle: Iterable[str] | None = None
) -> str:
    """sha256 of the canonical JSON of a resolved config, seed included, without its inert and idle keys.

    `inert` keys never change what is learnt, `idle` ones do not with the other values of this config; None
    are those that the lab's own space file names. It says whether there is a `ckpt_path`: which one is in the
    digest of the data. `backend` is left out where nothing compresses the network: it makes no code then.
    Under a budget of seconds or joules the result depends on how fast the machine is. Its kind is in the key
    beside the signature, and the signature holds what a config has to say of it: threads and trials at a
    time, how often checkpoints are written, steps between two looks at the clock, and the meter of joules.
    The order of keys does not matter, but for the steps of a compression and for callbacks: pruned and then
    quantized is not quantized and then pruned.
    """
    if idle is None:
        from research.space.knobs import own  # which reads INERT from here

        idle = own().idle(config)
    acts = _without(acting(config, inert), idle)
    if acts.pop("ckpt_path", None) is not None:
        acts["ckpt_path"] = True
    canonical = _canonical(_in_order(acts))
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def steps_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a config's `compress` by name, in their order, without what is set for all of them."""
    steps = config.get("compress") or {}
    return {name: step for name, step in steps.items() if isinstance(step, Mapping)}


def acting(config: Mapping[str, Any], inert: Iterable[str] = INERT) -> dict[str, Any]:
    """The config without its inert keys, under its kind of budget."""
    return _without(dict(config), _inert(config, inert))


def _inert(config: Mapping[str, Any], inert: Iterable[str]) -> Iterator[str]:
    budget = config.get("budget") or {}
    joules = budget.get("joules") is not None
    acts = _BY_THE_CLOCK if joules or budget.get("seconds") is not None else {}
    acts = acts | _BY_JOULES if joules else acts
    if not steps_of(config):
        yield "backend"  # which makes no code then
    for key in inert:
        yield from acts.get(key, (key,))


def _without(config: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    for key in keys:
        first, _, rest = key.partition(".")
        if not rest:
            config.pop(first, None)
        elif isinstance(config.get(first), dict):
            config[first] = _without(dict(config[first]), [rest])
    return config


def _in_order(config: dict[str, Any]) -> dict[str, Any]:
    """Ordered groups as lists of their pairs, empty ones left out."""
    for group in _ORDERED:
        steps = config.pop(group, None)
        if isinstance(steps, Mapping):
            # A key that nobody has set is as none.
            steps = [(name, step) for name, step in steps.items() if step is not None]
        if steps:
            config[group] = steps
    return config


def _canonical(node: Any) -> Any:
    """The same tree for the same experiment: a whole float is the integer, so 0 and 0.0 are one trial."""
    if isinstance(node, _MAPPINGS):
        return {str(key): value if type(value) in _SAME else _canonical(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_canonical(value) for value in node]
    return int(node) if isinstance(node, float) and node.is_integer() and abs(node) < 2**53 else node

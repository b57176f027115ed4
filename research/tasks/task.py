"""The tasks, which are the files of conf/task: what each does, how it is typed, and which keys it takes.

`/part/...` in a file's defaults list are keys that several tasks share. There is no other list of tasks.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, final, get_args, get_origin

from refusal import Refusal
from research.compose.compose import Composer
from research.compose.defaults import Files
from research.compose.override import override

if TYPE_CHECKING:
    from research.campaign.campaign import Campaign
    from research.tasks.answer import Answer

USUAL = "research"
FEW = 4
"""a part of more keys than this is told by its name"""
NO_KEYS = ("task", "hydra")
"""what a file has beside keys"""
PERHAPS = ", perhaps "
_SPOKEN = {"recipe": "experiment"}
"""keys that are typed by another name"""
_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    list: "list",
    dict: "mapping",
}
_SWITCHED = {
    ("memory", "mode"),  # on and off
    ("memory", "retrieval"),
    ("llm", "cache"),
    ("llm", "extra"),
    ("llm", "fallback"),
    ("proposer", "sources"),
}
"""keys of groups that take true or false, or that a constructor of anybody's own reads"""
_NULL = ("ladder", "screen.stop")
"""keys that are left out as a whole by null"""
_LARGEST = 2**53
"""from there on a number that is typed as 1e16 is not exact any more"""
_FREE = ("literature", "domain", "store")
"""groups whose own code judges them"""


@final
@dataclass(frozen=True)
class Task:
    """One file of conf/task. `files` are it and those that it shares keys with: name -> keys and groups."""

    name: str
    about: str
    examples: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]

    @property
    def own(self) -> tuple[str, ...]:
        """The keys that its own file has."""
        return self.files[f"task/{self.name}"]

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys and groups of the top level that this task takes."""
        return tuple(key for keys in self.files.values() for key in keys)

    def told(self) -> str:
        """The keys that not every task has, in words."""
        parts = {name: keys for name, keys in self.files.items() if name.startswith("part/")}
        large = next((name for name, keys in parts.items() if len(keys) > FEW), None)
        shown = [*self.own, *(() if large else (key for keys in parts.values() for key in keys))]
        beside = f", beside those of a {large.removeprefix('part/')}" if large else ""
        return f"its own key{'s are' if len(shown) > 1 else ' is'} {listed(spoken(shown))}{beside}"


@lru_cache(maxsize=4)
def composer(conf: Path, root: str = "agent") -> Composer:
    """The files of a folder, read once: each method of a notebook's lab composes anew."""
    return Composer(conf, root)


def tasks(files: Files) -> dict[str, Task]:
    """Every task by its name: the listing of conf/task."""
    return {name: task(files, name) for name in files.options("task")}


def task(files: Files, name: str) -> Task:
    """One task by its file."""
    file = files.load(f"task/{name}")
    examples = file.content["task"]["examples"]
    return Task(name, file.card, tuple(examples), _reached(files, "agent") | _reached(files, f"task/{name}"))


def _reached(files: Files, name: str) -> dict[str, tuple[str, ...]]:
    """The keys and groups of a file, and of each that its defaults list names."""
    entries = files.entries(name)
    groups = [entry.group for entry in entries if entry.group and not entry.override]
    keys = {name: (*(key for key in files.load(name).content if key not in NO_KEYS), *groups)}
    for entry in entries:
        keys |= _reached(files, entry.name) if entry.name else {}
    return keys


def usual(files: Files, name: str) -> dict[str, Any]:
    """The values that the files of a task give its keys; those of groups depend on what is chosen."""
    contents = [files.load(file).content for file in task(files, name).files]
    return {key: value for some in contents for key, value in some.items() if key not in NO_KEYS}


def taken(typed: Sequence[str], name: str, conf: Path) -> list[str]:
    """Those of the overrides whose key the task takes."""
    keys = task(composer(conf).files, name).keys
    return [text for text in typed if top_of(text) in keys]


def named_tasks(typed: Sequence[str]) -> list[str]:
    """What is typed after `task=`, each time that it is."""
    return [given.value for given in map(override, typed) if given.key == "task" and given.value is not None]


def typed_plainly(text: str) -> bool:
    """Whether a word sets a key that has to exist; flags, `+key` and `~key` are Hydra's to judge."""
    return re.match(r"[A-Za-z_][\w.]*=", text) is not None and not text.startswith("hydra.")


def key_of(text: str) -> str:
    """The key that an override sets."""
    return override(text).key


def top_of(text: str) -> str:
    """The key of the top level that an override sets; `experiment` is typed for `recipe`."""
    top = key_of(text).partition(".")[0]
    return next((key for key, spoken in _SPOKEN.items() if spoken == top), top)


def unknown(name: str, known: Mapping[str, Task]) -> Refusal:
    """What to say of a task that there is not."""
    nearest = near(name, list(known))
    return Refusal(f"task={name[:60]} is unknown{nearest}: choose one of {', '.join(known)}.")


def spoken(keys: Sequence[str]) -> list[str]:
    """Keys as they are typed."""
    return [_SPOKEN.get(key, key) for key in keys]


def near(word: str, known: Sequence[str]) -> str:
    """`, perhaps WORD` of what is known, where one is like it."""
    from difflib import get_close_matches

    nearest = get_close_matches(word, known, 1)
    return f"{PERHAPS}{nearest[0]}" if nearest else ""


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def perform(campaign: "Campaign") -> "Answer":
    """Do the task of the configuration. Raises `Refusal` for a value of another kind than its key takes."""
    from research.campaign.campaign import CONF

    asked = campaign.config["task"]
    known = usual(composer(CONF).files, asked["name"])
    refuse_switches(campaign.config, known)
    refuse_large(campaign.config, known)
    refuse_flat(campaign.config, known)
    module, _, name = asked["does"].partition(":")
    function = getattr(import_module(module), name)
    answer: Answer = function(campaign, **_given(function, campaign.config))
    return answer


def _given(function: Callable[..., Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that a task's function names, of the kinds that it names."""
    _, *wanted = signature(function).parameters.values()
    return {key.name: _fitted(key.name, config[key.name], key.annotation) for key in wanted}


def _fitted(key: str, value: Any, annotation: Any) -> Any:
    kinds = [get_origin(kind) or kind for kind in kinds_of(annotation)]
    if type(value) in kinds:
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (float in kinds or str in kinds):
        return float(value) if float in kinds else str(value)
    if int in kinds and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e2 is how some write 100
    shown = "null" if value is None else str(value)[:60]
    if bool in kinds:  # `yes=no` is a text to Hydra, and every text would be taken for true
        raise Refusal(f"{key}={shown} is neither yes nor no: write {key}=true or {key}=false.")
    kind = next(_KINDS[kind] for kind in kinds if kind is not NoneType)
    raise Refusal(f"{key}={shown} is no {kind}: python agent.py --help says what a task takes.")


def refuse_large(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Raise `Refusal` for a number that nothing could count to, as `limit=1e20`: no database holds it."""
    for path, value in _scalars(config):
        if not isinstance(value, int | float):
            continue
        default = _at(usual, path)
        whole = isinstance(value, int) or isinstance(default, int)
        if whole and math.isfinite(value) and abs(value) > _LARGEST:
            raise Refusal(
                f"{'.'.join(path)}={value:.6g} is larger than anything that is counted here: write a whole "
                f"number{f', usually {default}' if isinstance(default, int) else ''}, or leave it out."
            )


def _scalars(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value with its path; one in a list counts as the list's."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _scalars(value, (*path, str(key)))
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _scalars(item, path)
    else:
        yield path, node


def kinds_of(annotation: Any) -> tuple[Any, ...]:
    """The kinds that an annotation allows: `int | None` is int and None."""
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


def refuse_switches(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Raise `Refusal` for a true or false where the `usual` value is neither, as `sprint.count=true`."""
    for path in dict.fromkeys(path for path, value in _scalars(config) if isinstance(value, bool)):
        key = ".".join(path)
        default = _at(usual, path)
        if path[0] in _FREE or isinstance(default, bool) or path[:2] in _SWITCHED:
            continue
        known = f", usually {default}" if isinstance(default, int | float | str) else ""
        raise Refusal(f"{key} takes no true or false{known}: python agent.py --help says what it takes.")


def refuse_flat(config: Mapping[str, Any], usual: Mapping[str, Any], before: str = "") -> None:
    """Raise `Refusal` for a value where keys belong, as `objective=3`, and for a key that `~key` removed."""
    for key, keys in usual.items():
        path, value = f"{before}{key}", config.get(key)
        if key not in config:
            raise Refusal(f"~{path} takes away what the task needs: leave it out.")
        if not isinstance(keys, Mapping) or not keys or (value is None and path in _NULL):
            continue
        if not isinstance(value, Mapping):
            first = next(iter(keys))
            raise Refusal(f"{path} takes {listed(list(keys))}: write {path}.{first}=VALUE.")
        refuse_flat(value, keys, f"{path}.")


def _at(node: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node

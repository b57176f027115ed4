"""Objects from a config: only of targets that an option names, whatever the config was read from.

Both wings use it: a training builds its parts, research finds the sources that a config names. A config may
come from a row of a database that others can write to, so its targets are names on a list, not code: those
that the files of `conf/` and a person's own folder of options name, and those that the person typed. What the
lab defines is called directly, the rest by Hydra under its rules.
"""

import copy
import functools
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import filterfalse
from pathlib import Path
from typing import Any

from refusal import Refusal

RENAMED = {
    "models.budget": "models.training.budget",
    "models.callbacks": "models.training.callbacks",
    "models.energy.Meter": "models.energy.meter.Meter",
    "models.loggers": "models.training.loggers",
    "models.losses": "models.training.objective",
    "models.trainer": "models.training.settings",
    "models.training.callbacks.halving.Halving": "models.training.callbacks.halving.HalvingStop",
    "models.training.losses": "models.training.objective",
    "research.episodes": "research.memory",
    **{f"research.propose.{old}": "research.propose.direct" for old in ("neighbour", "pattern", "random")},
    "research.propose.recipes": "research.propose.portfolio",
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
_BEGINS = ("weights", "freeze", "lora")
"""keys of a network that are no argument of its constructor, but how it begins (`models/own/beginning.py`)"""
_MISSING = re.compile(r"Error locating target '([^']*)'")
_CONF = Path(__file__).resolve().parent / "conf"
_WRITTEN = re.compile(r"_target_[\"']?\s*[:=]\s*[\"']?([^\W\d][\w.]*)")
"""a target in YAML, or in an override"""
_BROUGHT = re.compile(r"\btarget[\"']?\s*[:=]\s*[\"']?([^\W\d]\w*(?:\.\w+)+)")
"""the same of what a person brings: model.target=nets.Tiny"""
_COMMENT = re.compile(r"(?m)^\s*#.*$")
_FINDERS = "hydra.utils.get_"
_OWN = "models.own."
"""what makes something of what a person has named as its `target`"""
_trusted: set[str] = set()
"""beside those of `conf/`: of this command's own options and of what was typed, as they are called now"""


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
    return _now(RENAMED[old] + target.removeprefix(old)) if old else target


def targets(node: Any) -> Iterator[Any]:
    """Every `_target_` in a plain config, in its order, of whatever type it is.

    What `hydra.utils.get_method` and its like are to find by its name is one as well, and so is the `target`
    of what a person brings (`models/own`).
    """
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
            if str(node["_target_"]).startswith(_FINDERS):
                yield from _texts([value for key, value in node.items() if key != "_target_"])
            if str(node["_target_"]).startswith(_OWN) and "target" in node:
                yield node["target"]
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from targets(item)


def trust(config: Any, typed: Iterable[str] = ()) -> None:
    """Let everything be called that a config names which was composed of files and a command line.

    `typed` are that command line's overrides, which may hold others, as `base=[optimizer._target_=mine.Sgd]`.
    Never to be given what was read from a database.
    """
    _trusted.update(_now(name) for name in targets(config) if isinstance(name, str))
    _trusted.update(_now(name) for text in typed for name in _written(text))


def trust_composed(config: Any, hydra: Any) -> None:
    """`trust` for what Hydra has composed, with all that its folders of options name (`--config-dir`)."""
    trust(config, hydra.overrides.task)
    for _, folder in _folders(hydra):
        trust_folder(folder)


def trust_folder(folder: Path) -> None:
    """Let everything be called that the options in a folder of the person's name."""
    _trusted.update(_named_in(folder))


def own_folder(hydra: Any) -> str | None:
    """The folder of options that was typed as `--config-dir`."""
    return next((str(folder) for provider, folder in _folders(hydra) if provider == "command-line"), None)


def _folders(hydra: Any) -> list[tuple[str, Path]]:
    sources = hydra.runtime.config_sources
    return [
        (source.provider, Path(str(source.path)))
        for source in sources
        if source.schema == "file" and source.provider not in ("hydra", "schema")
    ]


def trusted() -> list[str]:
    """What `trust` was told, for a process that builds what this one was asked for."""
    return sorted(_trusted)


def is_trusted(target: Any) -> bool:
    """Whether a target may be called: it is on the list, letter by letter."""
    if not isinstance(target, str) or "." not in target:
        return False
    name = _now(target)
    # Read anew before it is refused: an option may have been written since.
    return name in _trusted or name in own() or name in _named_in(_CONF)


@functools.cache
def own() -> frozenset[str]:
    """What the options of `conf/` name, and the teacher of a distillation, which a run is given; 5 ms."""
    return _named_in(_CONF) | {"models.compress.teacher.load"}


def look_here() -> None:
    """Have Python look for modules in the folder where the command was typed too, after all other places."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def refuse_untrusted(config: Any) -> None:
    """Raise `Refusal` for the first target in a config, however deep, that may not be called."""
    # The first is enough: all of conf/ is read anew for each that is not on the list.
    name: Any = next(filterfalse(is_trusted, targets(config)), ...)
    if name is ...:
        return
    if not isinstance(name, str) or "." not in name:
        raise Refusal(f"_target_={name!a:.80} names nothing: write module.name, as torch.optim.Adam.")
    if _now(name).startswith("models."):
        raise Refusal(
            f"This version of the lab has no {_now(name)!a:.80} among its options: choose an option of its "
            "group anew, as loss=cross_entropy; what another version has stored cannot be built."
        )
    raise Refusal(
        f"{name!a:.80} is not called, for no option of conf/ names it: if you mean it, name it in an option "
        "of your own and give its folder by --config-dir=FOLDER, or type it as model.target=NAME."
    )


def called(target: Any) -> Any:
    """What a target names, as `module.name`. Raises `Refusal` for what may not be called or is not there."""
    refuse_untrusted({"_target_": target})
    try:
        return pkgutil.resolve_name(_now(target))
    except Exception as error:
        # A module of a person's own may end in anything when it is imported.
        kind = "" if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: "
        first = _now(target).partition(".")[0]
        whose = f": {first} is the lab's own, so call yours otherwise" if _within(target) else ""
        looked = "" if whose else f", looked for in {Path.cwd()} and in what is installed"
        raise Refusal(
            f"{target} cannot be imported: {kind}{' '.join(str(error).split())}{whose}{looked}."
        ) from error


def _named_in(folder: Path) -> frozenset[str]:
    """What the options in a folder name; not its recipes, which the lab writes too, with a model's words."""
    files = [path for path in folder.rglob("*.yaml") if "experiment" not in path.relative_to(folder).parts]
    texts = (_COMMENT.sub("", path.read_text("utf-8", "replace")) for path in files)
    return frozenset(_now(name) for text in texts for name in _written(text))


def _written(text: str) -> list[str]:
    return [*_WRITTEN.findall(text), *_BROUGHT.findall(text)]


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _texts(item)


def build(node: Any, *, recursive: bool = True) -> Any:
    """`hydra.utils.instantiate` with `_convert_=all`, of plain values: 13 instead of 48 ms, data loaded.

    Hydra makes a config of its own of each group, several times over. Here only a target that `models/` or
    torch.optim does not define is handed to it: so its list of what may not be called holds as before.
    What a target raises comes out as it is where it is called directly, and a `Refusal` in any case.

    Raises:
        Refusal: before anything is called or imported, for a target that is not on the list.
    """
    refuse_untrusted(node)
    return _built(node, recursive)


def beginning(model: Mapping[str, Any]) -> dict[str, Any]:
    """How the network of a `model` group begins; a config of before such keys has none of them."""
    return {key: model[key] for key in _BEGINS if key in model}


def _built(node: Any, recursive: bool) -> Any:
    if isinstance(node, list):
        return [_built(item, recursive) for item in node]
    if not isinstance(node, dict):
        return node
    if len(beginning(node)) == len(_BEGINS):
        node = {key: value for key, value in node.items() if key not in _BEGINS}
    recursive = node.get("_recursive_", recursive)
    if "_target_" not in node:
        return {key: _built(value, recursive) for key, value in node.items()}
    target = _ours(node["_target_"]) if _plain(node) else None
    if target is None:
        return _by_hydra(renamed(node), recursive)
    # A target may change what it is given; the config is still to be written down.
    made: Callable[[Any], Any] = functools.partial(_built, recursive=True) if recursive else copy.deepcopy
    own = {key: made(value) for key, value in node.items() if key not in _SAID}
    if str(node["_target_"]).startswith(_OWN) and isinstance(own.get("target"), str):
        own["target"] = called(own["target"])
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

    # Hydra would look it up, in the environment for one.
    if any("${" in text for text in _texts(node)):
        raise Refusal(f"A text with ${{ cannot be handed to {node['_target_']}: write the value itself.")
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

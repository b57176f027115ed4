"""Resolves overrides to a plain config, equal to Hydra's own compose and a hundred times faster.

Choices of options are merged from files that were read once; values are set on a copy. What the fast path
does not know (`+key=`, `~key`, `group@package=`, dicts as values, unusual defaults lists) Hydra composes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final

from reading.learnt import found
from refusal import Refusal
from research.compose.defaults import Choice, Composed, Files, Walk, several, unchosen
from research.compose.override import Odd, is_open, override, read, spelt
from research.compose.trees import MISSING, Unusual, copied, first_line, missing, resolved, unspaced

_REMEMBERED = 4096
"""texts that were read"""
_COMBINED = 1024
"""combinations of options, of about 20 kB each"""


@final
@dataclass(frozen=True, slots=True)
class Resolved:
    """One resolved configuration, and the option chosen in each group."""

    config: dict[str, Any]
    choices: Mapping[str, Choice]


@final
class Composer:
    """The configs of one folder, composed from one root file, with a person's `own` folder of options."""

    def __init__(self, folder: Path, root: str, own: str | Path | None = None) -> None:
        self.files = Files(folder, own)
        if root not in self.files.names:
            raise Refusal(f"There is no {folder / root}.yaml: name the root config of {folder}.")
        self.root = root
        self.groups = self.files.groups()
        self._composed: dict[tuple[tuple[str, Choice], ...], Composed] = {}
        self._sketched: dict[tuple[str, ...], Resolved] = {}
        self.chosen = frozenset(self.composed({}).choices)

    def resolve(self, overrides: Iterable[str]) -> Resolved:
        """The plain config of overrides without sweeps. Raises `Refusal` with what to type instead."""
        typed = list(overrides)
        try:
            return self._point([_setting(text, self.groups, self.chosen) for text in typed])
        except Unusual:
            return _point(compose(self.files, self.root, typed))

    def sketch(self, overrides: Iterable[str] = ()) -> Resolved:
        """The config of options alone, with null for what nobody has set yet; it is not to be changed.

        Raises `Refusal` for an option that does not exist, and for a group that these options do not have.
        """
        typed = tuple(overrides)
        if typed not in self._sketched:
            if len(self._sketched) >= _COMBINED:
                self._sketched.clear()
            settings = [_setting(text, self.groups, self.chosen) for text in typed]
            composed = self.composed({key: _option(key, value) for key, value in settings})
            tree = _filled(composed.tree) if composed.missing else composed.tree
            self._sketched[typed] = Resolved(resolved(tree), composed.choices)
        return self._sketched[typed]

    def refuse_misfit(self, text: str) -> None:
        """Raise `Refusal` for one override that gives a group, or a key with keys of its own, no such value.

        Hydra merges a list of options into one, and ends in errors of its own at the rest.
        """
        key, value, _ = override(text)
        usual, tree = self.composed({}), self.composed({}).tree
        if key in usual.choices:
            choices = [_option(key, value) for value in _values(text)]
            wrong = [choice for choice in choices if isinstance(choice, tuple) and len(choice) != 1]
            if wrong and not isinstance(usual.choices[key], tuple):
                raise several(key, wrong[0])
        elif isinstance(tree.get(key), dict) and not str(value).startswith("{"):
            if value == "null" and self.root != "train":
                return  # a campaign without a ladder
            raise _with_keys(key, tree[key])

    def refuse_added(self, text: str) -> None:
        """Raise `Refusal` for `+key=` that nothing reads."""
        name = re.split(r"[=./@]", text.lstrip("+"), maxsplit=1)[0]
        known = {"hydra", *self.composed({}).tree, *(group.partition("/")[0] for group in self.groups)}
        if text.startswith("+") and name not in known:
            raise Refusal(f"+{name[:60]} adds a key that nothing reads: --help lists every option and key.")

    def refuse_removed(self, text: str) -> None:
        """Raise `Refusal` for `~key` or `~group` that all of it needs."""
        key = text.removeprefix("~").partition("=")[0]
        if text.startswith("~") and key in {*self.composed({}).tree, *self.groups}:
            who = "trial" if self.root == "train" else "task"
            raise Refusal(f"~{key} takes away what the {who} needs: leave it out.")

    def _point(self, settings: Sequence[tuple[str, Any]]) -> Resolved:
        """The config of (key or group, value) pairs; raises `Unusual` where only Hydra knows."""
        choices = {key: _option(key, value) for key, value in settings if key in self.groups}
        composed = self.composed(choices)
        tree = composed.tree
        for key, value in settings:
            if key not in self.groups:
                if self.root == "train" and isinstance(tree.get(key), dict) and not isinstance(value, dict):
                    raise _with_keys(key, tree[key])
                tree = assigned(tree, key.split("."), value, key)
        asked = composed.missing or any(value == MISSING for _, value in settings)
        unset = [*unchosen(composed.choices), *missing(tree)] if asked else ()
        return _point(Composed(tree, composed.choices, tuple(unset)))

    def composed(self, choices: Mapping[str, Choice]) -> Composed:
        """The tree of a combination of options, before values and interpolations; not to be changed."""
        combination = tuple(sorted(choices.items(), key=lambda item: item[0]))
        if combination not in self._composed:
            if len(self._composed) >= _COMBINED:
                self._composed.clear()
            self._composed[combination] = self._compose(choices)
        return self._composed[combination]

    def _compose(self, choices: Mapping[str, Choice]) -> Composed:
        try:
            return Walk(self.files, dict(choices)).tree(self.root)
        except Unusual:
            typed = [f"{group}={named(choice)}" for group, choice in choices.items()]
            return compose(self.files, self.root, typed)


def _point(composed: Composed) -> Resolved:
    if composed.missing:
        keys = ", ".join(composed.missing)
        raise Refusal(f"{keys} must be set: type {composed.missing[0]}=VALUE.")
    config = resolved(composed.tree)
    learnt = found(config.get("data"))
    if learnt:
        config = resolved({**composed.tree, "data": {**composed.tree["data"], **learnt}})
    return Resolved(config, composed.choices)


def _filled(node: Any) -> Any:
    """A copy with None for every `???`."""
    if isinstance(node, dict):
        return {key: _filled(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value) for value in node]
    return None if node == MISSING else node


def assigned(tree: dict[str, Any], parts: Sequence[str], value: Any, key: str) -> dict[str, Any]:
    """`tree` with the value set at an existing key; shares with `tree` all that did not change."""
    first, *rest = parts
    if first not in tree and is_open(key) and key.count(".") + 1 - len(parts) > 1:
        return {**tree, first: assigned({}, rest, value, key) if rest else copied(value)}
    if first not in tree:
        raise Refusal(f"'{key}' is not a key of this configuration: see python train.py --cfg job.")
    old = tree[first]
    if not rest:
        if isinstance(value, dict) and not is_open(key):
            raise Unusual(f"a dict for {key}")
        merged = isinstance(value, dict) and isinstance(old, dict)
        return {**tree, first: {**old, **copied(value)} if merged else copied(value)}
    if isinstance(old, list | str):
        raise Unusual(f"{key} leads through a list or a link")
    if not isinstance(old, dict):
        raise Refusal(f"'{key}' is not a key of this configuration: {first} holds a value, not keys.")
    return {**tree, first: assigned(old, rest, value, key)}


def _with_keys(key: str, tree: Mapping[str, Any]) -> Refusal:
    return Refusal(f"{key} has keys of its own: write {key}.{next(iter(tree))}=VALUE.")


def holds(tree: Mapping[str, Any], key: str) -> bool:
    """Whether the dotted key exists in the tree."""
    node: Any = tree
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def at(tree: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key; `KeyError` where there is none."""
    node: Any = tree
    for part in key.split("."):
        if not isinstance(node, dict):
            raise KeyError(key)
        node = node[part]
    return node


@lru_cache(maxsize=_REMEMBERED)
def _setting(text: str, groups: frozenset[str], chosen: frozenset[str]) -> tuple[str, Any]:
    """The (key, value) that one override sets; raises `Unusual` for what only Hydra's compose does."""
    bare = text.strip(" ")
    if bare.startswith("+") and override(bare).key in chosen:
        text = bare[1:]  # `+experiment=x` means `experiment=x`, though Hydra refuses it
    if bare.startswith("++") and is_open(override(bare).key):
        text = bare[2:]
    try:
        assignment = read(text)
    except Odd:
        return _by_hydras_parser(text)
    if assignment.swept:
        raise Refusal(
            f"{text!a} is a sweep: add -m to run each of its values, or quote it to keep the comma."
        )
    key = assignment.key
    if key.startswith(("hydra.", "hydra/")) or ("/" in key and key not in groups):
        raise Unusual(text)
    return key, next(iter(assignment.each())).value


def _values(text: str) -> list[Any]:
    """The values of one override, none where only Hydra can tell them, as those of `glob(*)`."""
    try:
        return [value.value for value in read(text).each()]
    except Odd:
        return [{}] if str(override(text).value).startswith("{") else []


def _by_hydras_parser(text: str) -> tuple[str, Any]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import OverrideType
    from hydra.errors import HydraException

    try:
        (override,) = OverridesParser.create().parse_overrides([text])
    except (HydraException, ValueError, RecursionError) as error:
        raise Refusal(f"{text!a} is not an override: write key=value or group=option.") from error
    key = override.key_or_group
    if override.is_sweep_override():
        raise Refusal(f"{text!a} is a sweep: add -m to run each of its values.")
    plain = override.type is OverrideType.CHANGE and override.package is None
    dict_elsewhere = isinstance(override.value(), dict) and not is_open(key)
    if not plain or override.is_hydra_override() or dict_elsewhere:
        raise Unusual(text)
    return key, override.value()


def _option(group: str, value: Any) -> Choice:
    options = value if isinstance(value, list) else [value]
    if not all(isinstance(option, str) for option in options):
        raise Refusal(f"{group} takes the name of an option: {group}={spelt(value)} is none.")
    if any(MISSING in option or ".." in option for option in options):
        raise Refusal(f"{group} takes the name of an option: {group}={value!a} is a path or nothing.")
    return tuple(value) if isinstance(value, list) else str(value)


def named(choice: Choice) -> str:
    """The choice as it is typed after `group=`."""
    return f"[{','.join(choice)}]" if isinstance(choice, tuple) else str(choice)


def compose(files: Files, root: str, overrides: list[str]) -> Composed:
    """The unresolved plain config and the chosen options, in 75 to 400 ms. Raises `Refusal`."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.utils import JobRuntime
    from hydra.errors import HydraException
    from hydra.version import VersionBase
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    running, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    versions, job = VersionBase.instance(), JobRuntime.instance().get("name")
    before = versions.version_base
    base = "1.3" if running is None else str(before or "1.3")  # unset it is no version at all
    searched = [] if files.own is None else [f"hydra.searchpath=['file://{files.own.resolve()}']"]
    try:
        with initialize_config_dir(str(files.folder.resolve()), job_name=job, version_base=base):
            config = hydra_compose(root, [*searched, *overrides], return_hydra_config=True)
        tree: Any = OmegaConf.to_container(config)
    except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise Refusal(f"Hydra cannot compose {' '.join(overrides)}: {first_line(error)}.") from error
    finally:
        GlobalHydra.instance().hydra, versions.version_base = running, before
    choices = tree.pop("hydra")["runtime"]["choices"].items()
    tree = unspaced(tree)
    plain = {
        group: tuple(chosen) if isinstance(chosen, list) else chosen
        for group, chosen in choices
        if "hydra/" not in group
    }
    return Composed(tree, plain, tuple(missing(tree)))

"""Composes the files of a config folder as Hydra does, on plain dicts: about 0.2 ms where Hydra takes 100.

It covers the forms that a flat tree uses: `_self_`, `group: option`, `group: null`, `group: ???`,
`group: [a, b]`, `optional`, `override /group: option`, names of files, `# @package` headers. Any other form
raises `Unusual`, and the caller lets Hydra compose.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.compose.trees import MISSING, SPACE, Unusual, merged, missing, parsed, text_of

Choice = str | None | tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class File:
    """One YAML of the tree: its content without the defaults list, that list, its package and its card."""

    content: dict[str, Any]
    defaults: tuple[Any, ...]
    package: str | None
    card: str
    space: Any = None
    """what its option of a person's own says of the ranges of its arguments"""


@final
@dataclass(frozen=True, slots=True)
class Composed:
    """The tree before values and interpolations, the option chosen in each group, and what is still `???`."""

    tree: dict[str, Any]
    choices: dict[str, Choice]
    missing: tuple[str, ...]


@final
class Files:
    """The YAML files of one config folder, each read once; what appears later on disk is not seen.

    With the options of `own`, a folder of a person's. Raises `Refusal` for a folder that is not there, and
    for an own option that has the name of one of the others: Hydra would take that without a word.
    """

    def __init__(self, folder: Path, own: str | Path | None = None) -> None:
        if not folder.is_dir():
            raise Refusal(f"There is no config folder {folder}: give the path of conf/.")
        self.folder, self.own = folder, None if own is None else Path(own).expanduser().absolute()
        self._paths = _files(folder)
        self._theirs: frozenset[str] = frozenset()
        if self.own is not None:
            self._add(self.own)
        self.names = frozenset(self._paths)
        self._read: dict[str, File] = {}
        self._entries: dict[str, tuple[Entry, ...]] = {}

    def _add(self, own: Path) -> None:
        if not own.is_dir():
            raise Refusal(
                f"--config-dir={own} is no folder: give the one that holds your options, as model/."
            )
        theirs = {name: path for name, path in _files(own).items() if name != SPACE}
        if taken := sorted(theirs.keys() & self._paths.keys()):
            raise Refusal(f"{theirs[taken[0]]} has the name of an option that is there: call it otherwise.")
        self._paths |= theirs
        self._theirs = frozenset(theirs)

    def is_own(self, name: str) -> bool:
        """Whether a file is of the person's folder."""
        return name in self._theirs

    def path(self, name: str) -> Path:
        """Where the file of a name lies, `group/option`."""
        return self._paths.get(name, self.folder / f"{name}.yaml")

    def groups(self) -> frozenset[str]:
        """Names of all groups, nested ones as `a/b`."""
        return frozenset(group for name in self.names for group in _parents(name))

    def options(self, group: str) -> tuple[str, ...]:
        """The options of a group: the listing of its folder, sorted."""
        prefix = group + "/"
        inside = (name.removeprefix(prefix) for name in self.names if name.startswith(prefix))
        return tuple(sorted(name for name in inside if "/" not in name))

    def load(self, name: str) -> File:
        """One file by its name, `group/option`. Raises `Refusal` when it is not YAML of keys and values."""
        if name not in self._read:
            self._read[name] = self._load(name)
        return self._read[name]

    def entries(self, name: str) -> "tuple[Entry, ...]":
        """The defaults list of one file, `_self_` last where it does not say. Raises `Unusual`."""
        if name not in self._entries:
            folder = name.rpartition("/")[0]
            read = [_entry(item, folder) for item in self.load(name).defaults]
            entries = [entry for entry in read if not entry.group.startswith("hydra/")]  # they shape no tree
            own = [] if any(entry.is_self for entry in entries) else [_SELF]
            self._entries[name] = (*entries, *own)
        return self._entries[name]

    def _load(self, name: str) -> File:
        path = self.path(name)
        text = text_of(path)
        content = parsed(text, path)
        space = content.pop(SPACE, None) if self.is_own(name) else None
        return File(content, tuple(content.pop("defaults", None) or ()), _package(text), card(text), space)


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}


@final
@dataclass(slots=True)
class Walk:
    """One composition: which choices were made, by whom, and the files in the order of merging."""

    files: Files
    wanted: dict[str, Choice]
    made: dict[str, Choice] = field(default_factory=dict)

    def tree(self, root: str) -> Composed:
        """Merge everything that `root` names. Raises `Unusual`, and `Refusal` for an unknown option."""
        parts = self._expand(root, "")
        unused = self.wanted.keys() - self.made.keys()
        if unused:
            raise Refusal(f"'{min(unused)}' is not a group of {root}.yaml with these options: leave it out.")
        tree: dict[str, Any] = {}
        for package, content in parts:
            tree = merged(tree, _embedded(content, package))
        tree.pop("hydra", None)
        return Composed(tree, self.made, (*unchosen(self.made), *missing(tree)))

    def _expand(self, name: str, package: str) -> list[tuple[str, dict[str, Any]]]:
        """Files of `name` in the order of merging; later entries are visited first, since they override."""
        file = self.files.load(name)
        own = (package, file.content)
        if not file.defaults:
            return [own]
        entries = self.files.entries(name)
        for entry in entries:
            if entry.override:
                self.wanted.setdefault(entry.group, entry.choice)
        listed = [entry for entry in reversed(entries) if not entry.override]
        parts = [[own] if entry.is_self else self._child(entry, package) for entry in listed]
        return [part for some in reversed(parts) for part in some]

    def _child(self, entry: "Entry", package: str) -> list[tuple[str, dict[str, Any]]]:
        names: tuple[str, ...] = (entry.name,)
        if entry.group:
            names = self._options(entry)
        parts = []
        for name in reversed(names):
            if name not in self.files.names:
                if entry.optional:
                    continue
                raise Refusal(self._unknown(entry, name))
            parts.append(self._placed(name, entry, package))
        return [part for some in reversed(parts) for part in some]

    def _placed(self, name: str, entry: "Entry", package: str) -> list[tuple[str, dict[str, Any]]]:
        header = self.files.load(name).package
        inner = ".".join(filter(None, (package, entry.relative.replace("/", "."))))
        if header is not None:
            inner = header
        elif entry.group and inner != entry.group.replace("/", "."):
            raise Unusual(f"{name} lands in the package {inner}")
        return self._expand(name, inner)

    def _options(self, entry: "Entry") -> tuple[str, ...]:
        if entry.group in self.made:
            raise Unusual(f"{entry.group} is in the defaults list twice")
        choice = self.wanted.get(entry.group, entry.choice)
        self.made[entry.group] = choice
        chosen = choice if isinstance(choice, tuple) else (choice,)
        if len(chosen) != 1 and not isinstance(entry.choice, tuple):
            raise several(entry.group, chosen)
        return tuple(f"{entry.group}/{option}" for option in chosen if option not in (None, MISSING))

    def _unknown(self, entry: "Entry", name: str) -> str:
        if not entry.group:
            return f"{name}.yaml, which a defaults list names, does not exist."
        options = ", ".join(self.files.options(entry.group))
        return (
            f"{entry.group} has no option {name.removeprefix(entry.group + '/')!a}: choose one of {options}."
        )


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a defaults list."""

    is_self: bool = False
    override: bool = False
    optional: bool = False
    group: str = ""
    relative: str = ""
    choice: Choice = None
    name: str = ""


_SELF = Entry(is_self=True)


def _entry(item: Any, folder: str) -> Entry:
    if item == "_self_":
        return _SELF
    if isinstance(item, str):
        return Entry(name=_plain(_absolute(item, folder)), relative=item.strip("/").rpartition("/")[0])
    if not isinstance(item, dict) or len(item) != 1:
        raise Unusual(f"the entry {item!r}")
    words, choice = next(iter(item.items()))
    *flags, group = str(words).split()
    if not set(flags) <= {"override", "optional"}:
        raise Unusual(f"the entry {words!r}")
    path = _absolute(group, folder)
    return Entry(
        override="override" in flags,
        optional="optional" in flags,
        group=_plain(path),
        relative=group.strip("/"),
        choice=_choice(choice),
    )


def _choice(choice: Any) -> Choice:
    if isinstance(choice, list) and all(isinstance(option, str) for option in choice):
        return tuple(_plain(option) for option in choice)
    if choice is None or isinstance(choice, str):
        return choice if choice in (None, "", MISSING) else _plain(choice)
    raise Unusual(f"the choice {choice!r}")


def _plain(name: str) -> str:
    if any(mark in name for mark in ("@", "${", MISSING)) or ".." in name:
        raise Unusual(f"the name {name!r}")
    return name


def _absolute(name: str, folder: str) -> str:
    return name[1:] if name.startswith("/") else "/".join(filter(None, (folder, name)))


def several(group: str, options: Sequence[object]) -> Refusal:
    """What to say of a list for a group of which one is chosen: Hydra would merge what is in it into one."""
    named = list(map(str, options)) or ["NAME"]
    sweep = f", or -m {group}={','.join(named)} for one after the other" if len(named) > 1 else ""
    return Refusal(f"{group} takes one option, and not a list: write {group}={named[0]}{sweep}.")


def unchosen(choices: Mapping[str, Choice]) -> list[str]:
    """The groups of which somebody must choose an option."""
    return [group for group, choice in choices.items() if choice == MISSING]


def _embedded(content: dict[str, Any], package: str) -> dict[str, Any]:
    for part in reversed(package.split(".")) if package else ():
        content = {part: content}
    return content


def _parents(name: str) -> Iterator[str]:
    parts = name.split("/")[:-1]
    return ("/".join(parts[: size + 1]) for size in range(len(parts)))


def _package(text: str) -> str | None:
    """The `# @package` header, which Hydra reads only above every other line; "" is the root."""
    for line in filter(None, map(str.strip, text[:512].splitlines())):
        words = line.lstrip("#").split()
        if not line.startswith("#") or not words or not words[0].startswith("@"):
            return None
        if words[0] == "@package" and len(words) == 2 and words[1] != "_group_":
            return words[1].removeprefix("_global_").lstrip(".")
    return None


def card(text: str) -> str:
    """The first comment line of a YAML that is not a header: what it is, and when to choose it."""
    comments = (line.lstrip("# ").rstrip() for line in text.splitlines() if line.startswith("#"))
    return next((line for line in comments if line and not line.startswith("@")), "")

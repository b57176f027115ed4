"""The code that a trial runs, as a digest: the lab's sources, a user's, and versions of what is installed.

Nothing is imported for it, so it needs no torch and runs no line of a user's module.
"""

import importlib.util
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from construct import targets
from reading.digest import file_sha256, remembered, sha256, walk

_ROOT = Path(__file__).resolve().parents[2]
_OWN = "models"
_ENGINE = {"lightning", "numpy", "torch"}
_SCORES = "models.training.evaluate"
"""what every trial runs, whatever its config names"""
_INSTALLED = {"site-packages", "dist-packages"}
_CODE = {".py", ".pyx", ".so", ".pyd", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp"}
"""what can be code of a package: torch compiles extensions from sources that lie beside"""
_known_installed: set[str] = set()
"""to look for each again would cost a key as much as all the rest of it"""
_NAME = re.compile(r"[A-Za-z_*][\w.]*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
# A parser takes five times as long for models/. Relative imports stay in a package, which is read whole.
_IMPORT = re.compile(
    r"(?m)(?:^|[;:])[ \t]*(?:from[ \t]+([A-Za-z_][\w.]*)[ \t]+import\b[ \t]*(\([^)]*\)|[^\n;#]*)"
    r"|import[ \t]+([^\n;#]+))"
)
_BY_NAME = re.compile(r"(?:import_module|__import__)\(\s*[\"']([A-Za-z_][\w.]*)[\"']")


def code_digest(config: Mapping[str, Any] | None = None) -> str:
    """Digest of the sources under models/, and of the versions of torch, lightning and numpy.

    With a config, all that its `_target_`s lead to counts too. What is installed counts by its version; what
    is not (a file on the path, a package in a working copy, an editable install) by the sources of its whole
    package, and of whatever else is not installed that those import, at any depth. So do other dotted names
    in a config that lead to such code.

    The lab's own sources are read once a process: what is imported does not change with the file.
    """
    names = {name for name in targets(config or {}) if isinstance(name, str)}
    roots = {_root(name) for name in names | {name for name in _dotted(config or {}) if _is_users(name)}}
    needs = _lab_needs(_ROOT / _OWN, frozenset({_SCORES, *(name for name in names if _root(name) == _OWN)}))
    ours, beside = _lab_beside(needs)
    local, needed = _reached((roots | needs) - {_OWN} - ours.keys())
    local, needed = local | ours, needed | beside | _ENGINE
    needed |= {"python"} if roots & sys.stdlib_module_names else set()
    versions = [f"{name}={version(name)}" for name in sorted(needed)]
    return sha256(
        [_sources(_ROOT / _OWN), *versions, *(part for item in sorted(local.items()) for part in item)]
    )


def _is_users(name: str) -> bool:
    """Whether a dotted name leads to code of a user's own, neither installed nor under models/."""
    return _root(name) != _OWN and bool(_local(_root(name)))


@cache
def version(name: str) -> str:
    """Of the distribution of this name, or of the one that brings the module of this name; else `none`."""
    if name == "python":
        return platform.python_version()
    distribution = _distribution(name)
    return "none" if distribution is None else distribution.version


def _dotted(node: Any) -> Iterator[str]:
    """Values that may name code, as the argument of `hydra.utils.get_method` does."""
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from _dotted(item)
    elif isinstance(node, str) and _DOTTED.fullmatch(node):
        yield node


def _root(name: str) -> str:
    return name.partition(".")[0]


@cache
def _sources(folder: Path) -> str:
    files = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.py")]
    return sha256(part for name, path in sorted(files) for part in (name, file_sha256(path)))


@cache
def _lab_needs(folder: Path, names: frozenset[str]) -> frozenset[str]:
    """The packages that these names of the lab's import, themselves or through others of the lab."""
    imports = _lab_imports(folder)
    waiting, seen, needed = list(names), set[str](), set[str]()
    while waiting:
        name = waiting.pop()
        if _root(name) != _OWN:
            needed.add(_root(name))
            continue
        parts = name.split(".")
        module = next(
            (m for end in range(len(parts), 0, -1) if (m := ".".join(parts[:end])) in imports), None
        )
        if module is not None and module not in seen:
            seen.add(module)
            waiting.extend(imports[module])
    return frozenset(needed - sys.stdlib_module_names - {"refusal"})


@cache
def _lab_beside(needs: frozenset[str]) -> tuple[dict[str, str], set[str]]:
    """What `_reached` says of those of these packages that are the lab's, beside models/; once a process."""
    ours = {root for root in needs if (places := _local(root)) and all(map(_is_ours, places))}
    return _reached(ours)


def _is_ours(place: Path) -> bool:
    return place.resolve().is_relative_to(_ROOT)


@cache
def _lab_imports(folder: Path) -> dict[str, frozenset[str]]:
    """Module -> what it imports, for all modules of the lab; once a process, as they are imported."""
    files = {
        path: ".".join(path.relative_to(folder.parent).with_suffix("").parts) for path in folder.rglob("*.py")
    }
    return {name: frozenset(_imports(path)) for path, name in files.items()}


def _imports(file: Path) -> Iterator[str]:
    """Absolute names that a source imports, anywhere in it."""
    text = file.read_text(encoding="utf-8", errors="replace")
    for package, inside, several in _IMPORT.findall(text):
        words = [part.split() for part in (inside or several).strip("()").split(",")]
        # What a text that is no code of its own says behind `import` need be no name.
        names = [word[0] for word in words if word and _NAME.fullmatch(word[0])]
        yield from (f"{package}.{name}" if package else name for name in names)
    yield from _BY_NAME.findall(text)


@cache
def _roots(file: Path, digest: str) -> frozenset[str]:
    """The packages that a file of this digest imports; none where it is no Python."""
    return frozenset(map(_root, _imports(file))) if file.suffix == ".py" else frozenset()


def _reached(roots: Iterable[str]) -> tuple[dict[str, str], set[str]]:
    """(what is local by name, as a digest; what is installed): `roots` and all that local code imports."""
    waiting, local, installed = set(roots), dict[str, str](), set[str]()
    while waiting:
        root = waiting.pop()
        places = _local(root)
        if not places:
            installed |= {root} - sys.stdlib_module_names
            continue
        files = sorted((name, file) for place in places for name, file in _code(place))
        digests = [remembered(file) for _, file in files]
        local[root] = sha256(
            part for (name, _), digest in zip(files, digests, strict=True) for part in (name, digest)
        )
        for (_, file), digest in zip(files, digests, strict=True):
            waiting |= _roots(file, digest) - local.keys() - installed - {_OWN}
    return local, installed


def _code(place: Path) -> Iterator[tuple[str, Path]]:
    for file in walk(place):
        inside = file.relative_to(place.parent)
        if file.suffix in _CODE and not any(
            part.startswith(".") or part in _INSTALLED for part in inside.parts
        ):
            yield inside.as_posix(), file


def _local(root: str) -> list[Path]:
    """Where a top-level module lies, as far as that is not installed; found without importing it."""
    if root in _known_installed:
        return []
    places = _found(root)
    own = [place for place in places if not (_INSTALLED & set(place.parts) and _packaged(root))]
    if places and not own:
        _known_installed.add(root)
    return own


def _found(root: str) -> list[Path]:
    if root in sys.stdlib_module_names:
        return []
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None:
        return []
    places = [*(spec.submodule_search_locations or ())] or [spec.origin or ""]
    return [Path(place) for place in places if place]


@cache
def _packaged(root: str) -> bool:
    """Whether a version says what is installed: not so for what came from a folder or a repository."""
    distribution = _distribution(root)
    origin = (distribution.read_text("direct_url.json") or "") if distribution is not None else "dir_info"
    return "dir_info" not in origin and "vcs_info" not in origin


def _distribution(name: str) -> metadata.Distribution | None:
    """That of this name, else the one that brings the module of this name."""
    try:
        return metadata.distribution(name) if name else None
    except metadata.PackageNotFoundError:
        # Costs a look at all that is installed: not for what is not there at all.
        others = _by_module().get(name, []) if _found(name) else []
        return metadata.distribution(others[0]) if others else None


@cache
def _by_module() -> dict[str, list[str]]:
    return {root: sorted(set(names)) for root, names in metadata.packages_distributions().items()}

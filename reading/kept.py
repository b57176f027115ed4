"""The cache of what was decoded: a folder for each digest of files and options, written once, then mapped."""

import fcntl
import importlib
import inspect
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from reading.decoded import Decoded, kept, twins_of
from reading.digest import content, file_sha256, sha256, walk
from reading.tokens import files_of
from refusal import Refusal

_SETTLED_S = 2.0
"""age from which a file's time of change tells it from what is written next: file systems count in ticks"""
_HERE = Path(__file__).parent
_BROUGHT = {"/usr/share/datasets/fashion-mnist": "apt install dataset-fashion-mnist"}
"""where packages of a system put data -> what installs them"""


def decoded(data: Mapping[str, Any]) -> Decoded:
    """All that the files under `data.path` hold, read by `data.source` with its options.

    Decoded by the first process that asks, and mapped by all that come later, from the folder `data.cache`.

    Raises:
        Refusal: there is no path or no such source, what lies there cannot be taken as it is, or the cache
            cannot be written.
    """
    path = _path(data)
    read = _reader(str(data["source"]))
    options = {name: data[name] for name in _options(read) if name in data}
    named = [json.dumps(options, sort_keys=True, default=str), *_versions(data.get("packages") or ())]
    named += map(file_sha256, files_of(options))
    place = Path(str(data.get("cache") or "runs/data")).expanduser()
    if place.resolve().is_relative_to(path.resolve()):
        raise Refusal(
            f"data.cache: {place} lies inside of data.path, whose content it would change: choose another "
            "data.cache=FOLDER."
        )
    digest = _content(path, place / "seen")
    folder = place / sha256([str(data["source"]), _code(), *named, digest])[:32]
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place / f"{folder.name}.lock"):
            if not folder.is_dir():
                _fill(folder, lambda new: read(path, new, **options))
    except OSError as error:
        raise Refusal(
            f"data.cache: {error.filename or place} cannot be written ({error.strerror}): choose another "
            "data.cache=FOLDER."
        ) from error
    return kept(folder)


def _path(data: Mapping[str, Any]) -> Path:
    if data.get("path") in (None, ""):
        raise Refusal(f"data={data['source']} reads your own data: say where it lies, by data.path=PATH.")
    path = Path(os.path.expanduser(str(data["path"])))  # noqa: PTH111 - Path's own raises for nobody's home
    if not path.exists():
        brought = next((how for place, how in _BROUGHT.items() if path == Path(place)), None)
        todo = f"{brought} brings it" if brought else "give a file or folder that exists"
        raise Refusal(f"data.path: there is no {path}; {todo}.")
    return path


def _reader(source: str) -> Callable[..., Decoded]:
    sources = sorted(file.stem for file in (_HERE / "sources").glob("[a-z]*.py"))
    if source not in sources:
        raise Refusal(f"data.source '{source}' is unknown: choose one of {', '.join(sources)}.")
    read: Callable[..., Decoded] = importlib.import_module(f"reading.sources.{source}").read
    return read


def _options(read: Callable[..., Decoded]) -> list[str]:
    return [name for name in inspect.signature(read).parameters if name not in ("path", "folder")]


def _fill(folder: Path, read: Callable[[Path], Decoded]) -> None:
    """Decode into a folder of another name, which gets its own when it is whole."""
    new = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        found = read(new)
        replace(found, twins=twins_of(found.inputs)).keep(new)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _content(path: Path, seen: Path) -> str:
    """Digest of what lies under `path`, remembered by sizes and times of its files: it may be gigabytes."""
    try:
        about = [(file.as_posix(), file.stat()) for file in walk(path)]
    except OSError as error:
        raise Refusal(f"data.path: {error.filename or path} cannot be read ({error.strerror}).") from error
    times = [str((name, at.st_size, at.st_mtime_ns, at.st_ctime_ns)) for name, at in about]
    known = seen / sha256([str(path.resolve()), *times])
    if known.is_file():
        return known.read_text()
    digest = content(path)
    if all(time.time() - max(at.st_mtime, at.st_ctime) > _SETTLED_S for _, at in about):
        with suppress(OSError):  # it is taken anew then
            seen.mkdir(parents=True, exist_ok=True)
            known.write_text(digest)
    return digest


@cache
def _code() -> str:
    return sha256(file_sha256(file) for file in sorted(_HERE.rglob("*.py")))


def _versions(packages: Any) -> list[str]:
    """Of what decodes: another version may read other values."""
    found = []
    for name in packages:
        try:
            found.append(f"{name}={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name}=none")
    return found

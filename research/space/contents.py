"""What a config names outside of itself, files and a hub's repository, as digests of what is there now."""

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from reading.digest import content, remembered

_READ = {
    *("path", "paths", "file", "files", "filename", "folder", "folders", "dir", "directory"),
    *("weights", "checkpoint", "checkpoints", "ckpt", "pretrained", "vocab", "tokenizer"),
}
"""words in the name of a key whose value may be a folder that is read"""
_WRITTEN = {"cache", "out", "output", "outputs", "log", "logs", "save", "tmp", "temp"}
"""words in the name of a key whose value is a place to write to: what lies there decides nothing"""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


def named(config: Mapping[str, Any], without: Iterable[str] = ()) -> dict[str, Path]:
    """Files and folders that lie where a value of the config says, by dotted key.

    Any value that is the path of a file counts. A folder counts where its key says that it is read
    (`weights`, `data_dir`, ...) or its value is written as a path, `./shapes` or `/data/shapes`: a word such
    as `linear` may well be the name of a folder by chance. Patterns such as `/data/train-*.bin` name all that
    they match. A key that says that it is written to (`cache`, `log_dir`) names nothing.
    `without`: keys to leave out.
    """
    left_out = set(without)
    texts = [(key, text) for key, text in _texts(config) if not _within(key, left_out)]
    return {key: path for dotted, text in texts for key, path in _places(dotted, text)}


def digest(paths: Mapping[str, Path]) -> list[str]:
    """Each key with the digest of what its path holds. Raises `Refusal` for what cannot be read."""
    return [part for key, path in sorted(paths.items()) for part in (key, content(path, key))]


def checkpoint(path: Path) -> tuple[Path | None, list[Path]]:
    """The checkpoint that a training would go on from, and the damaged ones that are newer.

    It is the file, or the newest sound one of a trial's folder, or of that folder's `checkpoints`.
    A folder's manifest (models/training/checkpoint.py) says which are whole and what their SHA-256 is.
    """
    if path.is_file():
        return path, []
    place = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    damaged: list[Path] = []
    for name, entry in reversed(_manifest(place)):
        if (place / name).is_file() and remembered(place / name) == entry.get("sha256"):
            return place / name, damaged
        damaged.append(place / name)
    return None, damaged


def _manifest(folder: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Oldest first; what cannot be read is refused when the checkpoint is loaded."""
    try:
        listed = json.loads((folder / "manifest.json").read_text())["checkpoints"]
        return sorted(listed.items(), key=lambda item: int(item[1]["step"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, Mapping):
        for name, value in node.items():
            yield from _texts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list | tuple):
        for place, value in enumerate(node):
            yield from _texts(value, f"{key}.{place}")


def _within(key: str, others: set[str]) -> bool:
    return any(key == other or key.startswith(f"{other}.") for other in others)


def _places(key: str, text: str) -> Iterator[tuple[str, Path]]:
    """What lies where the value of one key says."""
    words = _words(key)
    if not text or words & _WRITTEN:
        return
    # Those of Path raise for what can be no path: a name too long, or of nobody's home.
    path = os.path.expanduser(text.removeprefix("file://"))  # noqa: PTH111
    folder = words & _READ or _written_as_path(text)
    if os.path.isfile(path) or (folder and os.path.isdir(path)):  # noqa: PTH112, PTH113
        yield key, Path(path)
    elif folder and glob.has_magic(text):
        for place in sorted(glob.glob(path, recursive=True)):  # noqa: PTH207
            yield f"{key}:{place}", Path(place)


def _words(key: str) -> set[str]:
    """Of the last name in a dotted key; an element of a list has its list's."""
    names = [name for name in key.split(".") if not name.isdigit()]
    return {word.lower() for word in _WORD.findall(names[-1] if names else "")}


def _written_as_path(text: str) -> bool:
    return os.sep in text and any(letter.isalnum() for letter in text)


_TIMEOUT_S = 5


@cache
def commit(repository: str, revision: str | None = None) -> str:
    """The commit of a data set that is here already, else of what would be fetched now, else `none`.

    Asked once a process. `revision` is a branch, a tag or a commit; None is the main branch.
    """
    wanted = revision or "main"
    folder = _cache() / f"datasets--{repository.replace('/', '--')}"
    if (folder / "snapshots" / wanted).is_dir():
        return wanted
    try:
        return (folder / "refs" / wanted).read_text().strip()
    except OSError:
        return _asked(repository, wanted)


def _cache() -> Path:
    """Where the hub's client keeps what it fetched, by the variables that it reads itself."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def _asked(repository: str, revision: str) -> str:
    import urllib.error
    import urllib.parse
    import urllib.request

    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") or not endpoint.startswith("http"):
        return "none"
    name = urllib.parse.quote(revision, safe="")
    try:
        where = f"{endpoint}/api/datasets/{repository}/revision/{name}"
        with urllib.request.urlopen(where, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return str(json.load(answer)["sha"])
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError, KeyError, TypeError):
        return "none"

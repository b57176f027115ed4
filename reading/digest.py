"""What files hold, as digests of what is there now."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from refusal import Refusal

# What importing leaves behind is no data.
_NOT_DATA = {"__pycache__"}
_REMEMBERED: dict[tuple[int, ...], str] = {}
"""a file as its file system knows it -> the digest of its content"""


def content(path: Path, key: str = "data.path") -> str:
    """Digest of a file, or of the names and contents of all files under a folder, links followed.

    Raises `Refusal`, which names `key`, when nothing is there or it cannot be read.
    """
    if not path.exists():
        raise Refusal(f"{key}: there is no {path}; give a file or folder that exists.")
    try:
        files = [("." if path.is_file() else file.relative_to(path).as_posix(), file) for file in walk(path)]
        return sha256(part for name, file in sorted(files) for part in (name, remembered(file)))
    except OSError as error:
        raise Refusal(f"{key}: {error.filename or path} cannot be read ({error.strerror}).") from error


def walk(path: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """All files at or under `path`; a link that leads back to a folder above it ends there.

    A link to nothing is among them: who reads it says so, and nothing is left out without a word.
    """
    if path.is_file() or (path.is_symlink() and not path.exists() and not path.name.startswith(".")):
        yield path
    elif path.is_dir() and (place := path.resolve()) not in above:
        for entry in sorted(path.iterdir()):
            if entry.name not in _NOT_DATA:
                yield from walk(entry, above | {place})


def remembered(file: Path) -> str:
    """SHA-256 of a file's content, taken again only when its size or a time of change differs."""
    about = file.stat()
    known = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    if known not in _REMEMBERED:
        _REMEMBERED[known] = file_sha256(file)
    return _REMEMBERED[known]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256(parts: Iterable[str]) -> str:
    """One digest of several texts; their lengths are in it, so that a|bc and ab|c differ."""
    whole = hashlib.sha256()
    for part in parts:
        text = part.encode("utf-8", "surrogateescape")
        whole.update(len(text).to_bytes(8, "big") + text)
    return whole.hexdigest()

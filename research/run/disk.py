"""Free space below which nothing is started, and folders of logs that go away with who made them."""

import contextlib
import fcntl
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from refusal import Refusal

PATIENCE_S = 600.0
FULL = "the disk was full and nobody freed space on it; the same command runs it"
_PREFIX = "joulelab-logs-"


@final
class Floor:
    """Says whether there is room, and tells once when there is none and once when there is again."""

    def __init__(self, least_gib: float | None, free: Callable[[Path], int] | None = None) -> None:
        """`least_gib` of None or 0 lets everything start; `free` tells the free bytes of a folder's disk."""
        if least_gib is not None and not 0 <= least_gib < 1e9:
            raise Refusal(f"launcher.disk_floor_gib={least_gib}: give GiB from 0 to below 1e9.")
        self._least, self._free = int((least_gib or 0) * 2**30), free or free_bytes
        self._since: float | None = None

    def holds(self, folders: Iterable[Path]) -> bool:
        """Whether there is room on the disks of all folders."""
        low = [(folder, left) for folder in folders if (left := self._free(folder)) < self._least]
        if low and self._since is None:
            self._since = time.monotonic()
            folder, left = low[0]
            self._say(
                f"the disk of {folder} has {left / 2**30:.2f} GiB left and launcher.disk_floor_gib keeps "
                f"{self._least / 2**30:g} free: no trial is started until there is room; what runs goes on"
            )
        elif not low and self._since is not None:
            self._since = None
            self._say("there is room on the disk again: trials are started")
        return not low

    def gives_up(self) -> bool:
        """Whether there has been no room for too long."""
        return self._since is not None and time.monotonic() - self._since >= PATIENCE_S

    def _say(self, what: str) -> None:
        print(what, file=sys.stderr, flush=True)


def free_bytes(folder: Path) -> int:
    """What this user may still write on the disk of a folder, or of the one that it will be made in."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def written(config: Mapping[str, Any]) -> list[Path]:
    """The folders that a trial of this config writes to."""
    url = str((config.get("store") or {}).get("url") or "")
    database = [Path(url.partition(":///")[2]).parent] if url.startswith("sqlite:///") else []
    return [*([Path(str(config["root"]))] if config.get("root") else []), *database]


def log_folder() -> tuple[Path, int]:
    """A new folder, and the descriptor by whose lock it is known to be in use, however this process ends.

    What killed commands have left without a word in it goes away.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or gone by now
            _clear(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return folder, descriptor


def _clear(folder: Path) -> None:
    with _locked(folder):
        files = [(path, path.lstat()) for path in folder.iterdir()]
        if all(stat.S_ISREG(about.st_mode) and not about.st_size for _, about in files):
            for path, _ in files:
                path.unlink()
            folder.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Raises `OSError` for a folder that is in use, is another user's, or is a link."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            raise PermissionError(folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)

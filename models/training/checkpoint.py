"""Checkpoint files that survive a kill, a full disk and a flipped bit, as Lightning's `CheckpointIO`."""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, final

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from refusal import Refusal

OURS = "joulelab"
"""key of what this lab adds to Lightning's checkpoint"""
MANIFEST = "manifest.json"
"""file name -> SHA-256 and optimizer step of the finished checkpoints beside it"""


class Damaged(Refusal):
    """No checkpoint of a folder can be gone on from."""


@final
class Checkpoints(CheckpointIO):
    """Writes beside the target, fsyncs, replaces, and only then lists the file in the manifest.

    So a file that the manifest names was written whole, and a kill leaves the checkpoints before it as they
    were. Loading takes tensors and plain data only (`weights_only`).

    Raises:
        Refusal: a file could not be written, or does not hold what the manifest says.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write `checkpoint` to `path` and to its folder's manifest."""
        target = Path(path)
        digest = hashlib.sha256()
        _write(target, lambda file: torch.save(checkpoint, _Hashing(file, digest)))  # type: ignore[arg-type]
        entry = {"sha256": digest.hexdigest(), "step": int(checkpoint["global_step"])}
        _write_manifest(target.parent, read_manifest(target.parent) | {target.name: entry})

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Any | None = None,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read a checkpoint to the CPU, after a look at its digest if a manifest knows it."""
        source = Path(path)
        if not sound(source):
            raise Refusal(f"the checkpoint {source} is damaged: its SHA-256 is not the one in its manifest.")
        loaded = tensors(source, map_location=map_location or "cpu")
        if not isinstance(loaded, dict) or OURS not in loaded:
            raise Refusal(f"{source} was not written by this lab: name a checkpoint from a trial's folder.")
        return loaded

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Take a checkpoint out of the manifest, then delete it."""
        target = Path(path)
        listed = read_manifest(target.parent)
        if listed.pop(target.name, None) is not None:
            _write_manifest(target.parent, listed)
        target.unlink(missing_ok=True)


def tensors(path: Path, sha256: str | None = None, map_location: Any = "cpu") -> Any:
    """What a file of torch's holds, if that is tensors and plain data: nothing else is made of it, or called.

    Raises `Refusal` for any other file, and for one whose SHA-256 is not the one that is given.
    """
    try:
        with path.open("rb") as file:
            if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise Refusal(f"{path} was changed while this trial was set up: type the command again.")
            file.seek(0)
            return torch.load(file, map_location=map_location, weights_only=True)
    except Refusal:
        raise
    except pickle.UnpicklingError as error:
        raise Refusal(
            f"{path} cannot be read as a checkpoint: it is damaged, or holds more than tensors and plain "
            "data, and code in a file is never run: save a network's state_dict(), or name a file of a trial."
        ) from error
    except Exception as error:  # a file that anybody wrote may break torch's reader anywhere
        raise Refusal(f"{path} cannot be read as a checkpoint: name a file that a trial left.") from error


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """The finished checkpoints of a folder, oldest first; empty where there are none."""
    path = folder / MANIFEST
    try:
        listed: dict[str, dict[str, Any]] = json.loads(path.read_text())["checkpoints"]
        return dict(sorted(listed.items(), key=lambda item: int(item[1]["step"])))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} cannot be read: delete the folder to start anew.") from error


def sound(path: Path) -> bool:
    """Whether a file is there and holds the bytes that its folder's manifest lists, if it lists it."""
    entry = read_manifest(path.parent).get(path.name)
    if not path.is_file():
        return False
    if entry is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry["sha256"]


def newest(folder: Path) -> tuple[Path | None, list[Path]]:
    """The newest sound checkpoint of a folder, and the damaged ones that are newer than it.

    Raises:
        Damaged: there are checkpoints, and all of them are damaged, or the manifest is.
    """
    damaged: list[Path] = []
    for name in reversed(read_manifest(folder)):
        if sound(folder / name):
            return folder / name, damaged
        damaged.append(folder / name)
    if damaged:
        raise Damaged(f"all checkpoints in {folder} are damaged: delete the folder to start anew.")
    return None, []


def healed(folder: Path) -> str | None:
    """Move a trial's own checkpoints aside where all are damaged; a sentence that says so, for its facts.

    Nobody is asked: the same trial from the start is the same result, and one that refuses never heals.
    """
    try:
        newest(folder)
    except Damaged as damage:
        aside = folder.with_name(f"{folder.name}-damaged")
        if aside.exists():
            shutil.rmtree(aside)
        folder.rename(aside)
        why = str(damage).partition(":")[0]
        return f"{why}: the training started anew, and they lie in {aside}"
    return None


def prepare(folder: Path) -> None:
    """Make the folder and prove that it takes a file, so that no training is spent on one that does not.

    What a killed save left behind is deleted: temporaries, and checkpoints that no manifest lists.
    """
    _write(folder / ".probe", lambda file: file.write(b"probe"))
    listed = read_manifest(folder)
    orphans = [path for path in folder.glob("step_*.ckpt") if path.name not in listed]
    for path in [folder / ".probe", *folder.glob(".*.tmp"), *orphans]:
        path.unlink()


@final
class _Hashing:
    """A file for torch.save that hashes what passes, and keeps the error that torch would reword."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self._file, self._digest = file, digest

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _write(target: Path, fill: Callable[[IO[bytes]], Any]) -> None:
    """Write a file in one step or not at all, down to the disk; `Refusal` when it cannot be."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except (OSError, RuntimeError) as error:
        _discard(temporary)
        cause = error if isinstance(error, OSError) else _os_error(error)
        if cause is None:
            raise
        reason = cause.strerror or str(cause)
        raise Refusal(
            f"{target} could not be written ({reason}): free space there, or choose another root=FOLDER."
        ) from error


def _discard(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        # It could not be made for the same reason that the caller reports.
        return


def _os_error(error: BaseException) -> OSError | None:
    """The operating system's error that torch.save wrapped in a RuntimeError of its own, if there is one."""
    inner = error.__context__ or error.__cause__
    while inner is not None and not isinstance(inner, OSError):
        inner = inner.__context__ or inner.__cause__
    return inner


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_manifest(folder: Path, listed: dict[str, dict[str, Any]]) -> None:
    text = json.dumps({"checkpoints": listed}, indent=1)
    _write(folder / MANIFEST, lambda file: file.write(text.encode()))

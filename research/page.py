"""A report on disk: each of its files whole or not at all."""

import os
import stat
from pathlib import Path

import redact
from refusal import Refusal


def put(text: str, folder: Path, name: str = "report.md") -> Path:
    """Write a file of a report in `folder`, which is made; `Refusal` when it cannot be written.

    Secrets in it are masked, and nobody else may read it, unless a file is there already that others may.
    """
    path = folder / name
    beside = path.with_name(f"{name}.new")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        rights = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
        with os.fdopen(
            os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(redact.text(text))
            os.fchmod(file.fileno(), rights)
        beside.replace(path)
    except OSError as error:
        raise Refusal(
            f"{folder} cannot be written ({error.strerror}): choose another root=FOLDER."
        ) from error
    return path

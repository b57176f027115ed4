"""A finished result waits in its trial's folder until it stands in the database, and is delivered once.

It is written before it is delivered: an outage that lasts, a kill while it waits and a disk that is full cost
the row, not the training. Whoever claims the same trial next delivers what waits instead of training.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from research.store.attempts import Lost

FILE = "undelivered.json"


class Undelivered(NamedTuple):
    """What a trial measured, as `Row.finish` takes it."""

    metrics: dict[str, float]
    facts: dict[str, Any]
    curve: list[dict[str, float]]


def keep(folder: Path, digest: str, figures: Undelivered) -> None:
    """Write them down; a folder that takes no file now leaves the database as the only place for them."""
    body = json.dumps([digest, *figures], default=_plain)
    text = json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body})
    temporary = folder / f".{FILE}.{os.getpid()}.tmp"
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        temporary.replace(folder / FILE)


def left(folder: Path, digest: str) -> Undelivered | None:
    """What waits in a folder of this very trial; None where nothing does, or it is damaged."""
    try:
        kept = json.loads((folder / FILE).read_text())
        whose, *figures = json.loads(kept["body"])
        whole = hashlib.sha256(kept["body"].encode()).hexdigest() == kept["sha256"]
        return Undelivered(*figures) if whole and whose == digest else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def deliver(folder: Path, write: Callable[[], None]) -> None:
    """Write them to the database, and take the file away once they stand there.

    Raises `Lost` where another measures the trial by now: then they are nobody's any more.
    """
    try:
        write()
    except Lost:
        _forget(folder)
        raise
    _forget(folder)


def _forget(folder: Path) -> None:
    with suppress(OSError):
        (folder / FILE).unlink()


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)

"""One process at a time runs a campaign on a host: a lock that the kernel takes back however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refusal import Refusal


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold `folder`/.lock while the body runs; `Refusal` when another process holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise Refusal(
            f"{folder} cannot be written ({error.strerror}): choose another root=FOLDER."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refusal(
                f"This campaign runs already, in {folder}: wait for it, or give another goal, seed or budget."
            ) from None
        yield

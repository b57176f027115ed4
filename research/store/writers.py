"""Whose turn it is to write to a SQLite file: who has waited longer asks more often, and so has it earlier.

SQLite itself lets whoever waits ask the less often the longer that takes: one of 16 writers had waited for
half a minute. Here all ask for a lock of the operating system on a file beside the database, which costs a
twentieth of asking SQLite. It decides about order alone; what may be written is still SQLite's to say, so
that nothing is wrong where the file cannot be made, or a process that does not know of it writes as well.
"""

import fcntl
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

_ASKS = ((0.02, 0.001), (0.2, 0.02), (0.5, 0.01), (1.0, 0.004), (2.0, 0.002), (math.inf, 0.001))
"""seconds that somebody has waited -> seconds until it asks again"""
_open: set[int] = set()


@final
class Writers:
    """Those of one database; each process has one of its own."""

    def __init__(self, database: Path, patience_s: float) -> None:
        """The lock's file is `database` with `-turn` behind; nobody waits for longer than `patience_s`."""
        self._path, self._patience_s = database.with_name(f"{database.name}-turn"), patience_s

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else has its turn meanwhile, unless it was waited for in vain."""
        try:
            own = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # no folder of ours: SQLite's own order has to do
            yield
            return
        _open.add(own)
        try:
            self._wait(own)
            yield
        finally:
            if own in _open:  # in a child it was closed, and its number may be another file's by now
                _open.discard(own)
                with suppress(OSError):
                    fcntl.flock(own, fcntl.LOCK_UN)
                    os.close(own)

    def _wait(self, own: int) -> None:
        began = time.monotonic()
        while (waited := time.monotonic() - began) < self._patience_s:
            try:
                return fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(next(pause for age, pause in _ASKS if waited < age))
            except OSError:  # a file system without such locks
                return


def _forget_after_fork() -> None:
    # A child that kept it would have its parent's turn for as long as it lives.
    for own in _open:
        with suppress(OSError):
            os.close(own)
    _open.clear()


os.register_at_fork(after_in_child=_forget_after_fork)

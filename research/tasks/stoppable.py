"""SIGTERM as Ctrl-C: what is stopped by `kill` is told as interrupted, and not left as running."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends as Ctrl-C does; signals can be set in the main thread only, as in no notebook's helper."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*about: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

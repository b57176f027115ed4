"""Who runs a trial, whether that process still lives, and the thread that keeps its lease."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from refusal import Refusal


class Lost(Exception):
    """Another process took the trial over: what this one measured is not written."""


@cache
def place() -> str:
    """Where process ids mean something: host, boot and process namespace; empty where it cannot be told.

    Containers of one host share the boot id and may share the name; their process ids do not compare.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def owner() -> str:
    """Name this process: host, boot id, process namespace, process id, start time in clock ticks."""
    return f"{place()} {os.getpid()} {_started(os.getpid())}"


def dead(who: str) -> bool:
    """True when `who` ran on this host and is surely gone; False means alive or unknown."""
    where, process, started = who.rsplit(" ", 2)
    return bool(where) and where == place() and _started(int(process)) != started


def _started(process: int) -> str:
    """Start time in clock ticks since boot, "-" when there is no such process or it is a zombie."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "-"
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return "-" if fields[0] in "ZX" else fields[19]


@contextmanager
def kept(renew: Callable[[float], None], lease_s: float) -> Iterator[threading.Event]:
    """Call `renew(lease_s)` every third of the lease while the body runs.

    Yields an event that is set when another process took over. A database that cannot be reached for a
    moment is tried again: writing checks the token in any case.
    """
    stop, lost = threading.Event(), threading.Event()
    thread = threading.Thread(target=_keep, args=(renew, lease_s, stop, lost), name="lease", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        stop.set()
        thread.join()


def _keep(
    renew: Callable[[float], None], lease_s: float, stop: threading.Event, lost: threading.Event
) -> None:
    while not stop.wait(lease_s / 3):
        try:
            renew(lease_s)
        except Lost:
            lost.set()
            return
        except Refusal:
            continue

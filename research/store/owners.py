"""Who holds something: a process by its host, boot, namespace, id and start, and whether it still lives."""

import os
import socket
from functools import cache
from pathlib import Path


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
    return f"{place()} {_self()}"


@cache
def _self() -> str:
    return f"{os.getpid()} {_started(os.getpid())}"


os.register_at_fork(after_in_child=_self.cache_clear)


def host(who: str) -> str:
    """The host of an owner."""
    return who.partition(" ")[0] or "another host"


def may_be_here(who: str) -> bool:
    """False when `who` surely runs on another machine: containers of one share its boot."""
    here, there = place().split(" "), who.split(" ")
    return len(here) < 2 or len(there) < 2 or here[1] == there[1]


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

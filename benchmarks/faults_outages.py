"""A server that is restarted, killed, cut off or silent under runners; and runners whose clocks are wrong."""

import argparse
import ctypes
import math
import os
import random
import select
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Any, final

import faults_shim
import sqlalchemy as sa
from faults_runner import database, end, left, queue, settle, spawn, wrong
from sqlalchemy.ext.compiler import compiles

from research.store import outage
from research.store.schema import clock
from research.store.store import Store

KINDS = ("restarted", "killed", "cut off", "silent")
HOUR_S = 3600.0
_AT_ONCE = 40
"""trials that wait at a time"""


@final
class Wire:
    """A port that hands on to a server's; the wire can be cut, or left in place and carry nothing.

    It is a process of its own: runners that were forked beside it would hold its sockets open.
    """

    def __init__(self, to: int) -> None:
        self._to, self._carries, self._pairs = to, threading.Event(), list[socket.socket]()
        self._carries.set()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        orders, self._orders = os.pipe()
        self.pid = os.fork()
        if self.pid:
            listener.close()
            return
        os.close(self._orders)
        self._listener = listener
        self._listen()
        while order := os.read(orders, 1):
            {b"c": self._cut, b"m": self._mend, b"h": self._carries.clear, b"s": self._carries.set}[order]()
        os._exit(0)

    def order(self, what: str) -> None:
        """`cut`: nobody answers, whoever was connected is told; `mend`; `hush`: nothing arrives; `speak`."""
        os.write(self._orders, what[:1].encode())

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # closed
            while True:
                inner, _ = listener.accept()
                threading.Thread(target=self._carry, args=(inner,), daemon=True).start()

    def _carry(self, inner: socket.socket) -> None:
        with suppress(OSError, ValueError), inner, socket.create_connection(("127.0.0.1", self._to)) as outer:
            self._pairs += [inner, outer]
            while True:
                ready = select.select([inner, outer], [], [])[0]
                self._carries.wait()
                for one in ready:
                    data = one.recv(1 << 16)
                    if not data:
                        return
                    (outer if one is inner else inner).sendall(data)

    def _cut(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._pairs:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def _mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listen()


def away(server: Any, wire: Wire, kind: str, seconds: float) -> None:
    """Take the server away in one of KINDS, and bring it back."""
    if kind == "silent":
        wire.order("hush")
    elif kind == "cut off":
        wire.order("cut")
    elif kind == "killed":
        os.kill(int((server.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    else:
        server._call("pg_ctl", "stop", "-m", "fast", "-D", str(server.data))
    time.sleep(seconds)
    if kind == "silent":
        wire.order("speak")
    elif kind == "cut off":
        wire.order("mend")
    else:
        start(server)


def start(server: Any) -> None:
    """Again and again while what was killed still ends."""
    for _ in range(50):
        try:
            return server.start()
        except AssertionError:
            time.sleep(0.2)
    raise AssertionError("the server did not start again")


def outages(asked: argparse.Namespace, folder: Path) -> int:
    """PostgreSQL is away again and again, for times spread evenly by their logarithm; nobody is to notice."""
    from postgres_server import running

    def first() -> None:
        if asked.without:
            outage.PATIENCE_S = 0.0

    chance, began, gone, made = random.Random(asked.seed), time.monotonic(), [], 0
    with running() as server:
        wire = Wire(server.port)
        url = server.url("faults").replace(f":{server.port}/", f":{wire.port}/")
        store = Store(url)
        runners = [spawn(asked, url, folder, seed, first) for seed in range(asked.runners)]
        while len(gone) < asked.count and time.monotonic() - began < asked.seconds:
            if left(store, ("queued",)) < _AT_ONCE:
                queue(store, _AT_ONCE, made)
                made += _AT_ONCE
            time.sleep(chance.uniform(1.0, 4.0))
            gone.append(math.exp(chance.uniform(0, math.log(asked.longest))))
            away(server, wire, KINDS[len(gone) % len(KINDS)], gone[-1])
        settle(store, 60 if asked.without else 300, recover=False)
        dead = sum(bool(os.waitpid(pid, os.WNOHANG)[0]) for pid in runners)
        end([pid for pid in runners if Path(f"/proc/{pid}").exists()])
        found, ends, said = wrong(store, folder, made)
        store.close()
        end([wire.pid])
    found += [f"{dead} runners ended"] if dead else []
    span = f"{len(gone)} outages of {min(gone):.0f} to {max(gone):.0f} s, {sum(gone):.0f} s in all"
    return told(asked, span, made, time.monotonic() - began, found, ends, said)


def told(
    asked: argparse.Namespace,
    what: str,
    made: int,
    took_s: float,
    found: list[str],
    ends: Counter[str],
    said: Counter[str],
) -> int:
    """Print it, with all attempts that did not come to their end: nobody was to notice anything."""
    found = [*found, *(f"{count} attempts are {how}" for how, count in ends.items() if how != "done")]
    where = f"{asked.runners} runners on {asked.database}"
    guard = f" without the {asked.without}" if asked.without else ""
    print(f"{what}, {where}{guard}: {made} trials in {took_s:.0f} s")
    print(f"attempts {dict(ends)}, {said['late']} taken over, {len(found)} wrong")
    print("\n".join(found[:20]))
    return int(bool(found))


def clocks(asked: argparse.Namespace, folder: Path) -> int:
    """On a server some runners are an hour ahead, others behind; on SQLite the one clock is set."""
    shim = faults_shim.shim(folder)
    off = mmap(-1, 8 * asked.runners)
    ahead = (ctypes.c_double * asked.runners).from_buffer(off)
    apart = asked.database != "sqlite"
    ahead[:] = [HOUR_S * (at % 3 - 1) * apart for at in range(asked.runners)]
    if asked.without:
        _by_the_runner() if apart else setattr(outage, "is_clock_new", lambda seconds: False)
    with database(asked, folder) as url:
        store, began, made, jumps = Store(url), time.monotonic(), 0, 0

        def set_by(at: int) -> None:
            shim.clock_at(ctypes.byref(ahead, 8 * at))
            outage._clock["apart"] = outage._apart()  # it was wrong from the start

        runners = [spawn(asked, url, folder, at, lambda at=at: set_by(at)) for at in range(asked.runners)]
        while time.monotonic() - began < min(asked.seconds, 60.0):
            if left(store) < asked.runners // 2:  # others look meanwhile whether a lease is over
                queue(store, 1, made)
                made += 1
            if not apart and time.monotonic() - began > 6.0 * jumps:
                jumps += 1
                ahead[:] = [HOUR_S * (jumps % 3)] * asked.runners
            time.sleep(0.2)
        settle(store, 60, recover=False)
        end(runners)
        found, ends, said = wrong(store, folder, made)
        store.close()
    what = "clocks an hour apart" if apart else f"the clock set by hours {jumps} times"
    return told(asked, what, made, time.monotonic() - began, found, ends, said)


def _by_the_runner() -> None:
    """Leases by the clock of whoever asks."""

    @compiles(clock, "postgresql")
    def own(element: Any, compiler: Any, **more: Any) -> str:
        return compiler.process(sa.bindparam(None, callable_=time.time, type_=sa.Double(), unique=True))

"""What is lost or doubled when runners are killed, stopped, cut off, without disk or with a wrong clock?

    python benchmarks/faults.py kills --count 3000                      # at random, eight runners
    python benchmarks/faults.py kills --count 3000 --database postgresql
    python benchmarks/faults.py kills --count 200 --point before-commit # or another of POINTS
    python benchmarks/faults.py stops --count 1000                      # SIGSTOP for 1.5 leases
    python benchmarks/faults.py empty --runners 16 --trials 32000       # all begin without a database
    python benchmarks/faults.py outages --count 20                      # PostgreSQL is away for 1 to 120 s
    python benchmarks/faults.py clocks                                  # runners' clocks are off by an hour
    python benchmarks/faults.py writes --how full                       # killed, torn: each write of a trial
    python benchmarks/faults.py histories --count 10000                 # orders of verbs against a model
    python benchmarks/faults.py many --trials 50000                     # of claim, status, export, report
    python benchmarks/faults.py hosts                                   # two share what one runs alone
    python benchmarks/faults.py ray --kind node --count 50              # or actor, driver: of a small cluster

Trials are stubs, but for `writes` and `ray`. Afterwards `research.store.promises` looks at every row, and
what runners say that they wrote is held against what stands. Ends with code 1 where anything is wrong. Each
part has a guard that `--without GUARD` removes: then it must find something.
"""

import argparse
import ctypes
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import faults_many
import faults_outages
import faults_ray
import faults_writes
import sqlalchemy as sa
from faults_runner import POINTS, ROUND, database, end, left, queue, settle, spawn, wrong

from research.store import attempts, connection, owners
from research.store.schema import attempt
from research.store.states import OPEN
from research.store.store import Store

_LOOK_S, _REST_S, _STUB_S = 0.5, 0.005, 0.2
_SHARED = 100
"""trials that one host runs alone, then two share"""
_NEW_NAME = 0x04000000
"""CLONE_NEWUTS of unshare(2)"""
GUARDS = {
    "kills": "recovery",
    "stops": "token",
    "empty": "lock",
    "outages": "patience",
    "clocks": "clock",
    "writes": "journal",
    "ray": "recovery",
}
"""part -> the guard that it can do without"""


def kills(asked: argparse.Namespace, folder: Path) -> int:
    """Runners at work until enough of them were killed; each is followed by another."""
    if asked.without:
        attempts.recover = lambda *about, **more: 0
    if asked.point == "checkpoint":
        import models.training.checkpoint  # noqa: F401  once for all
    with database(asked, folder) as url:
        store, chance = Store(url), random.Random(asked.seed)
        began, done, made, looked = time.monotonic(), 0, 0, 0.0
        runners = [spawn(asked, url, folder, seed) for seed in range(asked.runners)]
        while done < asked.count and time.monotonic() - began < asked.seconds:
            if time.monotonic() - looked > _LOOK_S:  # it waits for the same lock as the runners
                made, looked = made + more(store, made), time.monotonic()
            time.sleep(0.01 if asked.point else chance.expovariate(asked.rate))
            if not asked.point:
                os.kill(chance.choice(runners), signal.SIGKILL)
            for at, pid in enumerate(runners):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    done += 1
                    runners[at] = spawn(asked, url, folder, asked.runners + done)
        point, asked.point = asked.point or "at random", None
        end(runners)
        finish(asked, store, url, folder)
        return told(asked, f"{done} kills of {asked.runners} runners {point}", store, folder, made, began)


def stops(asked: argparse.Namespace, folder: Path) -> int:
    """Half of the runners are stopped at a time, for one and a half leases."""
    with database(asked, folder) as url:
        store, chance = Store(url), random.Random(asked.seed)
        began, done, made = time.monotonic(), 0, 0
        runners = [spawn(asked, url, folder, seed) for seed in range(asked.runners)]
        while done < asked.count and time.monotonic() - began < asked.seconds:
            made += more(store, made)
            some = chance.sample(runners, len(runners) // 2)
            for number, sleep_s in ((signal.SIGSTOP, 1.5 * asked.lease), (signal.SIGCONT, 0.5 * asked.lease)):
                for pid in some:
                    os.kill(pid, number)
                time.sleep(sleep_s)
            done += len(some)
        end(runners)
        finish(asked, store, url, folder)
        return told(asked, f"{done} stops of {asked.runners} runners", store, folder, made, began)


def more(store: Store, made: int) -> int:
    """Trials for the runners, where few wait; returns how many."""
    if left(store, ("queued",)) >= ROUND // 2:
        return 0
    queue(store, ROUND, made)
    return ROUND


def finish(asked: argparse.Namespace, store: Store, url: str, folder: Path) -> None:
    """Runners that nobody harms run what is left, under leases that a busy machine keeps."""
    asked.lease, asked.rest = 30.0, _REST_S
    last = [spawn(asked, url, folder, 10**9 + at) for at in range(asked.runners)]
    # Without recovery what a killed runner had never ends: the others have run all that waits.
    settle(store, 300, states=("queued",) if asked.without == "recovery" else OPEN)
    time.sleep(1.0)
    end(last)


def empty(asked: argparse.Namespace, folder: Path) -> int:
    """All runners begin at once where no database is, ask for the same trials, and share them."""
    with database(asked, folder) as url:
        began = time.monotonic()
        start = began + 1.0

        def first() -> None:
            if asked.without:  # a transaction that is to write does not lock before it looks
                connection._begin_sqlite = lambda opened: opened.exec_driver_sql("BEGIN")
            time.sleep(max(0.0, start - time.monotonic()))
            queue(Store(url), asked.trials)

        runners = [spawn(asked, url, folder, seed, first) for seed in range(asked.runners)]
        time.sleep(2.0)
        store = Store(url)
        settle(store, asked.seconds, recover=False, made=asked.trials)
        took = time.monotonic() - start
        end(runners)
        lines = (folder / "log").read_text().splitlines()
        waits = sorted(int(line.split()[1]) / 1e6 for line in lines if line.startswith("took"))
        if waits:
            high = statistics.quantiles(waits, n=20)[-1]
            rate = asked.trials / took
            print(f"{rate:.0f} trials a second; a verb takes {1e3 * high:.0f} ms at the 95th percentile")
            print(f"and {waits[-1]:.2f} s at most")
        what = f"{asked.runners} runners on an empty database"
        return told(asked, what, store, folder, asked.trials, began)


def hosts(asked: argparse.Namespace, folder: Path) -> int:
    """Stubs of 0.2 s by one runner and by two, in turns; each runner is of a host with a name of its own."""
    asked.rest, took, made, began = _STUB_S, {1: list[float](), 2: list[float]()}, 0, time.monotonic()
    with database(asked, folder) as url:
        store = Store(url)
        for turn in range(asked.count):
            for several in (1, 2) if turn % 2 == 0 else (2, 1):
                queue(store, _SHARED, made)
                made, start = made + _SHARED, time.monotonic()
                runners = [spawn(asked, url, folder, at, lambda at=at: named(at)) for at in range(several)]
                settle(store, 600, recover=False, made=made)
                took[several].append(time.monotonic() - start)
                end(runners)
        with store.read() as opened:
            shares = Counter(map(owners.host, opened.execute(sa.select(attempt.c.owner)).scalars()))
        ratios = [one / two for one, two in zip(took[1], took[2], strict=True)]
        one, two, ratio = map(statistics.median, (took[1], took[2], ratios))
        print(f"{_SHARED} stubs of {_STUB_S} s: {one:.1f} s by one host, {two:.1f} s by two")
        span = f"{min(ratios):.2f} to {max(ratios):.2f}, n = {len(ratios)}"
        print(f"{ratio:.2f} times as fast ({span}); attempts {dict(shares)}")
        return told(asked, "hosts beside each other", store, folder, made, began)


def named(at: int) -> None:
    """Give this process a host's name of its own, where it may."""
    owners.place.cache_clear()
    if os.geteuid() == 0 and ctypes.CDLL(None).unshare(_NEW_NAME) == 0:
        socket.sethostname(f"host{at}")


def told(asked: argparse.Namespace, what: str, store: Store, folder: Path, made: int, began: float) -> int:
    """Print what was done and what is wrong, which is the exit code."""
    found, ends, said = wrong(store, folder, made, asked.part)
    store.close()
    guard = f" without the {asked.without}" if asked.without else ""
    print(f"{what} on {asked.database}{guard}: {made} trials in {time.monotonic() - began:.0f} s, "
          f"attempts {dict(ends)}, {said['late']} late writers refused, {len(found)} wrong")  # fmt: skip
    print("\n".join(found[:20]))
    return int(bool(found))


PARTS = {
    "kills": kills,
    "stops": stops,
    "empty": empty,
    "outages": faults_outages.outages,
    "clocks": faults_outages.clocks,
    "writes": faults_writes.writes,
    "histories": faults_many.histories,
    "many": faults_many.many,
    "ray": faults_ray.rays,
    "hosts": hosts,
}
SERVED = ("outages", "clocks", "ray", "hosts")
"""what is on PostgreSQL unless it is said"""
LEASES_S = {"stops": 0.4, "outages": 10.0, "clocks": 10.0}
WORK_S = {"outages": 8.0, "clocks": 8.0}
COUNTS = {"outages": 20, "histories": 1000, "hosts": 3}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--count", type=int, help="kills, stops, outages or histories")
    parser.add_argument("--seconds", type=float, default=1e9, help="end the harm after so long")
    parser.add_argument("--runners", type=int, default=8)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=20.0, help="kills a second")
    parser.add_argument("--lease", type=float, help="seconds")
    parser.add_argument("--longest", type=float, default=120.0, help="seconds of an outage")
    parser.add_argument("--point", choices=POINTS)
    parser.add_argument("--how", choices=faults_writes.HOW, default="full")
    parser.add_argument("--kind", choices=faults_ray.PARTS, default="actor", help="what of Ray is killed")
    parser.add_argument("--every", type=int, default=1, help="of the writes, each so many")
    parser.add_argument("--without", choices=sorted(set(GUARDS.values())))
    parser.add_argument("--database", choices=["sqlite", "postgresql"])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    part = asked.part
    guard = None if asked.point == "after-commit" else GUARDS.get(part)
    if asked.without not in (None, guard):
        parser.error(f"what is asked for can do without: {guard or 'nothing'}")
    asked.parent, asked.lease = os.getpid(), asked.lease or LEASES_S.get(part, 30.0)
    asked.count, asked.work = asked.count or COUNTS.get(part, 100), WORK_S.get(part, 0.0)
    # A runner that is stopped is to have its trial in hand still when it goes on.
    asked.rest = asked.lease if part == "stops" else _REST_S
    asked.database = asked.database or ("postgresql" if part in SERVED else "sqlite")
    # What cannot happen to a stub but by its runner's death is no reason to give it up.
    attempts.MOST_OTHERS = 10**6
    with tempfile.TemporaryDirectory(prefix="joulelab-faults-") as folder:
        code = PARTS[part](asked, Path(folder))
    sys.exit(code)


if __name__ == "__main__":
    main()

"""Runners killed, at random or at a named point, or stopped for longer than a lease: is anything doubled?

    python benchmarks/faults.py --kills 3000
    python benchmarks/faults.py --kills 3000 --database postgresql          # a server of its own
    python benchmarks/faults.py --kills 200 --point before-commit           # or another of POINTS
    python benchmarks/faults.py --stops 1000                                # SIGSTOP for 1.5 leases
    python benchmarks/faults.py --stops 100 --without token                 # must find something: no guard

Trials are stubs of some milliseconds. Afterwards `research.store.promises` looks at every row, and what the
runners say that they wrote is held against what stands. Ends with code 1 where anything is wrong.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import final

import sqlalchemy as sa

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "labs")]

from research.store import attempts, promises  # noqa: E402
from research.store.attempts import TrialClaim  # noqa: E402
from research.store.claims import wanted  # noqa: E402
from research.store.schema import attempt, metric, trial  # noqa: E402
from research.store.store import Lost, Store  # noqa: E402
from research.types import Key  # noqa: E402

POINTS = ("taken", "begun", "beaten", "before-commit", "after-commit")
ROUND = 200
"""trials that wait at a time"""


@final
class Runner:
    """A process that takes trials until it is told to stop, or killed."""

    def __init__(self, asked: argparse.Namespace, url: str, log: Path, seed: int) -> None:
        self.asked, self.random = asked, random.Random(seed)
        self.store, self.log = Store(url), log.open("a")
        if asked.point == "before-commit":
            sa.event.listen(self.store._database._engine, "commit", lambda connection: self.perhaps_die())
        self.finishing = asked.point != "before-commit"

    def work(self) -> None:
        """Until the parent is gone."""
        while os.getppid() == self.asked.parent:
            taken = self.store.take(lease_s=self.asked.lease)
            if not taken:
                time.sleep(0.02)
            for mine in taken:
                self.run(mine)

    def run(self, mine: TrialClaim) -> None:
        """One stub of a trial, from its lease to its figure."""
        self.at("taken")
        try:
            (row,) = self.store.trials(ids=[mine.trial_id])
            self.store.begin(mine, wanted(row.key, config=row.config), self.asked.lease)
            self.at("begun")
            time.sleep(self.random.uniform(0, 0.005))
            self.store.beat(mine, {"step": 1, "seconds": 0.001}, self.asked.lease)
            self.at("beaten")
            time.sleep(self.random.uniform(0, self.asked.lease if self.asked.stops else 0.005))
            if self.asked.without == "token":
                mine = TrialClaim(mine.trial_id, self.token(mine))
            self.finishing = True
            self.store.finish(mine, {"value": value(mine.token)})
            self.finishing = self.asked.point != "before-commit"
            self.log.write(f"{mine.trial_id} {os.getpid()}\n")
            self.log.flush()
            self.at("after-commit")
        except Lost:
            pass

    def token(self, mine: TrialClaim) -> str:
        """Whoever's it is now."""
        with self.store.read() as connection:
            query = sa.select(attempt.c.token).where(attempt.c.trial_id == mine.trial_id)
            return str(connection.execute(query.order_by(attempt.c.n.desc()).limit(1)).scalar_one())

    def at(self, point: str) -> None:
        """Die here, perhaps, where this is the point to die at."""
        if point == self.asked.point:
            self.perhaps_die()

    def perhaps_die(self) -> None:
        """Every fifth time."""
        if self.finishing and self.random.random() < 0.2:
            os.kill(os.getpid(), signal.SIGKILL)


def value(token: str) -> float:
    """A figure by which a result names the attempt that measured it."""
    return float(int(token[:12], 16))


def spawn(asked: argparse.Namespace, url: str, log: Path, seed: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            Runner(asked, url, log, seed).work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def harm(asked: argparse.Namespace, url: str, folder: Path) -> tuple[int, int]:
    """Runners at work until enough of them were killed or stopped; returns how many, and how many trials."""
    chance, store, log = random.Random(asked.seed), Store(url), folder / "log"
    runners = [spawn(asked, url, log, seed) for seed in range(asked.runners)]
    done = made = 0
    while done < (asked.stops or asked.kills):
        if store_waits(store) < ROUND // 2:
            store.enqueue([wanted(Key(f"s{made + at}", "c", "d", "h"), config={}) for at in range(ROUND)])
            made += ROUND
        if asked.stops:
            done += pause(asked, runners, chance)
            continue
        time.sleep(0.01 if asked.point else chance.expovariate(asked.rate))
        if not asked.point:
            os.kill(chance.choice(runners), signal.SIGKILL)
        for at, pid in enumerate(runners):
            if os.waitpid(pid, os.WNOHANG)[0]:
                done += 1
                runners[at] = spawn(asked, url, log, asked.runners + done)
    asked.point = None
    end(runners)
    last = [spawn(asked, url, log, 10**9 + at) for at in range(asked.runners)]
    while store_waits(store, held=True):
        time.sleep(0.2)
    end(last)
    store.close()
    return done, made


def end(runners: list[int]) -> None:
    for pid in runners:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def pause(asked: argparse.Namespace, runners: list[int], chance: random.Random) -> int:
    """Stop half of the runners for one and a half leases."""
    some = chance.sample(runners, len(runners) // 2)
    for number, sleep_s in ((signal.SIGSTOP, 1.5 * asked.lease), (signal.SIGCONT, 0.5 * asked.lease)):
        for pid in some:
            os.kill(pid, number)
        time.sleep(sleep_s)
    return len(some)


def store_waits(store: Store, held: bool = False) -> int:
    states = ("queued", "leased", "running") if held else ("queued",)
    with store.write() as connection:
        attempts.recover(connection) if held else None
        query = sa.select(sa.func.count()).select_from(trial).where(trial.c.status.in_(states))
        return int(connection.execute(query).scalar_one())


def faults(url: str, folder: Path, made: int) -> tuple[list[str], Counter[str]]:
    """What is wrong, and how attempts ended."""
    store = Store(url)
    with store.read() as connection:
        wrong = promises.broken(connection)
        statuses = Counter(connection.execute(sa.select(trial.c.status)).scalars())
        ends = Counter(str(end) for end in connection.execute(sa.select(attempt.c.outcome)).scalars())
        figures: dict[int, list[float]] = {}
        for number, figure in connection.execute(sa.select(metric.c.trial_id, metric.c.value)):
            figures.setdefault(number, []).append(figure)
        done = sa.select(attempt.c.trial_id, attempt.c.token).where(attempt.c.outcome == "done")
        won = {row.trial_id: row.token for row in connection.execute(done)}
    store.close()
    lost = made - sum(statuses.values())
    wrong += [f"{lost} trials are lost"] if lost else []
    wrong += [f"{count} trials are {status}" for status, count in statuses.items() if status != "done"]
    said = Counter(int(line.split()[0]) for line in (folder / "log").read_text().splitlines())
    wrong += [f"trial {number} was finished {count} times" for number, count in said.items() if count > 1]
    wrong += [f"trial {number} has {len(own)} figures" for number, own in figures.items() if len(own) != 1]
    wrong += [
        f"trial {number} has a figure of another attempt than the one that is done"
        for number, own in figures.items()
        if own != [value(won.get(number, "0" * 32))]
    ]
    return wrong, ends


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--stops", type=int, default=0)
    parser.add_argument("--runners", type=int, default=8)
    parser.add_argument("--rate", type=float, default=20.0, help="kills a second")
    parser.add_argument("--lease", type=float, default=None, help="seconds")
    parser.add_argument("--point", choices=POINTS)
    parser.add_argument("--without", choices=["token"])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.parent, asked.lease = os.getpid(), asked.lease or (0.6 if asked.stops else 30.0)
    # What cannot happen to a stub but by its runner's death is no reason to give it up.
    attempts.MOST_OTHERS = 10**6
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="joulelab-faults-")))
        url = f"sqlite:///{folder}/lab.db"
        if asked.database == "postgresql":
            from postgres_server import running

            url = stack.enter_context(running()).url("faults")
        Store(url).close()
        began = time.monotonic()
        harmed, made = harm(asked, url, folder)
        wrong, ends = faults(url, folder, made)
    what = f"{harmed} {'stops' if asked.stops else 'kills'} of {asked.runners} runners on {asked.database}"
    took = time.monotonic() - began
    print(f"{what}: {made} trials in {took:.0f} s, attempts {dict(ends)}, {len(wrong)} wrong")
    print("\n".join(wrong[:20]))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

"""A sweep by `runner=ray` on a simulated cluster, whose workers, nodes or driver are killed again and again.

The trials are real trainings of 400 steps, the command is `python train.py -m ... runner=ray`, typed again
whenever it was killed. A node is killed with all its workers, and another one joins.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, final

import sqlalchemy as sa
from faults_runner import ROOT, database

from research.store import promises
from research.store.owners import dead
from research.store.schema import FINAL, attempt, metric, trial
from research.store.store import Store

PARTS = ("actor", "node", "driver")
_NODES, _WORKERS, _SEEDS = 2, 2, 24
_OWN = ("data=digits", "budget.steps=400", "logger=none", "unmeasured=[infer]", "runner=ray")
_REST_S = 1.0
"""until a kill, from when a worker has a trial in hand"""
_LONGEST_S = {None: 900.0, "recovery": 90.0}


def rays(asked: argparse.Namespace, folder: Path) -> int:
    """Sweeps of new seeds one after another until so many were killed; then each is typed once more."""
    began, chance, sweeps = time.monotonic(), random.Random(asked.seed), list[list[str]]()
    with database(asked, folder) as url, cluster() as nodes:
        lab = Lab(asked, url, folder, nodes)
        kills = {"actor": lab.kill_worker, "node": nodes.kill, "driver": lab.kill_driver}[asked.kind]
        done = 0
        while done < asked.count and time.monotonic() - began < asked.seconds:
            sweeps.append([f"seed=range({len(sweeps) * _SEEDS},{(len(sweeps) + 1) * _SEEDS})"])
            with lab.typed(sweeps[-1]):
                while done < asked.count and lab.is_at_work():
                    time.sleep(chance.uniform(0.0, _REST_S))
                    done += kills(chance)
        found = [said for sweep in sweeps for said in lab.to_its_end(sweep)]
        return told(asked, url, done, len(sweeps), found, began)


@final
class Nodes:
    """A head without cores, and two nodes; all are processes of this machine."""

    def __init__(self, own: Any) -> None:
        self._cluster, self._nodes = own, [own.add_node(num_cpus=_WORKERS) for _ in range(_NODES)]
        self.address = own.address

    def kill(self, chance: random.Random) -> int:
        """SIGKILL a node's raylet and what it has started; another node takes its place."""
        node = self._nodes.pop(chance.randrange(_NODES))
        self._cluster.remove_node(node, allow_graceful=False)
        while len(self._nodes) < _NODES:
            with suppress(Exception):  # a bare one, where a busy machine is too slow for Ray
                self._nodes.append(self._cluster.add_node(num_cpus=_WORKERS))
        return 1


@contextmanager
def cluster() -> Iterator[Nodes]:
    """A cluster for as long as it is needed."""
    from ray.cluster_utils import Cluster

    own = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield Nodes(own)
    finally:
        own.shutdown()


@final
class Lab:
    """The command, and what is killed of it."""

    def __init__(self, asked: argparse.Namespace, url: str, folder: Path, nodes: Nodes) -> None:
        self._where = [f"store.url={url}", f"root={folder}/runs", f"runner.address={nodes.address}"]
        self._more = [f"runner.workers={_WORKERS}"]
        self._log = (folder / "typed").open("a")
        self._root = without_recovery(folder) if asked.without else ROOT
        self._longest_s = _LONGEST_S[asked.without]
        self._store = Store(url)
        self._driver: subprocess.Popen[bytes] | None = None
        self._line: list[str] = []

    def type(self, sweep: list[str]) -> None:
        """Start the command."""
        self._line = sweep
        command = [sys.executable, "train.py", "-m", *sweep, *_OWN, *self._where, *self._more]
        self._driver = subprocess.Popen(command, cwd=self._root, stdout=self._log, stderr=subprocess.STDOUT)

    @contextmanager
    def typed(self, sweep: list[str]) -> Iterator[None]:
        """The command runs; at the end it is killed if it still does."""
        self.type(sweep)
        try:
            yield
        finally:
            self._end()

    def is_at_work(self) -> bool:
        """True as soon as a worker that lives has begun a trial, False when the command has ended."""
        while self._driver is not None and self._driver.poll() is None:
            with self._store.read() as opened:
                owners = opened.execute(sa.select(trial.c.owner).where(trial.c.status == "running")).scalars()
                if not all(map(dead, owners)):
                    return True
            time.sleep(0.2)
        return False

    def kill_worker(self, chance: random.Random) -> int:
        """One that pulls trials, wherever it is in that; 0 where none runs yet."""
        workers = [pid for pid, name in processes() if name.startswith("ray::drain")]
        if not workers:
            return 0
        with suppress(ProcessLookupError):
            os.kill(chance.choice(workers), signal.SIGKILL)
        return 1

    def kill_driver(self, chance: random.Random) -> int:
        """The command itself; it is typed again."""
        self._end()
        self.type(self._line)
        return 1

    def _end(self) -> None:
        if self._driver is not None:
            self._driver.kill()
            self._driver.wait()

    def to_its_end(self, sweep: list[str]) -> list[str]:
        """Type it again, undisturbed; what is wrong then."""
        self.type(sweep)
        assert self._driver is not None
        try:
            code = self._driver.wait(self._longest_s)
        except subprocess.TimeoutExpired:
            self._end()
            return [f"{sweep[0]} typed again did not end in {self._longest_s:.0f} s"]
        return [f"{sweep[0]} typed again ended with code {code}"] if code else []


def without_recovery(folder: Path) -> Path:
    """A copy of the project in which nobody queues again what a dead worker held."""
    copy = folder / "lab"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "runs", "*.db", "docs", "tests"))
    with (copy / "research" / "store" / "attempts.py").open("a") as file:
        file.write("\n\ndef recover(*about: Any, **more: Any) -> int:\n    return 0\n")
    return copy


def processes() -> Iterator[tuple[int, str]]:
    """Every process with what it calls itself."""
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError):
                yield (
                    int(place.name),
                    (place / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace"),
                )


def told(asked: argparse.Namespace, url: str, done: int, sweeps: int, found: list[str], began: float) -> int:
    """Print what was killed and what is wrong, which is the exit code."""
    made = sweeps * _SEEDS
    with closing(Store(url)) as store, store.read() as opened:
        found += promises.broken(opened)
        rows = opened.execute(sa.select(trial.c.seed, trial.c.status)).all()
        ends = Counter(opened.execute(sa.select(attempt.c.outcome)).scalars())
        once = sa.select(attempt.c.trial_id).where(attempt.c.outcome == "done")
        finished = Counter(opened.execute(once).scalars())
        scored = sa.select(metric.c.trial_id).where(metric.c.point == FINAL, metric.c.key == "val/accuracy")
        scores = Counter(opened.execute(scored).scalars())
    seeds = Counter(row.seed for row in rows)
    found += [f"seed {seed} has {seeds[seed]} rows" for seed in range(made) if seeds[seed] != 1]
    found += [f"seed {row.seed} is {row.status}" for row in rows if row.status != "done"]
    for what, counts in (("done attempts", finished), ("scores", scores)):
        found += [f"trial {number} has {count} {what}" for number, count in counts.items() if count != 1]
        found += [f"{made - len(counts)} trials have no {what}"] if len(counts) != made else []
    print(f"{done} kills of a Ray {asked.kind} on {asked.database}: {made} trials in "
          f"{time.monotonic() - began:.0f} s, attempts {dict(ends)}, {len(found)} wrong")  # fmt: skip
    print("\n".join(found[:20]))
    return int(bool(found))

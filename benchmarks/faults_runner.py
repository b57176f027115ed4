"""A runner of stub trials to be killed, stopped or cut off, and what is wrong then: `faults.py` has parts."""

import argparse
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import sqlalchemy as sa

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "labs")]

import pulse  # noqa: E402
from research.run.heart import Heart  # noqa: E402
from research.store import attempts, promises  # noqa: E402
from research.store.attempts import TrialClaim  # noqa: E402
from research.store.claims import wanted  # noqa: E402
from research.store.schema import attempt, metric, schema_version, trial  # noqa: E402
from research.store.states import OPEN  # noqa: E402
from research.store.store import Lost, Store  # noqa: E402
from research.types import Key  # noqa: E402

POINTS = ("taken", "begun", "beaten", "checkpoint", "before-commit", "after-commit")
ROUND = 200
"""trials that wait at a time"""
_DIES = 0.2
"""chance at each pass of the point to die at"""


@final
class Runner:
    """A process that takes trials until it is told to stop, or killed."""

    def __init__(self, asked: argparse.Namespace, url: str, folder: Path, seed: int) -> None:
        self.asked, self.folder, self.random = asked, folder, random.Random(seed)
        self.log = (folder / "log").open("a")
        self.store, self.save_s = Store(url), 0.01
        if asked.point == "before-commit":
            sa.event.listen(self.store._database._engine, "commit", lambda connection: self.perhaps_die())
        self.finishing = asked.point != "before-commit"

    def work(self) -> None:
        """Until the parent is gone."""
        while os.getppid() == self.asked.parent:
            if self.asked.part == "stops":  # as a worker looks: what nobody holds any more is queued again
                self.store.offered(("cpu",), 1)
            taken = self.timed(lambda: self.store.take(lease_s=self.asked.lease))
            if not taken:
                time.sleep(0.02)
            for mine in taken:
                self.run(mine)

    def run(self, mine: TrialClaim) -> None:
        """One stub of a trial, from its lease to its figure."""
        self.at("taken")
        try:
            (row,) = self.store.trials(ids=[mine.trial_id])
            asked = wanted(row.key, config=row.config)
            self.timed(lambda: self.store.begin(mine, asked, self.asked.lease))
            self.at("begun")
            self.train(mine)
            self.finishing = True
            self.timed(lambda: self.store.finish(self.own(mine), {"value": value(mine.token)}))
            self.finishing = self.asked.point != "before-commit"
            self.say("done", mine.trial_id)
            self.at("after-commit")
        except Lost:
            self.say("late", mine.trial_id)

    def train(self, mine: TrialClaim) -> None:
        """Steps under a heart as a training's where a part is about leases, else some milliseconds."""
        if self.asked.work:
            end, step = time.monotonic() + self.random.uniform(0, self.asked.work), 0
            with Heart(self.store, mine, self.asked.lease).beating():
                while time.monotonic() < end:
                    step += 1
                    pulse.beat("a step", step)
                    time.sleep(0.05)
            return
        time.sleep(self.random.uniform(0, 0.005))
        self.store.beat(self.own(mine), {"step": 1, "seconds": 0.001}, self.asked.lease)
        self.at("beaten")
        if self.asked.point == "checkpoint":
            self.save(mine)
        exactly = self.asked.part == "hosts"
        time.sleep(self.asked.rest if exactly else self.random.uniform(0, self.asked.rest))

    def save(self, mine: TrialClaim) -> None:
        """Go on from the trial's newest checkpoint, and perhaps die anywhere in the saves of three more."""
        from models.training.checkpoint import Checkpoints, newest, prepare

        folder = self.folder / f"trial-{mine.trial_id}"
        prepare(folder)
        found, damaged = newest(folder)
        first = 1 + (int(found.stem.partition("_")[2]) if found else 0)
        self.say("from", mine.trial_id, first - 1, len(damaged))
        for step in range(first, first + 3):
            began = time.monotonic()
            # Nobody handles it, so the kernel ends the process wherever it is.
            if self.random.random() < _DIES:
                signal.setitimer(signal.ITIMER_REAL, self.random.uniform(1e-5, self.save_s))
            Checkpoints().save_checkpoint(_state(step), folder / f"step_{step}.ckpt")
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.save_s = 1.2 * (time.monotonic() - began)
            self.say("saved", mine.trial_id, step)
            Checkpoints().remove_checkpoint(folder / f"step_{step - 2}.ckpt")

    def own(self, mine: TrialClaim) -> TrialClaim:
        """The claim; without its guard that of whoever has the trial by now."""
        if self.asked.without != "token":
            return mine
        with self.store.read() as connection:
            query = sa.select(attempt.c.token).where(attempt.c.trial_id == mine.trial_id)
            newest = connection.execute(query.order_by(attempt.c.n.desc()).limit(1)).scalar_one()
        return TrialClaim(mine.trial_id, str(newest))

    def timed(self, verb: Callable[[], Any]) -> Any:
        """Its answer; how long it took is told where that is asked for."""
        began = time.monotonic()
        answer = verb()
        if self.asked.part == "empty":
            self.say("took", round(1e6 * (time.monotonic() - began)))
        return answer

    def say(self, *words: object) -> None:
        """A line of the log, which outlasts the process."""
        self.log.write(" ".join(map(str, words)) + "\n")
        self.log.flush()

    def at(self, point: str) -> None:
        """Die here, perhaps, where this is the point to die at."""
        if point == self.asked.point:
            self.perhaps_die()

    def perhaps_die(self) -> None:
        """Every fifth time."""
        if self.finishing and self.random.random() < _DIES:
            os.kill(os.getpid(), signal.SIGKILL)


def _state(step: int) -> dict[str, Any]:
    import torch

    return {"joulelab": {}, "global_step": step, "state_dict": {"w": torch.full((20_000,), float(step))}}


def value(token: str) -> float:
    """A figure by which a result names the attempt that measured it."""
    return float(int(token[:12], 16))


def spawn(
    asked: argparse.Namespace, url: str, folder: Path, seed: int, first: Callable[[], None] = lambda: None
) -> int:
    """Start a runner, which does `first` before all else; what it says of trouble goes to `folder/err`."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.open(folder / "err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            first()
            Runner(asked, url, folder, seed).work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def end(runners: list[int]) -> None:
    """Kill those that are left."""
    for pid in runners:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextmanager
def database(asked: argparse.Namespace, folder: Path) -> Iterator[str]:
    """The URL of an empty one."""
    if asked.database == "sqlite":
        yield f"sqlite:///{folder}/lab.db"
        return
    from postgres_server import running

    with running() as server:
        yield server.url("faults")


def queue(store: Store, count: int, first: int = 0) -> None:
    """Trials that are wanted, each of a key of its own."""
    store.enqueue([wanted(Key(f"s{first + at}", "c", "d", "h"), config={}) for at in range(count)])


def left(store: Store, states: tuple[str, ...] = OPEN, recover: bool = False) -> int:
    """How many trials are in these states, after what nobody holds was queued again."""
    with store.write() if recover else store.read() as connection:
        attempts.recover(connection) if recover else None
        query = sa.select(sa.func.count()).select_from(trial).where(trial.c.status.in_(states))
        return int(connection.execute(query).scalar_one())


def settle(
    store: Store, most_s: float, recover: bool = True, made: int = 0, states: tuple[str, ...] = OPEN
) -> None:
    """Wait until so many have ended and none has these states any more, but not for ever."""
    until = time.monotonic() + most_s
    while time.monotonic() < until and (left(store, states, recover) or left(store, ("done",)) < made):
        time.sleep(0.2)


def wrong(
    store: Store, folder: Path, made: int, part: str = ""
) -> tuple[list[str], Counter[str], Counter[str]]:
    """What is wrong, how attempts ended, and what runners said, by the first word of each line."""
    with store.read() as connection:
        found = promises.broken(connection)
        statuses = Counter(connection.execute(sa.select(trial.c.status)).scalars())
        ends = Counter(str(end) for end in connection.execute(sa.select(attempt.c.outcome)).scalars())
        figures: dict[int, list[float]] = {}
        for number, figure in connection.execute(sa.select(metric.c.trial_id, metric.c.value)):
            figures.setdefault(number, []).append(figure)
        done = sa.select(attempt.c.trial_id, attempt.c.token).where(attempt.c.outcome == "done")
        won = {row.trial_id: row.token for row in connection.execute(done)}
        versions = connection.execute(sa.select(sa.func.count()).select_from(schema_version)).scalar_one()
    lost = made - sum(statuses.values())
    found += [f"{lost} trials are lost"] if lost else []
    found += [f"the schema was made {versions} times"] if versions != 1 else []
    found += [f"{count} trials are {status}" for status, count in statuses.items() if status != "done"]
    found += [f"trial {number} has {len(own)} figures" for number, own in figures.items() if len(own) != 1]
    found += [
        f"trial {number} has a figure of another attempt than the one that is done"
        for number, own in figures.items()
        if own != [value(won.get(number, "0" * 32))]
    ]
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    return [*found, *_told(lines, folder, part)], ends, Counter(line[0] for line in lines)


def _told(lines: list[list[str]], folder: Path, part: str) -> list[str]:
    """What is wrong by the runners' own words."""
    said = Counter(line[1] for line in lines if line[0] == "done")
    found = [f"trial {number} was finished {count} times" for number, count in said.items() if count > 1]
    saved: dict[str, int] = {}
    for line in lines:
        if line[0] == "saved":
            saved[line[1]] = max(saved.get(line[1], 0), int(line[2]))
        elif line[0] == "from" and (int(line[3]) or int(line[2]) < saved.get(line[1], 0)):
            found.append(
                f"trial {line[1]} goes on from step {line[2]} of {saved[line[1]]}, {line[3]} damaged"
            )
    trouble = (folder / "err").read_text() if (folder / "err").exists() else ""
    found += ["a runner met `database is locked`"] * ("locked" in trouble and part == "empty")
    return found + [f"a runner ended by itself: {trouble[-500:]}"] * ("Traceback" in trouble)
